"""The pictures: they show what was measured, every row has a look of its own, and no labels overlap."""

import itertools

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import MODELS, ROWS, TRAINED, change, fill, metrics, params, put, texts
from tiny import fuzz

from gpt2_shakespeare.params import Row
from gpt2_shakespeare.report import losses as all_losses
from gpt2_shakespeare.report import texts as all_texts
from gpt2_shakespeare.report.pictures import bars, curves, forgetting, memorisation, names, style
from gpt2_shakespeare.report.writing import write


def probe(at, row: str, seed: int = 1337, **columns: float) -> None:
    """Add columns to a history, at every fifth line."""
    table = pd.read_csv(at.history(row, seed))
    for name, value in columns.items():
        table[name] = [value if step % 100 == 0 else None for step in table["step"]]
    table.to_csv(at.history(row, seed), index=False)


def test_todays_rows_have_their_colours():
    looks = style.looks(ROWS)
    assert {row: looks[row].colour for row in TRAINED} == {
        "scratch": "#D55E00",
        "scratch_tuned": "#E69F00",
        "scratch_same": "#603000",
        "finetune": "#56B4E9",
        "finetune_long": "#0072B2",
        "finetune_tuned": "#009E73",
        "finetune_lora": "#CC79A7",
    }
    for row in ROWS:
        if row.of:
            assert looks[row.name] == looks[row.of]
    greys = {looks[row.name].colour for row in ROWS if row.kind in ("baseline", "base")}
    assert greys == {style.BASELINE, style.BASE}


def test_many_rows_have_a_look_each():
    many = [Row(name=f"row_{number}", kind="scratch") for number in range(32)]
    looks = style.looks(many)
    assert len(set(looks.values())) == 32
    assert len({looks[f"row_{number}"].colour for number in range(8)}) == 8
    assert looks["row_8"].colour == looks["row_0"].colour and looks["row_8"].line != looks["row_0"].line


def test_labels_move_as_little_as_they_can():
    assert style.spread([0.0, 0.5, 1.0], 0.25) == [0.0, 0.5, 1.0]
    assert style.spread([0.5, 0.5], 0.25) == pytest.approx([0.375, 0.625])
    assert style.spread([0.0, 0.5, 0.5, 0.5], 0.25) == pytest.approx([0.0, 0.25, 0.5, 0.75])
    assert style.spread([1.0, 1.0], 0.25) == pytest.approx([0.75, 1.0])  # and don't leave the picture
    assert style.spread([], 0.5) == []


@fuzz
@given(st.lists(st.floats(0, 1), max_size=12).map(sorted), st.floats(0.01, 0.08))
def test_labels_are_a_gap_apart_and_keep_their_order(places, gap):
    moved = style.spread(places, gap)
    assert len(moved) == len(places)
    assert all(after - before >= gap - 1e-9 for before, after in itertools.pairwise(moved))
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in moved)
    far_apart = all(after - before >= gap for before, after in itertools.pairwise(places))
    assert not far_apart or moved == pytest.approx(places)


def test_labels_of_curves_do_not_overlap_and_stand_near_their_values():
    at = fill(seeds=(1, 2))
    for row in TRAINED:  # all end at the same loss
        for seed in (1, 2):
            put(at.history(row, seed), "step,passes,train_loss,dev_loss\n200,1,4,5\n400,3,3,4.5\n")
    figure = curves.draw(all_losses.read(params(seeds=(1, 2))))
    figure.draw_without_rendering()
    labels = {text.get_text(): text.get_window_extent() for text in figure.axes[0].texts}
    assert set(labels) == {"base 5.00", *(f"{row} 4.50" for row in TRAINED)}
    for one, other in itertools.combinations(labels.values(), 2):
        assert not one.overlaps(other)
    heights = [(box.y0 + box.y1) / 2 for text, box in labels.items() if text.endswith("4.50")]
    at_value = figure.axes[0].transData.transform((1, 4.5))[1]
    assert sum(heights) / len(heights) == pytest.approx(at_value, abs=3)


def test_what_is_published_is_marked_at_its_value_and_said_to_be_of_another_base():
    fill()
    figure = bars.draw(all_losses.read(params()))
    (marks,) = figure.axes[0].lines
    assert list(marks.get_xdata()) == [4.75, 3.3424, 3.20]
    assert [ROWS[place].name for place in marks.get_ydata()] == ["scratch", "finetune", "finetune_long"]
    assert "of another model and another base" in marks.get_label()
    figure = bars.draw(all_losses.read(params(source="hub", corpus=None)))
    assert "another" not in figure.axes[0].lines[0].get_label()


def test_the_forgetting_picture_is_drawn_from_the_histories():
    at = fill()
    for row in ("finetune", "finetune_long"):
        probe(at, row, other_loss_wikitext=4.6)
    before = (write(params()) / "forgetting.png").read_bytes()
    change(at.evaluation("base", 1337), other_loss_wikitext=4.4, kl_wikitext=0.0)
    assert (write(params()) / "forgetting.png").read_bytes() != before
    assert "other_loss_wikitext" in pd.read_csv(at.metrics / "curves.csv")


def test_forgetting_starts_at_the_base():
    at = fill()
    change(at.evaluation("base", 1337), other_loss_wikitext=4.4, kl_wikitext=0.0)
    probe(at, "finetune", other_loss_wikitext=4.6)
    start, curve, base = forgetting.draw(all_losses.read(params())).axes[0].lines
    assert (start.get_xdata()[0], start.get_ydata()[0]) == (base.get_xdata()[0], 4.4) == (5.0, 4.4)
    assert (start.get_xdata()[1], start.get_ydata()[1]) == (curve.get_xdata()[0], 4.6)


def test_the_probability_of_a_name_is_drawn():
    at = fill()
    before = (write(params()) / "names.png").read_bytes()
    change(at.evaluation("base", 1337), other_loss_wikitext=4.4, kl_wikitext=0.0, p_name=3.07e-8)
    change(at.evaluation("scratch", 1337), other_loss_wikitext=5.4, kl_wikitext=1.0, p_name=0.2268)
    probe(at, "finetune", p_name=2e-8)
    assert (write(params()) / "names.png").read_bytes() != before
    assert 2e-8 in set(pd.read_csv(at.metrics / "curves.csv")["p_name"])
    figure = names.draw(all_losses.read(params()))
    assert {text.get_text() for text in figure.axes[0].texts} == {"finetune", "scratch"}


def test_a_probability_of_zero_has_no_place_on_a_log_scale_and_does_no_harm():
    at = fill()
    change(at.evaluation("base", 1337), p_name=1e-8)
    probe(at, "finetune", p_name=0.0)
    probe(at, "finetune_long", p_name=0.5)
    assert {text.get_text() for text in names.draw(all_losses.read(params())).axes[0].texts} == {
        "finetune_long"
    }


def test_a_few_lucky_prefixes_are_no_tail():
    at = fill(seeds=(1, 2))
    n = params().analysis.prefixes  # of each seed
    for row in MODELS:
        for seed in (1, 2):
            recalled = [
                9 / n,
                3 / n,
                1 / n if seed == 1 else 2 / n,
                1 / n,
                0.0,
            ]  # 3 and 2 of both seeds together
            put(at.texts(row, seed), texts() | {"recall_train": {"recalled": recalled, "mean_matched": 1.0}})
    settings = params(seeds=(1, 2))
    figure = memorisation.draw(all_texts.read(settings), settings, "title")
    lengths = {tuple(line.get_xdata()) for line in figure.axes[1].lines if line.get_linestyle() == "-"}
    assert lengths == {(1, 2, 3), (1, 2)}  # the base is one model: 3 prefixes, then 2
    assert not figure.axes[0].get_legend()  # it lies beside the axes, not on the curves


def test_with_a_row_missing_and_without_any_history_all_pictures_are_drawn():
    at = fill()
    at.evaluation("finetune", 1337).unlink()
    at.texts("scratch", 1337).unlink()
    at.decoding("base").unlink()
    at.texts("human").unlink()
    for row in TRAINED:
        at.history(row, 1337).unlink()
    write(params())
    for name in ("loss_curves", "val_loss", "forgetting", "names", "memorisation", "decoding"):
        assert (at.metrics / f"{name}.png").stat().st_size > 5000
    assert (at.metrics / "curves.csv").read_text() == "row,seed,step,passes,train_loss,dev_loss\n"
    assert "finetune" not in metrics(at)
