"""The table of results: a line a row, as CSV with every figure, as a page's table, and as DVC's metrics."""

import math
from typing import Any

import pandas as pd

from gpt2_shakespeare.report.losses import FIGURES, PARTS, Losses, Result
from gpt2_shakespeare.report.markdown import listed, shown
from gpt2_shakespeare.report.registry import CHARS_PER_GPT2_TOKEN, PROJECT_CORPUS
from gpt2_shakespeare.report.titles import base_name, corpus_name

# What `dvc metrics show` prints of a row; table.csv has everything.
METRICS = (
    "train_loss", "dev_loss", "val_loss", "val_loss_std", "val_loss_reference", "perplexity", "bits_per_char",
    "passes",
)  # fmt: skip
# Heading -> (figure, format)
COLUMNS = {
    "Train": ("train_loss", ".4f"),
    "Dev": ("dev_loss", ".4f"),
    "Val (exact)": ("val_loss", ".4f"),
    "Val at the last step": ("val_loss_last", ".4f"),
    "Val (reference's protocol)": ("val_loss_reference", ".4f"),
    "Reference": ("reference", ""),
    "Perplexity": ("perplexity", ",.2f"),
    "Bits/char": ("bits_per_char", ".3f"),
    "Passes": ("passes", ".2f"),
    "Parameters": ("parameters", ","),
}
GPT2_TOKEN = "Per GPT-2 token"  # where the tokens are others
NOTES = "Notes"


def metrics(losses: Losses) -> dict[str, dict[str, int | float]]:
    """The figures of METRICS by row; a missing row isn't there."""
    return {
        result.name: {name: result.figures[name] for name in METRICS if name in result.figures}
        for result in losses.results
        if not result.problem
    }


def csv(losses: Losses) -> str:
    """Every figure of every row; what is missing says why."""
    lines = [
        {"row": result.name, **result.figures, "reference": losses.published(result), "notes": _notes(result)}
        for result in losses.results
    ]
    table = pd.DataFrame(lines, columns=["row", *FIGURES, *PARTS, "reference", "notes"], dtype=object)
    return table.to_csv(index=False, lineterminator="\n")


def main(losses: Losses) -> pd.DataFrame:
    """The page's table, as strings."""
    lines = []
    others = losses.params.at_scale.tokenizer.source != "gpt2" and losses.corpus == PROJECT_CORPUS
    for result in losses.results:
        figures: dict[str, Any] = result.figures | {"reference": losses.published(result)}
        cells = {head: shown(figures.get(figure), form) for head, (figure, form) in COLUMNS.items()}
        if "val_loss_std" in figures:
            cells["Val (exact)"] += f" ± {figures['val_loss_std']:.4f}"
        if others:
            bits = result.figures.get("bits_per_char")
            nats = None if bits is None else bits * math.log(2) * CHARS_PER_GPT2_TOKEN
            cells[GPT2_TOKEN] = shown(nats, ".4f")
        lines.append(cells | {NOTES: _notes(result)})
    return by_row(lines, losses)


def by_row(lines: list[dict[str, str]], losses: Losses) -> pd.DataFrame:
    """A line for each row of the table."""
    return pd.DataFrame(lines, index=pd.Index([result.name for result in losses.results], name="Row"))


def heading(losses: Losses) -> str:
    """Scale, corpus, base, sizes and seeds, in a line."""
    params = losses.params
    tokens = ", ".join(f"{count:,} {part}" for part, count in losses.tokens.items())
    sizes: dict[str, list[str]] = {}
    for result in losses.results:
        if "parameters" in result.figures:
            size = f"{result.figures['parameters'] / 1e6:.3g}M parameters"
            sizes.setdefault(size, []).append(result.name)
    models = "; ".join(f"{listed(names)} {size}" for size, names in sizes.items())
    if len(sizes) == 1:
        models = f"models of {next(iter(sizes))}"
    seeds = sorted(params.seeds)
    named = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    return (
        f"Scale {params.scale}: {corpus_name(params, losses.corpus)} ({tokens} tokens); "
        f"base: {base_name(params)}; {models}; {named}"
    )


def _notes(result: Result) -> str:
    notes = f"missing: {result.problem}" if result.problem else "; ".join(result.notes)
    return " ".join(notes.split())
