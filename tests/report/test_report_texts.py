"""Tables of the texts from made-up figures: means by hand, and what is missing is said and never a zero."""

import json
import logging
import math
import statistics

import pandas as pd
import pytest
from made_up import MODELS, cells, change_figures, fill, grid, params, put

from gpt2_shakespeare.errors import UserError
from gpt2_shakespeare.paths import Paths
from gpt2_shakespeare.report.texts import Texts
from gpt2_shakespeare.report.writing import write

pytestmark = pytest.mark.usefixtures("no_pictures")


def csv(at: Paths) -> pd.DataFrame:
    return pd.read_csv(at.metrics / "analysis.csv", dtype=str, keep_default_na=False)


ZIPF = math.log((1 + math.exp(0.1)) / 2)  # what the mean of human text's draws is off the rows by


def test_every_row_stands_in_every_table_and_human_text_comes_first():
    at = fill()
    write(params())
    for table in range(3):
        for row in ("human", *MODELS):
            assert cells(at, row, table)["Row"] == row
    first = cells(at, "scratch", 0)
    assert first["4-grams in train"] == "24.00%" and first["Longest match"] == "15"
    assert (first["Recalled of train"], first["All recalled, val"]) == ("0.88", "0.00%")
    assert cells(at, "human", 0)["Recalled of train"] == "–"
    assert list(csv(at)["row"].unique()) == ["human", *MODELS]


def test_seeds_become_mean_and_spread():
    at = fill(seeds=(1, 2, 3))
    write(params(seeds=(1, 2, 3)))
    assert cells(at, "scratch", 1)["Bits/char, scorer of dev"] == "2.300 ± 0.100"
    assert cells(at, "base", 1)["Bits/char, scorer of dev"] == "2.200"
    lines = csv(at).query("row == 'scratch' and part == 'texts'")
    assert list(lines["seed"]) == ["1", "2", "3"]
    assert list(lines["bits_per_char_dev"]) == ["2.2", "2.3", "2.4"]


def test_the_distance_from_human_text_by_hand():
    at = fill()
    write(params())
    # two of five figures differ: 2.2 bits from 2.0, and Zipf's from its mean over two draws, which are a factor of exp(0.1) apart
    assert cells(at, "scratch", 2)["Off human"] == f"{(math.log(1.1) + ZIPF) / 5:.3f}"
    assert (
        cells(at, "human", 2)["Off human"] == f"{0.1 / 5:.3f}"
    )  # no spread: two draws are equally far from each other
    assert (
        cells(at, "human", 2)["Zipf"]
        == f"{0.9 * (1 + math.exp(0.1)) / 2:.3f} ± {0.9 * (math.exp(0.1) - 1) / 2**0.5:.3f}"
    )


def test_the_best_decoding_and_the_corners():
    at = fill()
    write(params())
    row = cells(at, "finetune", 3)
    assert row["at"] == "temperature 0.8, top-p 1" and row["best"] == f"{(math.log(1.1) + ZIPF) / 5:.3f}"
    assert row["greedy"] == f"{(math.log(1.9) + ZIPF) / 5:.3f}"
    assert row["pure sampling"] == f"{(math.log(1.3) + ZIPF) / 5:.3f}"
    grid_lines = csv(at).query("row == 'finetune' and part == 'grid'")
    assert len(grid_lines) == len(params().analysis.decodings()) == 10


def test_greedy_samples_have_a_column_beside_that_of_the_grid():
    at = fill()
    write(params(change=lambda raw: raw["sample"].update(temperature=0)))
    lines = (at.metrics / "analysis.md").read_text(encoding="utf-8").split("## Decoding")[1].splitlines()
    assert lines[2] == "| Row | greedy | pure sampling | greedy | best | at |"
    assert f"| finetune | {(math.log(1.9) + ZIPF) / 5:.3f} | " in "\n".join(lines)


def test_a_row_without_figures_is_missing_and_says_why(caplog):
    at = fill(seeds=(1, 2))
    at.texts("scratch", 2).unlink()
    put(at.texts("finetune", 1), "{")
    change_figures(at.texts("finetune_long", 2), zipf=float("nan"))
    with caplog.at_level(logging.WARNING):
        write(params(seeds=(1, 2)))
    for table in range(3):
        for row, reason in {
            "scratch": "data/novels/texts/scratch-2.json: not there",
            "finetune": "data/novels/texts/finetune-1.json: broken, not valid JSON",
            "finetune_long": "data/novels/texts/finetune_long-2.json: zipf is nan",
        }.items():
            _, shown, *others = cells(at, row, table).values()
            assert shown == f"missing: {reason}" and not any(others)
            assert f"{row} is missing: {reason}" in caplog.text
        assert "missing" not in str(cells(at, "base", table))
    line = csv(at).query("row == 'scratch' and part == 'texts'").iloc[0]
    assert line["notes"].startswith("missing: ") and line["zipf"] == ""


def test_a_row_without_recall_is_missing_and_says_so():
    at = fill()
    put(
        at.texts("scratch", 1337),
        {"figures": {"zipf": 1.0}, "recall_train": {"recalled": [], "mean_matched": 1}},
    )
    write(params())
    assert "scratch-1337.json: no recall of train in it" in str(cells(at, "scratch", 0))


def test_what_the_untouched_base_knows_by_heart_has_a_table_of_its_own():
    at = fill()
    write(params())
    assert "knows by heart" not in (at.metrics / "analysis.md").read_text(encoding="utf-8")
    found = json.loads(at.texts("base").read_text())
    put(at.texts("base"), found | {"recall_plays": {"recalled": [0.5, 0.125], "mean_matched": 0.625}})
    write(params())
    page = (at.metrics / "analysis.md").read_text(encoding="utf-8")
    table = page.split("## What the untouched base knows by heart")[1].split("##")[0]
    assert "| Generated plays | 0.62 | 12.50% |" in table and "| train |" in table and "WikiText" not in table


def test_a_missing_grid_is_said_and_the_rest_stands():
    at = fill()
    at.decoding("base").unlink()
    put(at.decoding("scratch"), {"cells": grid()["cells"][1:]})
    put(at.decoding("finetune"), {"cells": [1]})
    write(params())
    assert "missing: data/novels/decoding/base.json: not there" in str(cells(at, "base", 3))
    assert "of other temperatures or top_ps than params.yaml's" in str(cells(at, "scratch", 3))
    assert "no cells of a temperature and a top_p in it" in str(cells(at, "finetune", 3))
    assert cells(at, "base", 0)["Longest match"] == "15"


def test_without_human_text_nothing_is_compared_with_it():
    at = fill()
    at.texts("human").unlink()
    write(params())
    assert "human.json: not there" in str(cells(at, "human", 0))
    assert cells(at, "scratch", 2)["Off human"] == "–"
    assert cells(at, "scratch", 3)["best"] == "–"


def test_a_figure_that_texts_do_not_have_is_a_dash_and_no_zero():
    at = fill(seeds=(1, 2))
    change_figures(at.texts("base"), headings=0, names_train=None, turn_distance=None)
    change_figures(at.texts("scratch", 2), turn_distance=None)
    write(params(seeds=(1, 2)))
    base = cells(at, "base", 1)
    assert (base["Headings"], base["… of train"], base["Turns"]) == ("0", "–", "–")
    assert cells(at, "scratch", 1)["Turns"] == "–"  # a mean over fewer seeds would mislead
    line = csv(at).query("row == 'base' and part == 'texts'").iloc[0]
    assert line["names_train"] == "" and line["headings"] == "0"


def test_with_no_texts_to_report_it_ends_in_one_line():
    at = fill()
    for path in at.texts("human").parent.iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"no texts of scale novels have been analysed: .*; run `dvc repro`"):
        write(params())
    assert not at.metrics.exists()


def test_spread_is_that_of_the_sample():
    row = Texts("scratch", figures={1: {"zipf": 1.0}, 2: {"zipf": 2.0}})
    assert row.shown("zipf", ".3f") == f"1.500 ± {statistics.stdev([1.0, 2.0]):.3f}"
