"""The main table from made-up evaluations: figures by hand, and what is missing is said and never a zero."""

import math
import statistics

import pandas as pd
import pytest
from made_up import (
    ADAPTING,
    COUNTED,
    ENSEMBLES,
    MODELS,
    ROWS,
    TRAINED,
    change,
    figures,
    file,
    fill,
    history,
    line,
    metrics,
    params,
    put,
)

from gpt2_shakespeare.errors import UserError
from gpt2_shakespeare.report.files import ReportError
from gpt2_shakespeare.report.losses import FIGURES
from gpt2_shakespeare.report.registry import NANOGPT_ZERO_SHOT
from gpt2_shakespeare.report.summary import summary
from gpt2_shakespeare.report.table import METRICS
from gpt2_shakespeare.report.writing import write

pytestmark = pytest.mark.usefixtures("no_pictures")


def test_means_and_deviation_over_seeds():
    at = fill(seeds=(1, 2, 3))
    write(params(seeds=(1, 2, 3)))
    found = figures(at).loc["finetune"]
    losses = [4.4, 4.42, 4.44]
    assert found["val_loss"] == 4.42
    assert found["val_loss_std"] == round(statistics.stdev(losses), 4) == 0.02
    assert found["perplexity"] == round(math.exp(4.42), 4)
    assert found["train_loss"] == 3.92
    assert found["tokens_seen"] == 1_000_001
    assert found["seeds"] == 3
    assert list(found.index[: len(FIGURES)]) == list(FIGURES)
    assert line(at, "finetune")[3] == "4.4200 ± 0.0200"


def test_dvc_shows_the_figures_of_the_table_that_are_read_most():
    at = fill(seeds=(1, 2))
    write(params(seeds=(1, 2)))
    shown, table = metrics(at), figures(at)
    assert set(shown) == {row.name for row in ROWS}
    for row, found in shown.items():
        assert list(found) == [name for name in METRICS if not math.isnan(table.loc[row, name])]
        assert found == {name: table.loc[row, name] for name in found}
    assert {"val_loss_std", "passes"} <= set(shown["finetune"])
    assert set(shown["unigram"]) == {"train_loss", "dev_loss", "val_loss", "perplexity", "bits_per_char"}


def test_one_seed_has_no_deviation_and_the_base_is_one_model():
    at = fill(seeds=(1, 2))
    write(params(seeds=(1, 2)))
    assert "val_loss_std" not in metrics(at)["base"] and figures(at).loc["base", "seeds"] == 1
    write(params(seeds=(1,)))
    assert "val_loss_std" not in metrics(at)["finetune"]


def test_only_the_seeds_of_the_list_are_read():
    at = fill(seeds=(1, 2))
    write(params(seeds=(2,)))
    assert metrics(at)["finetune"]["val_loss"] == 4.42


@pytest.mark.parametrize(
    "damage, reason",
    [
        (lambda path: path.unlink(), "not there"),
        (lambda path: put(path, '{"val_loss": 4.'), "broken, not valid JSON"),
        (lambda path: put(path, "[" * 100_000), "broken, not valid JSON"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "broken, not valid JSON"),
        (lambda path: put(path, "[4.4]"), "broken, not a JSON object"),
        (lambda path: change(path, val_loss=None), "no val_loss in it"),
        (lambda path: change(path, passes=None), "no passes in it"),
        (lambda path: change(path, val_loss=float("nan")), "val_loss is nan"),
        (lambda path: change(path, dev_loss=float("inf")), "dev_loss is inf"),
        (lambda path: change(path, train_loss="4.4"), "train_loss is '4.4'"),
        (lambda path: change(path, val_loss=True), "val_loss is True"),
        (lambda path: change(path, val_loss=1e9), "val_loss is 1000000000.0"),
        (lambda path: change(path, steps=-1), "steps is -1"),
    ],
)
def test_a_row_without_a_good_evaluation_is_missing_and_says_why(damage, reason):
    at = fill()
    path = at.evaluation("finetune", 1337)
    damage(path)
    write(params())
    assert set(metrics(at)) == {*COUNTED, *MODELS, *ADAPTING} - {"finetune"}
    *cells, notes = line(at, "finetune")
    assert cells[1:] == ["–"] * 10
    assert notes == f"missing: {path}: {reason}"
    assert figures(at).loc["finetune"].drop("notes").isna().all()
    assert "finetune" not in set(pd.read_csv(at.metrics / "curves.csv")["row"])
    assert f"missing: {path}" in summary("novels")


def test_one_missing_seed_makes_the_row_missing():
    at = fill(seeds=(1, 2, 3))
    for seed in (1, 3):
        at.evaluation("scratch", seed).unlink()
    write(params(seeds=(1, 2, 3)))
    assert "scratch" not in metrics(at)
    first, second = (at.evaluation("scratch", seed) for seed in (1, 3))
    reason = f"missing: seed 1, 3 of 1, 2, 3: {first}: not there; {second}: not there"
    assert line(at, "scratch")[-1] == reason


def test_without_any_row_there_is_no_report():
    at = fill()
    for row in ROWS:
        file(at, row.name, 1337).unlink()
    with pytest.raises(ReportError, match=r"base-0\.json: not there; run `dvc repro`") as caught:
        write(params())
    assert isinstance(caught.value, UserError) and isinstance(caught.value, ValueError)
    assert not at.metrics.exists()


@pytest.mark.parametrize(
    "facts", [None, "{", {"corpus": "plays"}, {"corpus": "plays", "tokens": {"train": "many"}}]
)
def test_broken_facts_of_the_corpus_are_named(facts):
    at = fill()
    at.corpus_facts.unlink() if facts is None else put(at.corpus_facts, facts)
    with pytest.raises(ReportError, match=f"^{at.corpus_facts}: .*; run `dvc repro prepare`$"):
        write(params())


@pytest.mark.parametrize(
    "raw", [None, "", "step,passes\n1,2\n", history("scratch", 0).replace("400,8.0", "400,inf")]
)
def test_a_row_without_its_history_keeps_its_figures_but_has_no_curve(raw):
    at = fill()
    path = at.history("scratch", 1337)
    path.unlink() if raw is None else put(path, raw)
    write(params())
    assert metrics(at)["scratch"]["val_loss"] == 4.9
    assert f"no curve: {path}: not" in line(at, "scratch")[-1]
    assert set(pd.read_csv(at.metrics / "curves.csv")["row"]) == set(TRAINED) - {"scratch"}


def test_curves_are_in_long_form_and_in_order():
    at = fill(seeds=(2, 1))
    write(params(seeds=(2, 1)))
    table = pd.read_csv(at.metrics / "curves.csv")
    assert list(table) == ["row", "seed", "step", "passes", "train_loss", "dev_loss"]
    groups = list(dict.fromkeys(zip(table["row"], table["seed"], strict=True)))
    assert groups == [(row, seed) for row in TRAINED for seed in (1, 2)]
    assert table.groupby(["row", "seed"])["step"].apply(lambda steps: steps.is_monotonic_increasing).all()


@pytest.mark.parametrize("corpus", ["tinyshakespeare", "plays", "path"])
def test_the_reference_stands_only_beside_tiny_shakespeare(corpus):
    at = fill(corpus=corpus)
    write(params())
    column = [line(at, row.name)[6] for row in ROWS]
    theirs = {"scratch": "4.75", "finetune": "3.3424", "finetune_long": "3.20"}
    assert column == [theirs.get(row.name, "–") if corpus == "tinyshakespeare" else "–" for row in ROWS]


def test_built_in_text_is_called_so_everywhere():
    at = fill("demo", corpus="plays")
    write(params("demo"))
    for row in (*COUNTED, *MODELS):
        assert "built-in text, not Shakespeare" in line(at, row)[-1]
    for name in ("table.md", "samples.md", "analysis.md"):
        first = (at.metrics / name).read_text(encoding="utf-8").splitlines()[0]
        assert "built-in text, not Shakespeare" in first


@pytest.mark.parametrize(
    "base, notes",
    [
        ({"source": "pretrain"}, "zero-shot; a stand-in pretrained on 96 English novels, not GPT-2"),
        ({"source": "path", "corpus": None}, "zero-shot; data/own/base"),
        ({"source": "hub", "corpus": None}, f"zero-shot; openai-community/gpt2; {NANOGPT_ZERO_SHOT}"),
        (
            {"source": "hub", "corpus": None, "repo": "openai-community/gpt2-medium"},
            "zero-shot; openai-community/gpt2-medium",
        ),
    ],
)
def test_the_base_is_named(base, notes):
    at = fill()
    write(params(**base))
    assert line(at, "base")[-1] == notes


def test_notes_tell_how_training_ended():
    at = fill()
    change(at.evaluation("scratch", 1337), steps=210, best_step=150, dev_loss_last=5.0)
    change(at.evaluation("finetune_long", 1337), max_steps=None, best_step=380)
    write(params())
    assert line(at, "scratch")[-1] == (
        "stopped early at step 210 of 400; best at step 150 of 210: overfits after it"
    )
    assert line(at, "finetune")[-1] == ""
    assert line(at, "finetune_long")[-1] == "best at step 380 of 400"


def test_notes_of_rows_that_are_not_trained():
    at = fill(seeds=(1, 2))
    write(params(seeds=(1, 2)))
    cache = "with a unigram of the last 800 tokens at 0.1, chosen on dev"
    assert line(at, "trigram_cache")[-1] == f"the same, {cache}; adapts while it reads"
    assert (
        line(at, "scratch_ensemble_cache")[-1] == f"2 seeds of scratch_tuned, probabilities averaged, {cache}"
    )
    assert line(at, "finetune_ensemble")[-1] == "2 seeds of finetune_tuned, probabilities averaged"
    counted, dynamic = (
        "mixed with counting at the level of bytes; adapts while it reads",
        "dynamic evaluation at rate",
    )
    assert line(at, "scratch_tuned_mixed")[-1] == f"seed 1 of scratch_tuned; {counted}"
    assert line(at, "finetune_tuned_ensemble_both")[-1] == (
        f"2 seeds of finetune_tuned; {dynamic} 0.0001, decay 0, chosen on dev; {counted}"
    )


def test_one_seed_has_no_ensemble():
    at = fill()
    write(params())
    for row in ENSEMBLES:
        assert line(at, row)[-1].startswith("missing: one seed only") and row not in metrics(at)


def test_heading_names_what_was_compared():
    at = fill(seeds=(1, 2))
    change(at.evaluation("base", 1), parameters=124_439_808)
    write(params(seeds=(2, 1), source="hub", corpus=None))
    assert (at.metrics / "table.md").read_text(encoding="utf-8").splitlines()[0] == (
        "# Scale novels: Tiny Shakespeare (288,996 train, 15,226 dev, 33,803 val tokens); "
        "base: openai-community/gpt2; base 124M parameters; "
        "scratch, scratch_tuned, scratch_same, finetune, finetune_long, finetune_tuned and finetune_lora 7M parameters; seeds 1, 2"
    )


def test_the_reproduced_project_is_named_with_its_address():
    at = fill()
    write(params())
    page = (at.metrics / "table.md").read_text(encoding="utf-8")
    link = "[MassilAit/GPT2-Shakespeare](https://github.com/MassilAit/GPT2-Shakespeare)"
    assert link in page.split("\n| Row |")[0]
    assert "`scratch` stands for its run from random weights, `finetune` for its run of 1 epoch" in page


def test_tokens_of_another_kind_get_a_column_per_token_of_gpt2():
    at = fill()
    write(params())
    assert "Per GPT-2 token" not in (at.metrics / "table.md").read_text(encoding="utf-8")

    def base_tokens(raw):
        raw["scales"]["novels"] |= {
            "tokenizer": {"source": "base"}, "base": {"source": "package", "package": "smollm2-135m"}
        }  # fmt: skip
        raw["scales"]["novels"].pop("pretraining")

    change(at.evaluation("finetune", 1337), bits_per_char=1.564)
    write(params(change=base_tokens))
    page = (at.metrics / "table.md").read_text(encoding="utf-8")
    heads = next(one for one in page.splitlines() if one.startswith("| Row")).strip("| ").split(" | ")
    assert (
        line(at, "finetune")[heads.index("Per GPT-2 token")] == "3.3423"
    )  # what the reference publishes, nearly
    assert "4-bit weights and tuned for chat" in page.splitlines()[0]
