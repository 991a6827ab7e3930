"""The report from made-up evaluations: figures by hand, and what is missing is said and never a zero."""

import json
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
from gpt2_shakespeare.report import table as report

PARAMS = schema.load(Path(__file__).parents[2] / "params.yaml")
VAL = {
    "unigram": 6.57,
    "trigram": 5.49,
    "trigram_cache": 5.05,
    "base": 5.1,
    "scratch": 4.9,
    "scratch_tuned": 4.6,
    "finetune": 4.4,
    "finetune_long": 4.2,
    "finetune_tuned": 4.1,
    "finetune_lora": 4.3,
    "scratch_ensemble": 4.5,
    "scratch_ensemble_cache": 4.4,
    "finetune_ensemble": 4.0,
}
PROMPT = "First Citizen:\n"


def params(scale: str = "laptop", seeds: tuple[int, ...] = (1337,), **base: str) -> schema.Params:
    loaded = PARAMS.model_dump() | {"scale": scale, "seeds": list(seeds)}
    loaded["scales"][scale]["base"] |= base
    return schema.parse(loaded)


def put(path: Path, facts: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(facts if isinstance(facts, str) else json.dumps(facts))


def change(path: Path, **values: object) -> None:
    facts = json.loads(path.read_text()) | values
    put(path, {key: value for key, value in facts.items() if value is not None})


def evaluation(row: str, nth: int) -> dict[str, float]:
    """Figures as stages/evaluate.py writes them; the nth seed is 0.02 nats above the first."""
    if row in schema.BASELINES or row in schema.ENSEMBLES:
        facts = {"dev_loss": 5.3, "val_loss": VAL[row], "bits_per_char": 2.6}
        facts |= {"train_loss": 3.0} if row in schema.BASELINES else {}
        return facts | ({"cache_weight": 0.1, "cache_size": 800} if row.endswith("cache") else {})
    loss = VAL[row] + 0.02 * nth
    facts: dict[str, float] = {
        "train_loss": loss - 0.5, "dev_loss": loss - 0.1, "val_loss": loss, "val_loss_reference": loss + 0.03,
        "bits_per_char": loss * 0.468, "parameters": 7_000_000, "block_size": 256,
    }  # fmt: skip
    if row != "base":
        facts |= {f"{key}_last": value for key, value in facts.items() if "loss" in key}
        facts |= {"running_train_loss": loss + 0.2, "tokens_seen": 1_000_000 + nth, "passes": 3.5}
        facts |= {"steps": 400, "max_steps": 400, "best_step": 400}
    return facts


def history(row: str, nth: int) -> str:
    """A curve that falls to the row's dev loss; the scratch row turns up at its end."""
    last_pass = {"scratch": 8.0, "finetune": 1.0}.get(row, 6.0)
    lines = ["step,passes,block_size,learning_rate,running_train_loss,train_loss,dev_loss"]
    start = 9.0 if row == "scratch" else 5.0
    low = VAL[row] - 0.1 + 0.02 * nth
    for step in range(20, 401, 20):
        share = step / 400
        dev = low + (start - low) * math.exp(-7 * share)
        dev += 0.4 * max(0, share - 0.8) if row == "scratch" else 0
        train = dev - 0.6 * share * last_pass / 8
        passes = round(share * last_pass, 4)
        lines.append(f"{step},{passes},256,0.001,{train + 0.2:.6f},{train:.6f},{dev:.6f}")
    return "\n".join(lines) + "\n"


def fill(scale: str = "laptop", seeds: tuple[int, ...] = (1337,), corpus: str = "tinyshakespeare") -> Paths:
    """What the stages before the report leave, in the current folder."""
    at = Paths(scale)
    tokens = {"train": 288_996, "dev": 15_226, "val": 33_803}
    put(at.corpus_facts, {"corpus": corpus, "tokens": tokens, "chars": tokens, "vocab_size": 50257})
    for row in schema.ROWS:
        for nth, seed in enumerate(seeds):
            put(at.evaluation(row, seed), evaluation(row, nth if row in schema.TRAINED_ROWS else 0))
            if row in schema.TRAINED_ROWS:
                put(at.model(row, seed) / "history.csv", history(row, nth))
    texts = [{"prompt": PROMPT, "seed": seed, "text": f"Speak, {seed}.\n"} for seed in (1, 2)]
    settings = {"temperature": 0.8, "top_p": 0.9, "max_new_tokens": 160}
    put(at.samples, {"settings": settings, "rows": dict.fromkeys(schema.MODEL_ROWS, texts)})
    return at


def results(at: Paths) -> dict[str, dict[str, float]]:
    return json.loads((at.metrics / report.RESULTS).read_text())


def line(at: Paths, row: str) -> list[str]:
    """The cells of a row in table.md, notes last."""
    lines = (at.metrics / report.TABLE_MD).read_text(encoding="utf-8").splitlines()
    found = next(one for one in lines if one.startswith(f"| {row} |"))
    return [cell.strip() for cell in found.strip("|").split(" | ")]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take nine tenths of the time."""
    monkeypatch.setattr(report, "_write_figure", lambda *_: None)


def test_it_imports_no_torch_and_no_dvc():
    code = "import gpt2_shakespeare.report.table, sys; assert not {'torch', 'dvc'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_same_input_gives_the_same_bytes():
    at = fill(seeds=(1, 2))
    contents = []
    for seeds in ((1, 2), (2, 1)):
        report.write(params(seeds=seeds))
        contents.append({path.name: path.read_bytes() for path in sorted(at.metrics.iterdir())})
    samples = report.SAMPLES  # names the first seed of the list: its models are the ones that are sampled
    first, second = ({name: raw for name, raw in one.items() if name != samples} for one in contents)
    assert first == second
    tables = {report.RESULTS, report.TABLE_CSV, report.TABLE_MD, report.CURVES}
    assert set(contents[0]) == tables | {
        report.LOSS_CURVES,
        report.VAL_LOSS,
        report.FORGETTING_PNG,
        report.NAMES_PNG,
        report.SAMPLES,
    }
    for name, raw in first.items():
        assert len(raw) < 150_000
        if name.endswith(".png"):
            assert b"Software" not in raw and b"tEXt" not in raw


@pytest.mark.usefixtures("no_figures")
def test_means_and_deviation_over_seeds():
    at = fill(seeds=(1, 2, 3))
    report.write(params(seeds=(1, 2, 3)))
    found = results(at)["finetune"]
    losses = [4.4, 4.42, 4.44]
    assert found["val_loss"] == 4.42
    assert found["val_loss_std"] == round(statistics.stdev(losses), 4) == 0.02
    assert found["perplexity"] == round(math.exp(4.42), 4)
    assert found["train_loss"] == 3.92
    assert found["tokens_seen"] == 1_000_001
    assert found["seeds"] == 3
    assert list(found) == [name for name in report.FIGURES if name in found]
    assert line(at, "finetune")[3] == "4.4200 ± 0.0200"


@pytest.mark.usefixtures("no_figures")
def test_one_seed_has_no_deviation_and_the_base_is_one_model():
    at = fill(seeds=(1, 2))
    report.write(params(seeds=(1, 2)))
    assert "val_loss_std" not in results(at)["base"] and results(at)["base"]["seeds"] == 1
    report.write(params(seeds=(1,)))
    assert "val_loss_std" not in results(at)["finetune"]


@pytest.mark.usefixtures("no_figures")
def test_only_the_seeds_of_the_list_are_read():
    at = fill(seeds=(1, 2))
    report.write(params(seeds=(2,)))
    assert results(at)["finetune"]["val_loss"] == 4.42


@pytest.mark.usefixtures("no_figures")
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
    report.write(params())
    assert set(results(at)) == {*schema.BASELINES, *schema.MODEL_ROWS} - {"finetune"}
    *cells, notes = line(at, "finetune")
    assert cells[1:] == ["–"] * 10
    assert notes == f"missing: {path}: {reason}"
    table = pd.read_csv(at.metrics / report.TABLE_CSV, index_col="row")
    assert table.loc["finetune"].drop("notes").isna().all()
    assert "finetune" not in set(pd.read_csv(at.metrics / report.CURVES)["row"])
    assert f"missing: {path}" in report.summary("laptop")


@pytest.mark.usefixtures("no_figures")
def test_one_missing_seed_makes_the_row_missing():
    at = fill(seeds=(1, 2, 3))
    for seed in (1, 3):
        at.evaluation("scratch", seed).unlink()
    report.write(params(seeds=(1, 2, 3)))
    assert "scratch" not in results(at)
    first, second = (at.evaluation("scratch", seed) for seed in (1, 3))
    reason = f"missing: seed 1, 3 of 1, 2, 3: {first}: not there; {second}: not there"
    assert line(at, "scratch")[-1] == reason


@pytest.mark.usefixtures("no_figures")
def test_without_any_row_there_is_no_report():
    at = fill()
    for row in schema.ROWS:
        at.evaluation(row, 1337).unlink()
    with pytest.raises(report.ReportError, match=r"base\.json: not there; run `dvc repro`") as caught:
        report.write(params())
    assert isinstance(caught.value, UserError) and isinstance(caught.value, ValueError)
    assert not at.metrics.exists()


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize(
    "facts", ["{", {"corpus": "plays"}, {"corpus": "plays", "tokens": {"train": "many"}}]
)
def test_broken_facts_of_the_corpus_are_named(facts):
    at = fill()
    put(at.corpus_facts, facts)
    with pytest.raises(report.ReportError, match=r"corpus\.json"):
        report.write(params())


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize(
    "raw", [None, "", "step,passes\n1,2\n", history("scratch", 0).replace("400,8.0", "400,inf")]
)
def test_a_row_without_its_history_keeps_its_figures_but_has_no_curve(raw):
    at = fill()
    path = at.model("scratch", 1337) / "history.csv"
    path.unlink() if raw is None else put(path, raw)
    report.write(params())
    assert results(at)["scratch"]["val_loss"] == 4.9
    assert f"no curve: {path}: not" in line(at, "scratch")[-1]
    assert set(pd.read_csv(at.metrics / report.CURVES)["row"]) == schema.TRAINED_ROWS.keys() - {"scratch"}


def test_with_a_row_missing_and_without_any_history_all_files_are_written():
    at = fill()
    at.evaluation("finetune", 1337).unlink()
    for row in schema.TRAINED_ROWS:
        (at.model(row, 1337) / "history.csv").unlink()
    report.write(params())
    assert all((at.metrics / name).stat().st_size > 0 for name in (report.LOSS_CURVES, report.VAL_LOSS))
    assert (at.metrics / report.CURVES).read_text() == "row,seed,step,passes,train_loss,dev_loss\n"


@pytest.mark.usefixtures("no_figures")
def test_curves_are_in_long_form_and_in_order():
    at = fill(seeds=(2, 1))
    report.write(params(seeds=(2, 1)))
    table = pd.read_csv(at.metrics / report.CURVES)
    assert list(table) == ["row", "seed", "step", "passes", "train_loss", "dev_loss"]
    groups = list(dict.fromkeys(zip(table["row"], table["seed"], strict=True)))
    assert groups == [(row, seed) for row in schema.TRAINED_ROWS for seed in (1, 2)]
    assert table.groupby(["row", "seed"])["step"].apply(lambda steps: steps.is_monotonic_increasing).all()


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("corpus", ["tinyshakespeare", "plays", "path"])
def test_the_reference_stands_only_beside_tiny_shakespeare(corpus):
    at = fill(corpus=corpus)
    report.write(params())
    column = [line(at, row)[6] for row in schema.ROWS]
    theirs = {"scratch": "4.75", "finetune": "3.3424", "finetune_long": "3.20"}
    assert column == [theirs.get(row, "–") if corpus == "tinyshakespeare" else "–" for row in schema.ROWS]


@pytest.mark.usefixtures("no_figures")
def test_built_in_text_is_called_so_everywhere():
    at = fill("demo", corpus="plays")
    report.write(params("demo"))
    rows = (*schema.BASELINES, *schema.MODEL_ROWS)
    assert all("built-in text, not Shakespeare" in line(at, row)[-1] for row in rows)
    for name in (report.TABLE_MD, report.SAMPLES):
        assert (
            "built-in text, not Shakespeare"
            in (at.metrics / name).read_text(encoding="utf-8").splitlines()[0]
        )


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize(
    "base, notes",
    [
        ({"source": "pretrain"}, "zero-shot; a stand-in pretrained on 96 English novels, not GPT-2"),
        ({"source": "path"}, "zero-shot; data/own/base"),
        ({"source": "hub"}, f"zero-shot; openai-community/gpt2; {report.NANOGPT_ZERO_SHOT}"),
        (
            {"source": "hub", "repo": "openai-community/gpt2-medium"},
            "zero-shot; openai-community/gpt2-medium",
        ),
    ],
)
def test_the_base_is_named(base, notes):
    at = fill()
    report.write(params(**base))
    assert line(at, "base")[-1] == notes


@pytest.mark.usefixtures("no_figures")
def test_notes_tell_how_training_ended():
    at = fill()
    change(at.evaluation("scratch", 1337), steps=210, best_step=150, dev_loss_last=5.0)
    change(at.evaluation("finetune_long", 1337), max_steps=None, best_step=380)
    report.write(params())
    assert line(at, "scratch")[-1] == (
        "stopped early at step 210 of 400; best at step 150 of 210: overfits after it"
    )
    assert line(at, "finetune")[-1] == ""
    assert line(at, "finetune_long")[-1] == "best at step 380 of 400"


@pytest.mark.usefixtures("no_figures")
def test_heading_names_what_was_compared():
    at = fill(seeds=(1, 2))
    change(at.evaluation("base", 1), parameters=124_439_808)
    report.write(params(seeds=(2, 1), source="hub"))
    assert (at.metrics / report.TABLE_MD).read_text(encoding="utf-8").splitlines()[0] == (
        "# Scale laptop: Tiny Shakespeare (288,996 train, 15,226 dev, 33,803 val tokens); "
        "base: openai-community/gpt2; base 124M parameters; "
        "scratch, scratch_tuned, finetune, finetune_long, finetune_tuned and finetune_lora 7M parameters; seeds 1, 2"
    )


@pytest.mark.parametrize(
    "text, fence", [("plain", "```"), ("a ``` b", "````"), ("`````\n# x", "``````"), ("", "```")]
)
def test_no_text_breaks_its_fence(text, fence):
    lines = report._fenced(text).split("\n")
    assert lines[0] == f"{fence}text" and lines[-1] == fence
    assert fence not in "\n".join(lines[1:-1])
    assert "\n".join(lines[1:-1]) == text


def test_control_characters_of_a_sample_are_shown_as_unknown():
    assert report._fenced("a\x00b\rc\ud800\td") == "```text\na�b�c�\td\n```"


@pytest.mark.usefixtures("no_figures")
def test_samples_are_by_prompt_and_then_by_row():
    at = fill()
    other = [{"prompt": "KING:", "seed": 7, "text": "Hence!"}]
    facts = json.loads(at.samples.read_text())
    del facts["rows"]["scratch"]
    put(at.samples, facts | {"rows": {**facts["rows"], "base": facts["rows"]["base"] + other}})
    report.write(params())
    page = (at.metrics / report.SAMPLES).read_text(encoding="utf-8")
    headings = [one for one in page.splitlines() if one.startswith("##")]
    rows = [f"### {row}" for row in schema.MODEL_ROWS]
    assert headings == ["## Prompt 1", *rows, "## Prompt 2", *rows]
    assert "temperature 0.8, top_p 0.9, max_new_tokens 160" in page
    assert "```text\nSpeak, 2.\n```" in page and "```text\nKING:\n```" in page
    assert "### scratch\n\nNo samples." in page


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize(
    "facts",
    [
        None,
        "{",
        {"rows": {}},
        {"settings": {}, "rows": [1]},
        {"settings": {}, "rows": {"base": [{"prompt": "A"}]}},
    ],
)
def test_unusable_samples_are_named(facts):
    at = fill()
    at.samples.unlink() if facts is None else put(at.samples, facts)
    report.write(params())
    assert f"Missing: {at.samples}: " in (at.metrics / report.SAMPLES).read_text(encoding="utf-8")


@pytest.mark.usefixtures("no_figures")
def test_summary_needs_nothing_but_the_committed_files():
    at = fill(seeds=(1, 2))
    report.write(params(seeds=(1, 2)))
    for path in Path("data").rglob("*.json"):
        path.unlink()
    text = report.summary("laptop")
    assert all(len(one) <= 110 for one in text.splitlines())
    (finetune,) = [one.split() for one in text.splitlines() if one.startswith("finetune ")]
    assert finetune[1:5] == ["3.9100", "4.3100", "4.4100", "4.4100"]
    assert str(at.metrics / report.LOSS_CURVES) in text and str(at.metrics / report.SAMPLES) in text


@pytest.mark.parametrize("table", [None, "", "row,notes\n"])
def test_summary_without_a_report_says_what_to_do(table):
    if table is not None:
        put(Paths("demo").metrics / report.TABLE_CSV, table)
        put(Paths("demo").metrics / report.TABLE_MD, "# heading")
    with pytest.raises(report.ReportError, match="metrics/demo: .*run `dvc repro`"):
        report.summary("demo")


@pytest.mark.usefixtures("no_figures")
def test_where_the_loss_is_has_a_table_of_its_own():
    at = fill()
    for row in schema.ROWS:
        file = at.evaluation(row, 1337)
        facts = json.loads(file.read_text())
        for kind in report.KINDS:
            facts |= {f"val_loss_{kind}": 3.0, f"val_tokens_{kind}": 1234}
        put(file, facts)
    report.write(params())
    head, lines = part(at, "Where the loss is")
    assert "Headings, new speaker (1,234)" in head
    assert lines["trigram"] == lines["finetune"] == ["3.000"] * 6
    table = pd.read_csv(at.metrics / report.TABLE_CSV, index_col="row")
    assert table.loc["finetune", "val_tokens_new_type"] == 1234
    assert not set(report.SPLITS) & set(results(at)["finetune"])  # the metric stays easy to read


def part(at: Paths, title: str) -> tuple[str, dict[str, list[str]]]:
    """A part of table.md: its columns' names, and the cells of each row."""
    page = (
        (at.metrics / report.TABLE_MD).read_text(encoding="utf-8").split(f"# {title}\n")[1].split("\n# ")[0]
    )
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return page, {row[0]: row[1:] for row in rows}


@pytest.mark.usefixtures("no_figures")
def test_what_is_forgotten_has_a_table_and_what_was_not_measured_is_a_dash():
    at = fill()
    for row in schema.MODEL_ROWS:
        base = row == "base"
        change(
            at.evaluation(row, 1337),
            other_loss_wikitext=4.5 if base else 5.25,
            kl_wikitext=0.0 if base else 0.5,
        )
    change(at.evaluation("scratch", 1337), other_loss_wikitext=None, kl_wikitext=None)
    report.write(params())
    head, lines = part(at, "Forgetting")
    assert "WikiText-2" in head and "Base's corpus" not in head.splitlines()[1]
    assert lines["base"] == ["4.500", "+0.000", "0.000"]
    assert lines["finetune"] == ["5.250", "+0.750", "0.500"]
    assert lines["scratch"] == ["–", "–", "–"] and "trigram" not in lines
    assert "equal dev loss, WikiText-2: not measured" in head


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize(
    ("dev", "said"),
    [
        (4.45, "at equal dev loss (4.450, LoRA's best; between the points of finetune and finetune_long), "
               "WikiText-2: 5.100 and 5.350."),
        (4.7, "no match. LoRA's best is 4.700, full fine-tuning stands between 4.600 and 4.200"),
    ],
)  # fmt: skip
def test_lora_is_compared_where_it_has_learned_as_much(dev, said):
    at = fill()
    change(at.evaluation("base", 1337), other_loss_wikitext=4.5, kl_wikitext=0.0)
    curves = {
        "finetune": [(4.6, 5.2)],
        "finetune_long": [(4.5, 5.3), (4.2, 5.6)],
        "finetune_lora": [(dev, 5.1)],
    }
    for row, points in curves.items():
        lines = ["step,passes,train_loss,dev_loss,other_loss_wikitext", "1,0.5,5,5,"]
        lines += [f"{2 + n},{n + 1},4,{x},{y}" for n, (x, y) in enumerate(points)]
        put(at.model(row, 1337) / "history.csv", "\n".join(lines))
    report.write(params())
    assert said in part(at, "Forgetting")[0]


@pytest.mark.usefixtures("no_figures")
def test_two_other_texts_have_columns_of_their_own():
    at = fill()
    for text in report.OTHER:
        change(at.evaluation("base", 1337), **{f"other_loss_{text}": 4.5, f"kl_{text}": -1e-9})
    report.write(params())
    head, lines = part(at, "Forgetting")
    names = next(one for one in head.splitlines() if one.startswith("| Row")).strip("| ").split(" | ")[1:]
    assert names == [
        f"{text}: {what}"
        for text in ("Base's corpus", "WikiText-2")
        for what in ("loss", "less the base's", "KL")
    ]
    assert lines["base"] == ["4.500", "+0.000", "0.000"] * 2


@pytest.mark.usefixtures("no_figures")
def test_without_other_texts_forgetting_is_said_to_be_unmeasured():
    at = fill()
    report.write(params())
    assert "Not measured" in part(at, "Forgetting")[0]


@pytest.mark.usefixtures("no_figures")
def test_one_seed_has_neither_ensemble_nor_spread():
    at = fill()
    report.write(params())
    assert line(at, "scratch_ensemble")[-1].startswith("missing: one seed only")
    assert "One seed only" in part(at, "Differences and their spread")[0]


@pytest.mark.usefixtures("no_figures")
def test_a_difference_larger_than_its_spread_is_marked():
    at = fill(seeds=(1, 2, 3))
    for seed, loss in zip((1, 2, 3), (4.31, 4.43, 4.55), strict=True):  # finetune has 4.40, 4.42, 4.44
        change(at.evaluation("finetune_lora", seed), val_loss=loss)
    report.write(params(seeds=(1, 2, 3)))
    lines = part(at, "Differences and their spread")[1]
    names = list(schema.TRAINED_ROWS)[1:]
    cells = dict(zip(names, lines["finetune"], strict=True))
    assert cells["finetune_lora"] == "+0.010 ± 0.100"
    assert dict(zip(names, lines["scratch"], strict=True))["finetune"] == "-0.500 ± 0.000 **\\***"
    assert line(at, "finetune_ensemble")[-1] == "3 seeds of finetune_tuned, probabilities averaged"


def test_the_forgetting_figure_is_drawn_from_the_histories():
    at = fill()
    for row in ("finetune", "finetune_long"):
        table = pd.read_csv(at.model(row, 1337) / "history.csv")
        table["other_loss_wikitext"] = [4.6 if step % 100 == 0 else None for step in table["step"]]
        table.to_csv(at.model(row, 1337) / "history.csv", index=False)
    without = report.write(params()) / report.FORGETTING_PNG
    before = without.read_bytes()
    change(at.evaluation("base", 1337), other_loss_wikitext=4.4, kl_wikitext=0.0)
    report.write(params())
    assert without.read_bytes() != before
    assert "other_loss_wikitext" in pd.read_csv(at.metrics / report.CURVES)


def test_the_probability_of_a_name_is_in_table_and_figure():
    at = fill()
    before = (report.write(params()) / report.NAMES_PNG).read_bytes()
    change(at.evaluation("base", 1337), other_loss_wikitext=4.4, kl_wikitext=0.0, p_name=3.07e-8)
    change(at.evaluation("scratch", 1337), other_loss_wikitext=5.4, kl_wikitext=1.0, p_name=0.2268)
    table = pd.read_csv(at.model("finetune", 1337) / "history.csv")
    table["p_name"] = [2e-8 if step % 100 == 0 else None for step in table["step"]]
    table.to_csv(at.model("finetune", 1337) / "history.csv", index=False)
    report.write(params())
    lines = part(at, "Forgetting")[1]
    assert (
        lines["base"][-1] == "3.07e-06 %"
        and lines["scratch"][-1] == "22.7 %"
        and lines["finetune"][-1] == "–"
    )
    assert (at.metrics / report.NAMES_PNG).read_bytes() != before
    assert 2e-8 in set(pd.read_csv(at.metrics / report.CURVES)["p_name"])


@pytest.mark.usefixtures("no_figures")
def test_without_kinds_there_is_no_such_table():
    at = fill()
    report.write(params())
    assert "Where the loss is" not in (at.metrics / report.TABLE_MD).read_text(encoding="utf-8")
