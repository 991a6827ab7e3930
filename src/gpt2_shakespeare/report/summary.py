"""The report in a terminal: its main table, where the rest lies, and what to type next."""

import itertools
import textwrap
from pathlib import Path

import pandas as pd

from gpt2_shakespeare.paths import Paths
from gpt2_shakespeare.report import pictures, writing
from gpt2_shakespeare.report.files import ReportError
from gpt2_shakespeare.report.markdown import DASH

WIDTH = 110
# Heading -> figure
COLUMNS = {
    "train": "train_loss", "dev": "dev_loss", "val": "val_loss", "last": "val_loss_last",
    "ref protocol": "val_loss_reference", "perplexity": "perplexity", "bits/char": "bits_per_char",
}  # fmt: skip
FILES = {
    "one page": (writing.PAGE,),
    "parts": (writing.TABLE_MD, writing.ANALYSIS_MD, writing.SAMPLES_MD),
    "pictures": (*pictures.OF_LOSSES, *pictures.OF_LEARNING, *pictures.OF_TEXTS),
    "all figures": (writing.TABLE_CSV, writing.CURVES, writing.LEARNING, writing.ANALYSIS_CSV),
}
NEXT = {
    ". .venv/bin/activate": "once in each terminal, before the commands below",
    "gpt2-shakespeare page": "open the page: charts, samples side by side, settings",
    'gpt2-shakespeare sample "KING:"': "continue a prompt of your own",
    "dvc metrics show": "the figures of the rows; after a change: dvc metrics diff",
    "dvc exp run -S epochs=6": "fine-tune for longer; runs only what depends on it",
    "dvc exp run -S scale=novels": "Tiny Shakespeare, on a CPU (hours)",
}


def summary(scale: str) -> str:
    """What `writing` left, in plain text of at most WIDTH columns.

    Raises:
        ReportError: there is no table yet.
    """
    out = Paths(scale).metrics
    try:
        table = pd.read_csv(out / writing.TABLE_CSV, dtype=str, keep_default_na=False)
        table = table[["row", *COLUMNS.values(), "notes"]]
        lines = (out / writing.TABLE_MD).read_text(encoding="utf-8").splitlines()
        heading = textwrap.fill(lines[0].lstrip("# "), WIDTH)
    except (OSError, ValueError, LookupError):
        raise ReportError(
            f"{out}: no readable {writing.TABLE_CSV} and {writing.TABLE_MD} there; run `dvc repro`"
        ) from None
    return "\n\n".join([heading, *_found(lines), _table(table), _files(out), _next(scale)])


def _found(lines: list[str]) -> list[str]:
    """The finding, which stands as a list before the page's table."""
    before = itertools.takewhile(lambda line: not line.startswith("|"), lines)
    found = [
        textwrap.fill(line, WIDTH, break_on_hyphens=False, subsequent_indent="  ")
        for line in before
        if line.startswith("- ")
    ]
    return ["\n".join(found)] if found else []


def _table(table: pd.DataFrame) -> str:
    first = max(map(len, ("row", *table["row"])))
    widths = {head: max(9, len(head)) for head in COLUMNS}
    lines = [f"{'row':{first}}" + "".join(f"  {head:>{width}}" for head, width in widths.items())]
    for row in table.to_dict("records"):
        if row["val_loss"]:
            cells = [f"{float(row[key]):.4f}" if row[key] else DASH for key in COLUMNS.values()]
            text = "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths.values(), strict=True))
        else:
            text = "  " + textwrap.shorten(row["notes"], WIDTH - 2 - first, placeholder=" …")
        lines.append(f"{row['row']:{first}}{text}")
    return "\n".join(lines)


def _files(folder: Path) -> str:
    return "\n".join(
        textwrap.fill(
            ", ".join(there), WIDTH, break_on_hyphens=False,
            initial_indent=f"{kind + ':':13}", subsequent_indent=" " * 13,
        )
        for kind, names in FILES.items()
        if (there := [str(folder / name) for name in names if (folder / name).exists()])
    )  # fmt: skip


def _next(scale: str) -> str:
    commands = {command: what for command, what in NEXT.items() if not command.endswith(f"scale={scale}")}
    width = max(map(len, commands))
    return "\n".join(["next:", *(f"  {command:{width}}  {what}" for command, what in commands.items())])
