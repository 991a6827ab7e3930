"""The summary in a terminal."""

import re
from pathlib import Path

import pytest
from made_up import fill, params, put

from gpt2_shakespeare.paths import Paths
from gpt2_shakespeare.report.files import ReportError
from gpt2_shakespeare.report.summary import summary
from gpt2_shakespeare.report.writing import write


def test_summary_needs_nothing_but_the_committed_files():
    at = fill(seeds=(1, 2))
    write(params(seeds=(1, 2)))
    for path in Path("data").rglob("*.json"):
        path.unlink()
    text = summary("novels")
    assert all(len(one) <= 110 for one in text.splitlines())
    (finetune,) = [one.split() for one in text.splitlines() if one.startswith("finetune ")]
    assert "- Fine-tuning a pretrained model" in text and "- Counting n-grams" in text
    assert finetune[1:5] == ["3.9100", "4.3100", "4.4100", "4.4100"]
    for path in at.metrics.iterdir():
        assert path == at.rows or str(path) in text
    (at.metrics / "page.html").unlink()
    assert "page.html" not in summary("novels")  # as in a committed run that has none


@pytest.mark.usefixtures("no_pictures")
def test_headings_stand_apart_over_their_columns():
    fill()
    write(params())
    lines = summary("novels").splitlines()
    head = next(one for one in lines if one.startswith("row "))
    row = next(one for one in lines if one.startswith("finetune "))
    heads = ["row", "train", "dev", "val", "last", "ref protocol", "perplexity", "bits/char"]
    assert re.split(r"\s{2,}", head) == heads
    ends = [match.end() for match in re.finditer(r"\S+", row)]
    assert ends[1:] == [head.index(name) + len(name) for name in heads[1:]]


@pytest.mark.usefixtures("no_pictures")
def test_summary_ends_with_what_to_type_next():
    fill()
    write(params())
    fill("demo", corpus="plays")
    write(params("demo"))
    for scale in ("demo", "novels"):
        last = summary(scale).split("\n\n")[-1]
        assert last.startswith("next:\n") and "dvc metrics show" in last
        assert ("scale=novels" in last) == (scale == "demo")


@pytest.mark.parametrize("table", [None, "", "row,notes\n"])
def test_summary_without_a_report_says_what_to_do(table):
    if table is not None:
        put(Paths("demo").metrics / "table.csv", table)
        put(Paths("demo").metrics / "table.md", "# heading")
    with pytest.raises(ReportError, match="metrics/demo: .*run `dvc repro`"):
        summary("demo")
