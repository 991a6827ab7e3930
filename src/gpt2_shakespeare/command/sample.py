"""`gpt2-shakespeare sample`: continue a prompt, one model as it writes or several side by side."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from gpt2_shakespeare import params
from gpt2_shakespeare.command import project
from gpt2_shakespeare.params import schema

RULE = "-" * 40
NARROWEST = 30  # columns of the terminal that a text needs to stand beside another

Model = Annotated[
    list[str] | None,
    typer.Option(
        "--model", "-m", help="A row, as finetune or finetune/1 for its seed 1; or a folder. May be repeated."
    ),
]
Tokenizer = Annotated[
    Path | None, typer.Option(help="A folder with vocab.bpe and encoder.json. Default: the model's own.")
]


def sample(
    prompt: Annotated[str, typer.Argument(help='What to continue. "" starts a new text.')],
    model: Model = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", "-t", help="0 takes the likeliest token.")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Draw from the fewest tokens with this probability.")
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option("--max-new-tokens", "-n", help="Length of a text.")
    ] = None,
    samples: Annotated[int, typer.Option(help="Texts of each model.")] = 1,
    seed: Annotated[int | None, typer.Option(help="Of the first text; the next one has the next.")] = None,
    tokenizer: Tokenizer = None,
) -> None:
    """Continue a prompt; what isn't said is as in params.yaml.

    \b
    gpt2-shakespeare sample "KING:"
    gpt2-shakespeare sample "KING:" -m scratch -m finetune -t 0
    gpt2-shakespeare sample "" -m path/to/a/model --samples 3
    """
    given = {
        "temperature": temperature, "top_p": top_p, "max_new_tokens": max_new_tokens, "seed": seed,
        "samples_per_prompt": samples,
    }  # fmt: skip
    write(prompt, model or [], tokenizer, given)


def write(prompt: str, models: list[str], tokenizer: Path | None, given: dict[str, Any]) -> None:
    """Print continuations of a prompt.

    Args:
        models: what `project.resolve` knows; the fine-tuned row if there is none.
        given: settings of sampling, instead of those in params.yaml; None leaves one as it is.

    Raises:
        UserError: a setting, a model or a tokenizer can't be used.
    """
    models = [project.seen(name) for name in models]
    tokenizer = tokenizer and tokenizer.resolve()  # as the user sees it, before the current folder changes
    found = project.settings()
    wanted = params.change(found.sample if found else project.SAMPLING, given)
    names = models or [project.default_model(found)]
    for name in names:  # all that are missing, before the first one is loaded
        project.resolve(name, tokenizer, found)
    device = project.machine(found)
    loaded = [project.load(name, tokenizer, found, device) for name in names]
    if len(loaded) == 1:
        _one(loaded[0], prompt, wanted)
    elif _wide_enough(len(loaded)):
        _beside(loaded, prompt, wanted)
    else:
        for each in loaded:
            print(f"== {project.shown(each.name)} ==")
            _one(each, prompt, wanted)


def _one(loaded: project.Loaded, prompt: str, wanted: schema.Sampling) -> None:
    """Print texts piece by piece."""
    from gpt2_shakespeare.texts import sampling

    for number in range(wanted.samples_per_prompt):
        _say(prompt)
        sampling.written(loaded.model, loaded.encoding, prompt, wanted.seed + number, wanted, _say)
        _say(f"\n{RULE}\n")


def _say(text: str) -> None:
    print(text, end="", flush=True)  # into nowhere, if there is no stdout


def _wide_enough(columns: int) -> bool:
    """Whether the texts have room side by side in a terminal that can be drawn in."""
    if not (sys.stdout and sys.stdout.isatty()) or os.environ.get("TERM") in ("dumb", "", None):
        return False
    return os.get_terminal_size().columns >= NARROWEST * columns


def _beside(loaded: list[project.Loaded], prompt: str, wanted: schema.Sampling) -> None:
    """Texts in columns, a model each, drawn anew while they are written."""
    from rich import box
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    from gpt2_shakespeare.texts import sampling

    console = Console(highlight=False)

    def drawn(texts: list[str]) -> Table:
        table = Table(box=box.SIMPLE, expand=True, padding=(0, 1))
        for each in loaded:
            table.add_column(project.shown(each.name), ratio=1, overflow="fold")
        table.add_row(*(Text(text) for text in texts))
        return table

    for number in range(wanted.samples_per_prompt):
        texts = [prompt] * len(loaded)
        with Live(drawn(texts), console=console, refresh_per_second=8, vertical_overflow="visible") as live:

            def writer(place: int, texts: list[str] = texts, live: Live = live) -> Callable[[str], None]:
                def write(piece: str) -> None:
                    texts[place] += piece
                    live.update(drawn(texts))

                return write

            for place, each in enumerate(loaded):
                sampling.written(
                    each.model, each.encoding, prompt, wanted.seed + number, wanted, writer(place)
                )
