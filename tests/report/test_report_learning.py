"""Learning curves: their table, the share on which fine-tuning equals scratch, and what is missing."""

import math

import numpy as np
import pandas as pd
import pytest
from made_up import change, fill, params, part, put
from safetensors.numpy import save_file

from gpt2_shakespeare.report.learning import crossing
from gpt2_shakespeare.report.registry import LEARNING
from gpt2_shakespeare.report.writing import write

SHARES = (0.03, 0.1, 0.3, 1.0)
LOSSES = {"scratch": (6.0, 5.5, 5.0, 4.9), "finetune_long": (5.1, 4.95, 4.85, 4.2)}


def learned(losses=LOSSES):
    """What the stages leave, beside the results of all rows; a row's tokens differ, by as much at every share."""
    at = fill()
    spread = np.random.default_rng(1).normal(0, 1, 33_802)
    spread -= spread.mean()
    for row, values in losses.items():
        for share, loss in zip(SHARES, values, strict=True):
            file, each = at.evaluation(row, 1337), at.token_losses(row, 1337)
            if share < 1:
                file, each = at.learned(row, share), at.learned(row, share, ".safetensors")
                put(file, {"tokens": int(288_996 * share), "val_loss": loss})
            else:
                change(file, val_loss=loss)
            save_file({"val": (loss + spread).astype(np.float32)}, each)
    points = [{"share": share, "tokens": 9} | dict.fromkeys(LEARNING, 6.5) for share in SHARES[:-1]]
    put(at.learned_baselines, {"shares": points})
    return at


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(
    ("whole", "said"),
    [
        (4.9, "on 17 % of train equals scratch on all of it (95 % interval: 17 %)"),
        (5.2, "on less than 3 % of train"),
        (4.1, "on more than 100 % of train"),
    ],
)
def test_the_table_and_the_share_on_which_fine_tuning_equals_scratch(whole, said):
    at = learned(LOSSES | {"scratch": (6.0, 5.5, 5.3, whole)})
    change(at.evaluation("base"), val_loss=5.25)
    write(params())
    text, rows = part(at, "Val loss by the share of train")
    assert rows["scratch"] == ["6.0000", "5.5000", "5.3000", f"{whole:.4f}"]
    assert rows["trigram"] == ["6.5000"] * 3 + ["5.4900"] and f"finetune_long {said}" in text
    assert said in (at.metrics / "page.html").read_text(encoding="utf-8")
    table = pd.read_csv(at.metrics / "learning_curves.csv")
    assert len(table) == 16 and table.query("row == 'scratch'")["val_loss"].tolist()[-1] == whole


@pytest.mark.usefixtures("no_pictures")
def test_where_the_untouched_base_is_lower_no_share_is_named():
    at = learned(LOSSES | {"scratch": (6.0, 5.5, 5.3, 5.2)})
    change(at.evaluation("base"), val_loss=5.15)
    write(params())
    text, _ = part(at, "Val loss by the share of train")
    assert "The untouched base is lower than scratch on all of train (5.150 and 5.200)" in text
    page = (at.metrics / "page.html").read_text(encoding="utf-8")
    assert "equals scratch" not in text + page and "logarithm" not in text and "Interpolated" not in page


def test_a_crossing_is_interpolated_in_the_logarithm_of_the_share():
    assert crossing((0.01, 0.1, 1.0), (5.0, 4.0, 3.0), 3.5) == pytest.approx(math.sqrt(0.1))
    assert crossing((0.01, 0.1, 1.0), (5.0, 4.0, 3.0), 4.0) == pytest.approx(0.1)
    assert crossing((0.1, 1.0), (4.0, 3.0), 4.0) == 0 and crossing((0.1, 1.0), (4.0, 3.0), 2.9) == math.inf


@pytest.mark.usefixtures("no_pictures")
def test_a_missing_or_broken_result_leaves_the_part_out(caplog):
    at = learned()
    broken = at.learned("scratch", 0.1, ".safetensors")
    broken.write_bytes(b"nothing")
    for problem in (f"{broken}: broken", f"{at.learned('scratch', 0.1)}: not there"):
        write(params())
        assert f"learning curves are missing: {problem}" in caplog.text
        assert "share of train" not in (at.metrics / "table.md").read_text(encoding="utf-8")
        assert pd.read_csv(at.metrics / "learning_curves.csv").empty
        at.learned("scratch", 0.1).unlink(missing_ok=True)


@pytest.mark.usefixtures("no_pictures")
def test_without_trained_rows_what_counts_has_its_curves():
    at = learned()
    write(params(change=lambda raw: raw["learning_curves"].update(rows=[])))
    text, rows = part(at, "Val loss by the share of train")
    assert set(rows) == {"Row", *LEARNING} and "equals" not in text
    assert set(pd.read_csv(at.metrics / "learning_curves.csv")["row"]) == set(LEARNING)
