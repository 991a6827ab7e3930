"""Tables and pictures of the texts from made-up figures: means by hand, and what is missing is said and never a zero."""

import json
import logging
import math
import statistics
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from gpt2_shakespeare.errors import UserError
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.paths import Paths
from gpt2_shakespeare.report import analysis as report_analysis

PARAMS = schema.load(Path(__file__).parents[2] / "params.yaml")
HUMAN = {
    **{f"in_train_{n}": share for n, share in {4: 0.24, 6: 0.08, 8: 0.04, 10: 0.01}.items()},
    "longest_match": 15, "mean_longest_match": 6.5, "bits_per_char_train": 2.0, "bits_per_char_dev": 2.0,
    "line_distance": 0.09, "turn_distance": 0.1, "heading_distance": 0.03, "headings": 76, "name_distance": 0.9,
    "names_train": 0.3, "names_prompt": 0.4, "names_neither": 0.3, "distinct_1": 0.3, "distinct_2": 0.6,
    "distinct_3": 0.8, "self_bleu": 0.3, "compression_ratio": 2.0, "repeated": 0.02, "zipf": 0.9,
}  # fmt: skip


def params(seeds: tuple[int, ...] = (1337,), scale: str = "laptop") -> schema.Params:
    return schema.parse(PARAMS.model_dump() | {"scale": scale, "seeds": list(seeds)})


def put(path: Path, facts: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(facts if isinstance(facts, str) else json.dumps(facts))


def figures(**changes: float | None) -> dict[str, float]:
    return {name: value for name, value in (HUMAN | changes).items() if value is not None}


def analysis(nth: int = 0, **changes: float | None) -> dict:
    """As stages/analyse.py writes it; the nth seed is 0.1 bits above the first."""
    return {
        "temperature": 0.8, "top_p": 0.9,
        "figures": figures(bits_per_char_dev=2.2 + 0.1 * nth, **changes),
        "recall_train": {"recalled": [0.5, 0.25, 0.125], "mean_matched": 0.875},
        "recall_val": {"recalled": [0.4, 0.1, 0.0], "mean_matched": 0.5},
    }  # fmt: skip


def grid() -> dict:
    """The further from temperature 0.8 and top-p 1, the further from human text."""

    def bits(temperature: float, top_p: float) -> float:
        return 2.0 * (1.1 + abs(temperature - 0.8) + 1 - top_p)

    cells = [
        {"temperature": t, "top_p": p, "figures": figures(bits_per_char_dev=bits(t, p))}
        for t, p in PARAMS.analysis.decodings()
    ]
    return {"cells": cells}


def fill(seeds: tuple[int, ...] = (1337,)) -> Paths:
    """What the stages before leave, in the current folder."""
    at = Paths("laptop")
    put(at.analysis("human", 0), {"figures": HUMAN, "other_draw": figures(zipf=0.9 * math.exp(0.1))})
    for row in schema.MODEL_ROWS:
        put(at.decoding(row), grid())
        for nth, seed in enumerate(seeds):
            put(at.analysis(row, seed), analysis(nth if row in schema.TRAINED_ROWS else 0))
    return at


def change(path: Path, **values: float | None) -> None:
    facts = json.loads(path.read_text())
    facts["figures"] = {key: value for key, value in (facts["figures"] | values).items() if value is not None}
    put(path, facts)


def cells(at: Paths, row: str, table: int) -> dict[str, str]:
    """The cells of a row by heading, in the nth table of analysis.md."""
    blocks = [block for block in (at.metrics / "analysis.md").read_text().split("\n\n") if block[0] == "|"]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in blocks[table].splitlines()]
    (found,) = [line for line in lines if line[0] == row]
    return dict(zip(lines[0], found, strict=True))


def csv(at: Paths) -> pd.DataFrame:
    return pd.read_csv(at.metrics / "analysis.csv", dtype=str, keep_default_na=False)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_row_stands_in_every_table_and_human_text_comes_first():
    at = fill()
    report_analysis.write(params())
    for table in range(3):
        for row in ("human", *schema.MODEL_ROWS):
            assert cells(at, row, table)["Row"] == row
    first = cells(at, "scratch", 0)
    assert first["4-grams in train"] == "24.00%" and first["Longest match"] == "15"
    assert (first["Recalled of train"], first["All recalled, val"]) == ("0.88", "0.00%")
    assert cells(at, "human", 0)["Recalled of train"] == "–"
    assert list(csv(at)["row"].unique()) == ["human", *schema.MODEL_ROWS]
    for name in ("decoding.png", "memorisation.png"):
        assert (at.metrics / name).stat().st_size > 5000


def test_seeds_become_mean_and_spread():
    at = fill((1, 2, 3))
    report_analysis.write(params((1, 2, 3)))
    assert cells(at, "scratch", 1)["Bits/char, scorer of dev"] == "2.300 ± 0.100"
    assert cells(at, "base", 1)["Bits/char, scorer of dev"] == "2.200"
    lines = csv(at).query("row == 'scratch' and part == 'texts'")
    assert list(lines["seed"]) == ["1", "2", "3"]
    assert list(lines["bits_per_char_dev"]) == ["2.2", "2.3", "2.4"]


def test_the_distance_from_human_text_by_hand():
    at = fill()
    report_analysis.write(params())
    # one of five figures differs: 2.2 bits from 2.0, and by a factor of exp(0.1) between two draws of human text
    assert cells(at, "scratch", 2)["Off human"] == f"{math.log(1.1) / 5:.3f}"
    assert cells(at, "human", 2)["Off human"] == f"{0.1 / 5:.3f}"


def test_the_best_decoding_and_the_corners():
    at = fill()
    report_analysis.write(params())
    row = cells(at, "finetune", 3)
    assert row["at"] == "temperature 0.8, top-p 1" and row["best"] == f"{math.log(1.1) / 5:.3f}"
    assert row["greedy"] == f"{math.log(1.9) / 5:.3f}"
    assert row["pure sampling"] == f"{math.log(1.3) / 5:.3f}"
    grid_lines = csv(at).query("row == 'finetune' and part == 'grid'")
    assert len(grid_lines) == len(PARAMS.analysis.decodings()) == 10


def test_a_row_without_analysis_is_missing_and_says_why(caplog):
    at = fill((1, 2))
    at.analysis("scratch", 2).unlink()
    put(at.analysis("finetune", 1), "{")
    change(at.analysis("finetune_long", 2), zipf=float("nan"))
    with caplog.at_level(logging.WARNING):
        report_analysis.write(params((1, 2)))
    for table in range(3):
        for row, reason in {
            "scratch": "data/laptop/analysis/scratch-2.json: not there",
            "finetune": "data/laptop/analysis/finetune-1.json: broken, not valid JSON",
            "finetune_long": "data/laptop/analysis/finetune_long-2.json: zipf is nan",
        }.items():
            _, shown, *others = cells(at, row, table).values()
            assert shown == f"missing: {reason}" and not any(others)
            assert f"{row} is missing: {reason}" in caplog.text
        assert "missing" not in str(cells(at, "base", table))
    line = csv(at).query("row == 'scratch' and part == 'texts'").iloc[0]
    assert line["notes"].startswith("missing: ") and line["zipf"] == ""


def test_a_missing_grid_is_said_and_the_rest_stands():
    at = fill()
    at.decoding("base").unlink()
    put(at.decoding("scratch"), {"cells": grid()["cells"][1:]})
    report_analysis.write(params())
    assert "missing: data/laptop/decoding/base.json: not there" in str(cells(at, "base", 3))
    assert "of other temperatures or top_ps than params.yaml's" in str(cells(at, "scratch", 3))
    assert cells(at, "base", 0)["Longest match"] == "15"
    assert (at.metrics / "decoding.png").stat().st_size > 5000


def test_without_human_text_nothing_is_compared_with_it():
    at = fill()
    at.analysis("human", 0).unlink()
    report_analysis.write(params())
    assert "human.json: not there" in str(cells(at, "human", 0))
    assert cells(at, "scratch", 2)["Off human"] == "–"
    assert cells(at, "scratch", 3)["best"] == "–"


def test_a_figure_that_texts_do_not_have_is_a_dash_and_no_zero():
    at = fill((1, 2))
    change(at.analysis("base", 0), headings=0, names_train=None, turn_distance=None)
    change(at.analysis("scratch", 2), turn_distance=None)
    report_analysis.write(params((1, 2)))
    base = cells(at, "base", 1)
    assert (base["Headings"], base["… of train"], base["Turns"]) == ("0", "–", "–")
    assert cells(at, "scratch", 1)["Turns"] == "–"  # a mean over fewer seeds would mislead
    line = csv(at).query("row == 'base' and part == 'texts'").iloc[0]
    assert line["names_train"] == "" and line["headings"] == "0"


def test_with_nothing_to_report_it_ends_in_one_line():
    with pytest.raises(UserError, match=r"no texts of scale laptop have been analysed: .*; run `dvc repro`"):
        report_analysis.write(params())
    assert not Paths("laptop").metrics.exists()


def test_the_same_figures_give_the_same_bytes():
    at = fill((1, 2))
    seen = []
    for _ in range(2):
        report_analysis.write(params((1, 2)))
        seen.append({file.name: file.read_bytes() for file in at.metrics.iterdir()})
    assert seen[0] == seen[1] and len(seen[0]) == 4


def test_it_imports_no_torch():
    code = "import gpt2_shakespeare.report.analysis, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_spread_is_that_of_the_sample():
    row = report_analysis.Row("scratch", {1: {"zipf": 1.0}, 2: {"zipf": 2.0}})
    assert row.shown("zipf", ".3f") == f"1.500 ± {statistics.stdev([1.0, 2.0]):.3f}"
