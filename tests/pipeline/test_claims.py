"""Each figure in docs/findings.md is one of the committed metrics: docs/claims.csv says which.

A claim quotes the page with its number in [brackets]. `row` may have a temperature and a top-p: a cell of the grid. `less`
names a row to be subtracted, `a - b` in `figure` another figure. In table.md `row` and `figure` find a number: the
standard deviation of a difference as `<row> ±`, or what follows a word in a sentence. Without a file, `row` says whence.
"""

import csv
import re
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
CLAIMS = list(csv.DictReader((ROOT / "docs/claims.csv").read_text(encoding="utf-8").splitlines()))
PAGE = " ".join((ROOT / "docs/findings.md").read_text(encoding="utf-8").split())
# Figures are what has a decimal point or a percent sign; settings of decoding are no figures
FIGURE = re.compile(r"\d+\.\d+|\d+ %")
SETTINGS = re.compile(r"p = 0\.\d|temperature \d(\.\d)?|top-p 0\.\d")


@cache
def table(file: str) -> pd.DataFrame:
    return pd.read_csv(ROOT / "metrics" / file)


def figure(file: str, row: str, name: str) -> float:
    """A mean over the seeds."""
    found = table(file)
    name_of_row, *cell = row.split(" ")
    if "part" in found:
        found = found[found["part"] == ("grid" if cell else "texts")]
    if cell:
        temperature, top_p = map(float, cell)
        found = found[(found["temperature"] == temperature) & (found["top_p"] == top_p)]
    values = found[found["row"] == name_of_row][name]
    assert len(values) and values.notna().all(), f"{file}: no {name} of {row}"
    return float(values.mean())


def in_page(file: str, row: str, what: str) -> float:
    """A number that a page shows: in the table of differences, or in a line behind a word."""
    lines = (ROOT / "metrics" / file).read_text(encoding="utf-8").splitlines()
    if what.endswith(" ±"):
        part = lines[lines.index("# Differences and their spread") :]
        heads, *rows = (
            [cell.strip() for cell in line.strip("|").split("|")] for line in part if line.startswith("|")
        )
        cells = dict(zip(heads, next(cells for cells in rows if cells[0] == row), strict=True))
        return float(re.search(r"± ([\d.]+)", cells[what.removesuffix(" ±")])[1])
    line = next(line for line in lines if row in line)
    return float(re.search(rf"{re.escape(what)} ?(\d+\.\d+)", line)[1])


def value(claim: dict[str, str]) -> float:
    file, row, names = claim["file"], claim["row"], claim["figure"].split(" - ")
    if file.endswith(".md"):
        return in_page(file, row, claim["figure"])
    found = figure(file, row, names[0])
    found -= figure(file, row, names[1]) if len(names) > 1 else 0
    return found - (figure(file, claim["less"], names[0]) if claim["less"] else 0)


def printed(claim: dict[str, str]) -> str:
    """The value with the digits and in the unit of the claim."""
    _, number, after = re.split(r"[\[\]]", claim["words"])
    unit = 100 if after.startswith(" %") else 1e-6 if after.startswith(" M") else 1
    return f"{value(claim) * unit:.{len(number.partition('.')[2])}f}"


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim["words"])
def test_the_page_says_what_the_metrics_say(claim):
    _, number, _ = re.split(r"[\[\]]", claim["words"])
    assert PAGE.count(re.sub(r"[\[\]]", "", claim["words"])) == 1, "not on the page, or more than once"
    assert printed(claim) == number if claim["file"] else claim["row"]


def test_every_figure_of_the_page_is_tied_to_its_source():
    tied = set()
    for claim in CLAIMS:
        before, number, after = re.split(r"[\[\]]", claim["words"])
        tied.add(PAGE.index(before + number + after) + len(before))
    settings = {place for match in SETTINGS.finditer(PAGE) for place in range(*match.span())}
    loose = [
        PAGE[match.start() - 40 : match.end() + 10]
        for match in FIGURE.finditer(PAGE)
        if match.start() not in tied | settings
    ]
    assert not loose
