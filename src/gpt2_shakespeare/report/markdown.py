"""Markdown from data frames and texts."""

import re
import unicodedata
from collections.abc import Container
from typing import Any

import pandas as pd

DASH = "–"  # a figure that isn't there


def shown(value: Any, form: str = "") -> str:
    """A figure in a format of Python's; a dash where there is none."""
    return DASH if value is None or value == "" or value != value else format(value, form)


def listed(names: list[str]) -> str:
    """a, b and c"""
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def table(frame: pd.DataFrame, left: Container[str] = ()) -> str:
    """A table of strings, the index as its first column; columns are aligned right, save those in `left`."""
    frame = frame.reset_index(names=str(frame.index.name or ""))
    rule = "|---|" + "".join("---|" if name in left else "---:|" for name in frame.columns[1:])
    first, *rest = (
        "| " + " | ".join(map(_in_cell, line)) + " |" for line in [frame.columns, *frame.to_numpy()]
    )
    return "\n".join([first, rule, *rest])


def _in_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def fenced(text: str) -> str:
    """A code block that no backticks inside can close; control characters become U+FFFD."""
    text = "".join(
        char if char in "\n\t" or unicodedata.category(char)[0] != "C" else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    end = "" if text.endswith("\n") else "\n"
    return f"{fence}text\n{text}{end}{fence}"
