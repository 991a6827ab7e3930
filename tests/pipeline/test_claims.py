"""Each figure in docs/findings.md and in README's findings is one of the committed metrics: docs/claims.csv says which.

A claim quotes the page with its number in [brackets]. `row` may have a temperature and a top-p: a cell of the grid. `less`
names a row to be subtracted, `a - b` in `figure` another figure. Of benchmarks/forgetting.csv, `row` is `<scale>; <label>; <share>`. In table.md `row` and `figure` find a number: the
standard deviation of a difference as `<row> ±`, or what follows a word in a sentence. Without a file, `row` says whence.
"""

import csv
import math
import re
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
CLAIMS = list(csv.DictReader((ROOT / "docs/claims.csv").read_text(encoding="utf-8").splitlines()))
PAGES = {
    page: " ".join((ROOT / page).read_text(encoding="utf-8").split())
    for page in ("docs/findings.md", "README.md")
}
# Of the README the findings and the results; its tables of results are below
START, END = "## What was found", "## Start"
PARTS = {
    "docs/findings.md": PAGES["docs/findings.md"],
    "README.md": PAGES["README.md"].split(START)[1].split(END)[0],
}
CHARS_PER_TOKEN = 3.083  # of GPT-2's, in val
# Figures are what has a decimal point or a percent sign; settings of decoding are no figures
FIGURE = re.compile(r"\d+\.\d+|\d+ %")
SETTINGS = re.compile(r"p = 0\.\d|temperature \d(\.\d)?|top-p 0\.\d")


@cache
def table(file: str) -> pd.DataFrame:
    return pd.read_csv(ROOT / "metrics" / file)


def figure(file: str, row: str, name: str) -> float:
    """A mean over the seeds."""
    found = table(file)
    if "label" in found:
        scale, label, share = row.split("; ")
        (value,) = found[
            (found["scale"] == scale) & (found["label"] == label) & (found["share"] == float(share))
        ][name]
        return float(value)
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
    page = PAGES[claim["page"]]
    assert page.count(re.sub(r"[\[\]]", "", claim["words"])) == 1, "not on the page, or more than once"
    assert printed(claim) == number if claim["file"] else claim["row"]


@pytest.mark.parametrize("page", PARTS)
def test_every_figure_of_the_page_is_tied_to_its_source(page):
    text, tied = PARTS[page], set()
    for claim in CLAIMS:
        before, number, after = re.split(r"[\[\]]", claim["words"])
        if claim["page"] == page and before + number + after in text:
            tied.add(text.index(before + number + after) + len(before))
    settings = {place for match in SETTINGS.finditer(text) for place in range(*match.span())}
    loose = [
        text[match.start() - 40 : match.end() + 10]
        for match in FIGURE.finditer(text)
        if match.start() not in tied | settings
    ]
    assert not loose


def test_readmes_table_is_that_of_the_scale():
    part = (
        (ROOT / "README.md")
        .read_text(encoding="utf-8")
        .split("## Results on Tiny Shakespeare")[1]
        .split("## Use")[0]
    )
    rows = [
        [cell.strip(" *") for cell in line.strip("|").split("|")]
        for line in part.splitlines()
        if line.startswith("| `")
    ]
    names = [cells[0].split("`")[1] for cells in rows]
    known = table("laptop/table.csv").set_index("row")
    assert len(names) > 5 and set(known.index[known["val_loss"].notna()]) - set(names) <= {
        "unigram",
        "trigram_cache",
    }
    for name, (_, parameters, passes, *losses) in zip(names, rows, strict=True):
        facts = known.loc[name]
        bits = facts["bits_per_char"]
        shown = [f"{facts['dev_loss']:.3f}", f"{facts['val_loss']:.3f}", f"{bits:.3f}"]
        assert losses == [*shown, f"{bits * CHARS_PER_TOKEN * math.log(2):.2f}"], name
        assert passes == ("–" if math.isnan(facts["passes"]) else f"{facts['passes']:.0f}"), name
        size = facts["parameters"]
        assert parameters == ("–" if math.isnan(size) else f"{size / 1e6:.0f} M"), name
