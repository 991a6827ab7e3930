"""One-factor runs of a recipe on dev: what each change of the settings is worth, in nats per token.

    dvc exp run -S scale=novels          # or as far as the stages prepare and base
    python benchmarks/recipe.py scratch_tuned --variants start dropout=0.3 --labels 'as it is' 'dropout 0.3' --seeds 1337 1

A variant is `start`, the row as it stands in params.yaml, or one or more changes joined by `,`: key=value, where a dot
leads into a table (model.n_layer=6) and the value is YAML. Trains on train, and scores all of dev exactly with the
weights of the last step and of the best one; val is not read. Adds lines to benchmarks/recipe.csv and draws the panels
that compare something; without a row it only draws. A line's variant is in the words of params.yaml at its commit.
"""

import argparse
import csv
import dataclasses
import subprocess
import tempfile
import textwrap
import time
from pathlib import Path

import gpt2_shakespeare  # noqa: F401  # isort: skip  (sets what OpenMP reads when torch is imported)
from ruamel.yaml import YAML

from gpt2_shakespeare import params, paths, runtime
from gpt2_shakespeare.measure import losses
from gpt2_shakespeare.model import load_model
from gpt2_shakespeare.params.rows import TrainedRow
from gpt2_shakespeare.params.schema import Scale
from gpt2_shakespeare.tokens import tokenizer
from gpt2_shakespeare.tokens.files import Tokens, load_tokens
from gpt2_shakespeare.training.plan import starting_model
from gpt2_shakespeare.training.trainer import Trainer

OUT = Path(__file__).with_suffix(".csv")


def changed(raw: dict, variant: str) -> dict:
    """A row's table of params.yaml with a variant's changes."""
    for change in variant.split(",") if variant != "start" else ():
        key, _, value = change.partition("=")
        *above, last = key.split(".")
        table = raw
        for name in above:
            table = table[int(name)] if isinstance(table, list) else table[name]
        table[last] = YAML(typ="safe").load(value.replace(";", ","))
    return raw


def find_row(scale: str, name: str, variant: str, epochs: int | None = None) -> tuple[Scale, TrainedRow]:
    """A scale's settings, and a row of it with a variant's changes."""
    raw = YAML(typ="safe").load(Path("params.yaml").read_text())
    changed(raw["scales"][scale]["rows"][name], variant)
    found = params.parse(raw).scales[scale]
    row = next(row for row in found.trained if row.name == name)
    return found.settings, dataclasses.replace(row, epochs=epochs or row.epochs)


def commit() -> str:
    """Of the code and of the params.yaml that the changes are to."""
    describe = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(describe, capture_output=True, text=True).stdout.strip()


def add_line(file: Path, line: dict) -> None:
    """Print it, and append it to a CSV file, with a head if that is new."""
    print(line, flush=True)
    new = not file.exists()
    with open(file, "a", newline="") as out:
        writer = csv.DictWriter(out, fieldnames=list(line), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(line)


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser of what every benchmark of variants takes; `parsed` reads them."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("row", nargs="?", help="a trained row, such as scratch_tuned")
    parser.add_argument("--scale", default="novels")
    parser.add_argument("--variants", nargs="+", default=["start"])
    parser.add_argument(
        "--labels", nargs="+", help="what the picture calls them; default: the variants themselves"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1337])
    parser.add_argument("--epochs", type=int, help="of a row from the base; default: as in params.yaml")
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    args = parser.parse_args()
    args.labels = args.labels or args.variants
    if len(args.labels) != len(args.variants):
        parser.error(f"{len(args.labels)} labels for {len(args.variants)} variants")
    return args


def main() -> None:
    args = parsed(arguments(__doc__))
    if args.row:
        run(args)
    draw()


def trainer_of(
    scale: Scale, row: TrainedRow, at: paths.Paths, train: Tokens, dev: Tokens, seed: int, label: str
) -> Trainer:
    """The row's training, on tokens that may be other than its own."""
    machine, encoding = runtime.start(scale.runtime), tokenizer.load(at.tokenizer)
    return Trainer(
        starting_model(row.settings, encoding, at.base, seed), train, dev, row.settings, row.context,
        seed=seed, machine=machine, label=label, shapes=tokenizer.shapes(encoding),
    )  # fmt: skip


def load_parts(at: paths.Paths) -> tuple[Tokens, Tokens]:
    """Train and dev."""
    n_vocab = tokenizer.load(at.tokenizer).n_vocab
    return load_tokens(at.tokens("train"), n_vocab), load_tokens(at.tokens("dev"), n_vocab)


def run(args: argparse.Namespace) -> None:
    at, of = paths.Paths(args.scale), commit()
    train, dev = load_parts(at)
    for variant, label in zip(args.variants, args.labels, strict=True):
        scale, row = find_row(args.scale, args.row, variant, args.epochs)
        for seed in args.seeds:
            started = time.perf_counter()
            trainer = trainer_of(scale, row, at, train, dev, seed, variant)
            model = trainer.model
            with tempfile.TemporaryDirectory() as folder:
                progress = trainer.run(Path(folder))
                last = Path(folder) / paths.LAST
                ended = load_model(last) if last.is_dir() else model
                line = {
                    "section": args.row, "variant": variant, "label": label, "seed": seed,
                    "dev_loss": round(losses.exact_loss(model, dev), 4),
                    "dev_loss_last": round(losses.exact_loss(ended, dev), 4),
                    "best_step": progress.best_step, "steps": progress.step,
                    "passes": round(progress.tokens / len(train), 2),
                    "minutes": round((time.perf_counter() - started) / 60, 1), "commit": of,
                }  # fmt: skip
            add_line(OUT, line)


def draw() -> None:
    """Dev loss of every variant, a panel for each row and length: its seeds as dots, their mean as a line."""
    import pandas as pd

    from gpt2_shakespeare.report.pictures.style import Figure  # matplotlib, whatever MPLBACKEND names

    table = pd.read_csv(OUT)
    passes = table["passes"].round().astype(int).astype(str)
    table["panel"] = table["section"] + ", " + passes + " passes over train, at commit " + table["commit"]
    panels = [part for _, part in table.groupby("panel", sort=False) if part["variant"].nunique() > 1]
    heights = [part["label"].nunique() for part in panels]
    figure = Figure(figsize=(9, 1.2 + 0.42 * (sum(heights) + len(heights))), dpi=110, layout="constrained")
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, part in zip(grid, panels, strict=True):
        order = part.groupby("label")["dev_loss"].mean().sort_values(ascending=False)
        for place, (variant, mean) in enumerate(order.items()):
            losses = part.loc[part["label"] == variant, "dev_loss"]
            axes.plot(losses, [place] * len(losses), "o", color="#0072B2", markersize=6)
            axes.plot([mean, mean], [place - 0.3, place + 0.3], color="black", linewidth=1.5)
            axes.annotate(
                f"{mean:.3f}", (losses.max(), place), xytext=(8, -3), textcoords="offset points", fontsize=9
            )
        axes.set_yticks(range(len(order)), [textwrap.fill(str(name), 60) for name in order.index], fontsize=9)
        axes.set_ylim(-0.6, len(order) - 0.4)
        axes.margins(x=0.12)
        axes.set_title(part["panel"].iloc[0], fontsize=10, loc="left")
        axes.grid(axis="x", color="#e6e6e6")
        axes.spines[["top", "right"]].set_visible(False)
    grid[-1].set_xlabel("dev loss (exact, best weights), nats per token")
    figure.savefig(OUT.with_suffix(".png"), metadata={"Software": None})


if __name__ == "__main__":
    main()
