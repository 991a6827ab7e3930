"""The tables beside the main one: where the loss is, what is forgotten, and which rows differ."""

import json

import pytest
from made_up import (
    MODELS,
    ROWS,
    TRAINED,
    add_row,
    change,
    figures,
    file,
    fill,
    line,
    metrics,
    params,
    part,
    put,
    token_losses,
)  # fmt: skip

from gpt2_shakespeare.report.losses import PARTS
from gpt2_shakespeare.report.registry import KINDS, OTHER_TEXTS
from gpt2_shakespeare.report.writing import write

pytestmark = pytest.mark.usefixtures("no_pictures")


def test_where_the_loss_is_has_a_table_of_its_own():
    at = fill()
    for row in ROWS:
        path = file(at, row.name, 1337)
        facts = json.loads(path.read_text())
        for kind in KINDS:
            facts |= {f"val_loss_{kind}": 3.0, f"val_tokens_{kind}": 1234}
        put(path, facts)
    write(params())
    head, lines = part(at, "Where the loss is")
    assert "Headings, new speaker (1,234)" in head
    assert lines["trigram"] == lines["finetune"] == ["3.000"] * 6
    assert figures(at).loc["finetune", "val_tokens_new_type"] == 1234
    assert not set(PARTS) & set(metrics(at)["finetune"])  # the metric stays easy to read


def test_without_kinds_there_is_no_such_table():
    at = fill()
    write(params())
    assert "Where the loss is" not in (at.metrics / "table.md").read_text(encoding="utf-8")


def test_what_is_forgotten_has_a_table_and_what_was_not_measured_is_a_dash():
    at = fill()
    for row in MODELS:
        base = row == "base"
        change(
            at.evaluation(row, 1337),
            other_loss_wikitext=4.5 if base else 5.25,
            kl_wikitext=0.0 if base else 0.5,
        )
    change(at.evaluation("scratch", 1337), other_loss_wikitext=None, kl_wikitext=None)
    write(params())
    head, lines = part(at, "Forgetting")
    assert "WikiText-2" in head and "Base's corpus" not in head.split("\n\n")[0]
    assert lines["base"] == ["4.500", "+0.000", "0.000"]
    assert lines["finetune"] == ["5.250", "+0.750", "0.500"]
    assert lines["scratch"] == ["–", "–", "–"] and "trigram" not in lines
    assert "at equal dev loss, WikiText-2: not measured" in head


def test_a_loss_that_has_fallen_is_not_called_forgotten():
    at = fill()
    for row in MODELS:
        change(at.evaluation(row, 1337), other_loss_wikitext=4.5 if row == "base" else 4.25, kl_wikitext=0.1)
    write(params())
    text = (at.metrics / "table.md").read_text(encoding="utf-8")
    assert "4.250 after fine-tuning" in text and "nothing is forgotten there." in text


def curve(at, row: str, points: list[tuple[float, float]], seed: int = 1337) -> None:
    """A history with these dev losses and losses on WikiText-2."""
    lines = ["step,passes,train_loss,dev_loss,other_loss_wikitext", "1,0.5,5,5,"]
    lines += [f"{2 + n},{n + 1},4,{x},{y}" for n, (x, y) in enumerate(points)]
    put(at.history(row, seed), "\n".join(lines))


@pytest.mark.parametrize(
    ("dev", "said"),
    [
        (4.45, "- finetune_lora and full fine-tuning at equal dev loss (4.450, the lowest of finetune_lora; between the "
               "points of finetune and finetune_long), WikiText-2: 5.100 and 5.350."),
        (4.7, "WikiText-2: no match. The lowest dev loss of finetune_lora is 4.700, and full fine-tuning was measured "
              "between 4.600 and 4.200."),
    ],
)  # fmt: skip
def test_lora_is_compared_where_it_has_learned_as_much(dev, said):
    at = fill()
    change(at.evaluation("base", 1337), other_loss_wikitext=4.5, kl_wikitext=0.0)
    curve(at, "finetune", [(4.6, 5.2)])
    curve(at, "finetune_long", [(4.5, 5.3), (4.2, 5.6)])
    curve(at, "finetune_lora", [(dev, 5.1)])
    write(params())
    assert said in part(at, "Forgetting")[0]


def test_every_row_with_adapters_is_compared_and_only_with_rows_of_the_same_settings():
    def change_rows(raw):
        add_row(raw, "other_lora", kind="lora", rank=4, alpha=8, learning_rate=0.001, dropout=0.0)
        add_row(raw, "finetune_longer", learning_rate=0.0007, epochs=12)
        add_row(raw, "finetune_other", learning_rate=0.0008)

    settings = params(change=change_rows)
    at = fill(rows=settings.rows)
    change(at.evaluation("base", 1337), other_loss_wikitext=4.5, kl_wikitext=0.0)
    for row in ("finetune", "finetune_long", "finetune_longer", "finetune_other"):
        curve(at, row, [(4.6, 5.2), (4.2, 5.6)])
    for row in ("finetune_lora", "other_lora"):
        curve(at, row, [(4.4, 5.1)])
    write(settings)
    page, _ = part(at, "Forgetting")
    for row in ("finetune_lora", "other_lora"):
        assert f"- {row} and full fine-tuning at equal dev loss (4.400, the lowest of {row}; " in page
    assert page.count("between the points of finetune, finetune_long and finetune_longer), WikiText-2") == 2


def test_two_other_texts_have_columns_of_their_own():
    at = fill()
    for text in OTHER_TEXTS:
        change(at.evaluation("base", 1337), **{f"other_loss_{text}": 4.5, f"kl_{text}": -1e-9})
    write(params())
    head, lines = part(at, "Forgetting")
    names = next(one for one in head.splitlines() if one.startswith("| Row")).strip("| ").split(" | ")[1:]
    assert names == [
        f"{text}: {what}" for text in OTHER_TEXTS.values() for what in ("loss", "less the base's", "KL")
    ]
    assert lines["base"] == ["4.500", "+0.000", "0.000"] * len(OTHER_TEXTS)


def test_without_other_texts_forgetting_is_said_to_be_unmeasured():
    at = fill()
    write(params())
    assert "Not measured" in part(at, "Forgetting")[0]


def test_the_probability_of_a_name_is_in_the_table():
    at = fill()
    change(at.evaluation("base", 1337), other_loss_wikitext=4.4, kl_wikitext=0.0, p_name=3.07e-8)
    change(at.evaluation("scratch", 1337), other_loss_wikitext=5.4, kl_wikitext=1.0, p_name=0.2268)
    write(params())
    lines = part(at, "Forgetting")[1]
    assert lines["base"][-1] == "3.07e-06 %" and lines["scratch"][-1] == "22.7 %"
    assert lines["finetune"][-1] == "–"


def differences(at) -> dict[str, list[str]]:
    return part(at, "Differences and their spread")[1]


def test_one_seed_has_an_interval_over_the_text_alone():
    at = fill()
    token_losses(at, "finetune", 1337, [4.4 + 0.1 * (-1) ** n for n in range(200)])  # its mean is 4.4
    token_losses(
        at, "finetune_lora", 1337, [4.3 + (n < 100) * 0.2 for n in range(200)]
    )  # the same in one half
    write(params())
    found = differences(at)
    assert found["finetune less scratch"] == ["-0.500", "–", "-0.500 to -0.500"]
    gap, seeds, text = found["finetune_lora less finetune"]
    low, high = map(float, text.split(" to "))
    assert (gap, seeds) == (
        "-0.100",
        "–",
    ) and -0.1 < low < 0 < high < 0.1  # val_loss has another mean than the tokens


def test_two_seeds_have_a_spread_and_no_interval_over_seeds():
    at = fill(seeds=(1, 2))
    write(params(seeds=(1, 2)))
    assert differences(at)["finetune less scratch"][:2] == ["-0.500 ± 0.000", "–"]


def test_the_interval_over_seeds_by_hand():
    at = fill(seeds=(1, 2, 3))
    for seed, loss in zip((1, 2, 3), (4.31, 4.43, 4.55), strict=True):  # finetune has 4.40, 4.42, 4.44
        change(at.evaluation("finetune_lora", seed), val_loss=loss)
    write(params(seeds=(1, 2, 3)))
    # 0.01 ± 4.303 * 0.1 / sqrt(3)
    assert differences(at)["finetune_lora less finetune"][:2] == ["+0.010 ± 0.100", "-0.238 to +0.258"]
    assert differences(at)["finetune less scratch"] == [r"-0.500 ± 0.000 **\***", *["-0.500 to -0.500"] * 2]


def test_what_only_one_interval_says_is_not_marked():
    at = fill(seeds=(1, 2, 3))
    for seed in (1, 2, 3):
        token_losses(at, "finetune", seed, [4.4 + 3 * (-1) ** (n // 4) for n in range(200)])
    write(params(seeds=(1, 2, 3)))
    gap, seeds, text = differences(at)["finetune less scratch"]
    assert seeds == "-0.500 to -0.500" and text.split(" to ")[1].startswith("+") and "*" not in gap


def test_without_losses_by_token_a_row_is_not_compared_over_text():
    at = fill()
    at.token_losses("finetune", 1337).unlink()
    token_losses(at, "scratch", 1337, [4.9] * 300)  # of another text
    write(params())
    assert differences(at)["finetune less scratch"][2] == "–"
    assert differences(at)["finetune_lora less scratch"][2] == "–"
    assert "not compared by token" in line(at, "finetune")[-1] and "not there" in line(at, "finetune")[-1]


def test_with_one_trained_row_left_there_is_nothing_to_compare():
    at = fill(seeds=(1, 2))
    for row in TRAINED[1:]:
        at.evaluation(row, 1).unlink()
    write(params(seeds=(1, 2)))
    assert "Fewer than two trained rows" in part(at, "Differences and their spread")[0]
