"""What params.yaml may say, and the one line that each mistake gets."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from tiny import fuzz

from gpt2_shakespeare import params
from gpt2_shakespeare.errors import UserError
from gpt2_shakespeare.params import Params, ParamsError, schema
from gpt2_shakespeare.params.rows import BASELINES

PARAMS = Path(__file__).parents[2] / "params.yaml"
RAW = YAML(typ="safe").load(PARAMS.read_text(encoding="utf-8"))
MISSING = object()
HUGE = int("f" * 5000, 16)  # Python refuses to write out so many digits


def changed(key, value, raw=RAW):
    """The committed settings with one key set to another value, or left out."""
    raw = copy.deepcopy(raw)
    *above, last = key.split(".")
    table = raw
    for name in above:
        table = table[name]
    if value is MISSING:
        del table[last]
    else:
        table[last] = value
    return raw


def problems(raw):
    """The lines of the error that these settings raise."""
    with pytest.raises(ParamsError) as caught:
        params.parse(raw)
    return str(caught.value).split("\n")


def problems_of_file(path):
    with pytest.raises(ParamsError) as caught:
        params.load(path)
    return str(caught.value).split("\n")


# --- the committed file --------------------------------------------------------------------------


def row(name, scale, raw=RAW):
    (found,) = [row for row in params.parse(raw).scales[scale].trained if row.name == name]
    return found


def test_the_committed_settings_load():
    found = params.load(PARAMS)
    assert set(found.scales) == {"demo", "laptop", "novels", "paper"}
    assert found.at_scale is found.scales[found.scale].settings
    assert (found.sample.temperature, found.sample.top_p) == (0.8, 0.9)


def test_greedy_is_one_setting_of_the_grid_whatever_top_p():
    analysis = params.parse(changed("analysis.temperatures", [0, 0.8])).analysis
    assert analysis.decodings() == [(0, 1), *((0.8, top_p) for top_p in analysis.top_ps)]
    committed = params.parse(RAW)
    decodings = committed.analysis.decodings()
    assert {(0, 1), (1, 1), (committed.sample.temperature, committed.sample.top_p)} <= set(decodings)


@pytest.mark.parametrize("scale", ["demo", "laptop", "novels", "paper"])
def test_every_scale_can_be_switched_on(scale):
    assert params.parse(changed("scale", scale)).at_scale == params.parse(RAW).scales[scale].settings


def test_the_paper_scale_fine_tunes_as_the_reference_does():
    paper = row("finetune", "paper").settings
    assert (paper.learning_rate, paper.min_lr, paper.warmup_steps) == (1e-5, 0, 200)
    assert (paper.batch_size, paper.grad_accum_steps) == (16, 1)
    assert (paper.block_size, paper.stride) == (1024, 128)
    assert (paper.weight_decay, paper.decay, paper.grad_clip) == (0.1, "all", 1.0)
    assert (paper.beta1, paper.beta2) == (0.9, 0.999)  # AdamW's own defaults
    assert paper.dropouts() == {"embd_dropout": 0.2, "attn_dropout": 0.0, "resid_dropout": 0.2}


def test_the_paper_scale_trains_the_reference_shape_from_scratch():
    scale, scratch = params.load(PARAMS).scales["paper"].settings, row("scratch", "paper").settings
    assert scratch.model.model_dump() == {"block_size": 1024, "n_layer": 12, "n_head": 12, "n_embd": 768}
    assert [phase.block_size for phase in scratch.context] == [128, 512, 1024]
    assert (scratch.batch_size, scratch.stride, scratch.warmup_steps, scratch.patience) == (16, 128, 200, 2)
    assert (scratch.weight_decay, scratch.decay, scratch.grad_clip) == (0.1, "all", 1.0)
    assert scratch.dropouts() == {"embd_dropout": 0.2, "attn_dropout": 0.0, "resid_dropout": 0.2}
    assert (scale.corpus, scale.tokenizer.vocab_size, scale.runtime.precision) == (
        "tinyshakespeare",
        50257,
        "bf16",
    )


def test_reading_the_settings_does_not_import_torch():
    code = "import sys, gpt2_shakespeare.params, gpt2_shakespeare.paths; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# --- rows and layers -----------------------------------------------------------------------------


def test_partial_lists_leave_the_settings_of_other_rows_alone():
    raw = copy.deepcopy(RAW)
    raw["rows"] = {"scratch": [], "finetune": ["finetune"]}
    assert len(problems(raw)) == 7 and all("is no trained row" in line for line in problems(raw))
    raw["rows"]["partial"] = True
    wanted = ["adapting.rows"] * 2 + ["learning_curves.rows"] * 2  # DVC runs these
    assert [line.split(": ")[1] for line in problems(raw)] == wanted
    raw["adapting"]["rows"] = raw["learning_curves"]["rows"] = ["finetune"]
    found = params.parse(raw)
    assert [row.name for row in found.trained_rows] == ["finetune"] and not found.ensembles
    raw["adapting"] = {"rows": [], "ways": []}  # of nothing DVC makes no folder for the report
    wanted = ["params.yaml: adapting.rows", "params.yaml: adapting.ways"]
    assert [line.partition(": List")[0] for line in problems(raw)] == wanted
    raw["adapting"] = RAW["adapting"] | {"rows": ["finetune"]}
    raw["rows"]["partial"] = "yes"
    assert problems(raw) == ["params.yaml: rows.partial: Input should be a valid boolean (it is 'yes')"]


def test_the_rows_of_the_table_are_those_that_the_file_lists_in_its_order():
    found = params.load(PARAMS)
    trained = [*RAW["rows"]["scratch"], *RAW["rows"]["finetune"]]
    adapting = [f"{row}_{way}" for row in RAW["adapting"]["rows"] for way in RAW["adapting"]["ways"]]
    assert [row.name for row in found.rows] == [*BASELINES, "base", *trained, *RAW["ensembles"], *adapting]
    assert [row.name for row in found.rows if row.trained] == trained
    assert [row.name for row in found.rows if row.needs_base] == RAW["rows"]["finetune"]
    assert [row.name for row in found.rows if row.needs_base and not row.from_base] == ["scratch_same"]
    assert {row.of for row in (*found.ensembles, *found.adapting)} <= set(trained)
    (lora,) = (row for row in found.trained_rows if row.name == "finetune_lora")
    assert lora.kind == "lora" and isinstance(lora.settings, schema.LoRA)


def test_epochs_belong_to_finetune_and_long_epochs_to_the_other_rows_from_the_base():
    raw = changed("epochs", 2, changed("long_epochs", 9))
    assert row("finetune", "demo", raw).epochs == 2
    assert row("finetune_long", "demo", raw).epochs == row("finetune_lora", "demo", raw).epochs == 9
    assert row("scratch", "demo", raw).epochs == 1
    raw = changed("scales.demo.rows.finetune_long.epochs", 3, raw)
    assert row("finetune_long", "demo", raw).epochs == 3 and row("finetune_lora", "demo", raw).epochs == 9


def test_a_row_that_is_added_takes_the_layers_below_it():
    raw = changed("rows.finetune", [*RAW["rows"]["finetune"], "finetune_slow"])
    for table in raw["scales"].values():
        table["rows"]["finetune_slow"] = {"learning_rate": 0.0005}
    for scale in raw["scales"]:
        rate = 0.0005
        added, plain = row("finetune_slow", scale, raw).settings, row("finetune", scale).settings
        assert added.model_dump() == plain.model_dump() | {"learning_rate": rate}
    assert params.parse(raw).trained_rows[-1].name == "finetune_slow"


def test_the_last_layer_wins_and_is_shown():
    place = "scales.demo.rows.finetune"
    for key, layer in (
        ("weight_decay", "defaults.training"), ("weight_decay", "scales.demo.training"),
        ("weight_decay", "scales.demo.finetuning"),
        ("weight_decay", place),
    ):  # fmt: skip
        raw = changed(f"{layer}.{key}", 0.25)
        assert row("finetune", "demo", raw).settings.weight_decay == 0.25
        merged = params.parse(raw).scales["demo"].merged["finetune"]
        assert merged.place_of((key,)) == (*layer.split("."), key)


def test_tables_are_merged_key_by_key_and_lists_replaced():
    tuned = row("scratch_tuned", "novels").settings
    assert tuned.model.model_dump() == {"block_size": 128, "n_layer": 4, "n_head": 4, "n_embd": 256}
    raw = changed("scales.novels.rows.scratch_tuned.renaming", {"below": 7})
    assert row("scratch_tuned", "novels", raw).settings.renaming.model_dump() == {"share": 0.2, "below": 7}
    raw = changed("scales.novels.rows.scratch_tuned.renaming", None)
    assert row("scratch_tuned", "novels", raw).settings.renaming is None


def test_a_base_from_elsewhere_needs_no_corpus_and_no_pretraining():
    found = params.parse(changed("scales.novels.base.source", "path")).scales["novels"].settings
    assert found.base.corpus is None and found.pretraining is None


def with_base(tokenizer, base):
    """params.yaml with a scale novels of this tokenizer and base."""
    raw = changed("scales.novels.tokenizer", tokenizer)
    return changed("scales.novels.base", base, raw)


PACKAGE = {"source": "package", "package": "smollm2-135m"}


@pytest.mark.parametrize("base", [PACKAGE, {"source": "hub"}, {"source": "path"}])
def test_the_tokenizer_of_a_base_has_no_size_of_ours(base):
    found = params.parse(with_base({"source": "base"}, base)).scales["novels"].settings
    assert (found.tokenizer.vocab_size, found.pretraining, found.base.corpus) == (None, None, None)
    assert params.parse(with_base({"source": "base", "vocab_size": None}, base))
    (line,) = problems(with_base({"source": "base", "vocab_size": 49152}, base))
    assert line.startswith(
        "params.yaml: scales.novels.tokenizer.vocab_size: the base's tokenizer has its own"
    )


def test_another_source_leaves_the_package_unread():
    found = params.parse(with_base({"source": "base"}, PACKAGE | {"source": "hub"}))
    assert found.scales["novels"].settings.base.package is None


@pytest.mark.parametrize(
    ("tokenizer", "base", "wanted"),
    [
        ({"source": "bpe"}, {"source": "path"}, "tokenizer.vocab_size: how many types the tokenizer learns"),
        ({"source": "gpt2"}, {"source": "path"}, "tokenizer.vocab_size: GPT-2's own tokenizer has 50257 types"),
        ({"source": "base"}, {"source": "pretrain", "corpus": "novels"}, "tokenizer: a base that is pretrained here"),
        ({"source": "gpt2", "vocab_size": 50257}, PACKAGE, "tokenizer: a base from a package reads its own"),
        ({"source": "base"}, {"source": "package"}, "base.package: smollm2-135m, where base.source is package"),
        ({"source": "base"}, PACKAGE | {"package": "me"}, "base.package: Input should be 'smollm2-135m'"),
        ({"source": "own"}, {"source": "path"}, "tokenizer.source: Input should be 'bpe', 'gpt2' or 'base'"),
    ],
)  # fmt: skip
def test_a_tokenizer_and_a_base_that_do_not_fit_get_one_line(tokenizer, base, wanted):
    (line,) = problems(with_base(tokenizer, base))
    assert line.startswith(f"params.yaml: scales.novels.{wanted}")


def test_a_setting_that_no_layer_has_is_missing_in_every_row():
    found = problems(changed("defaults.training.weight_decay", MISSING))
    assert f"params.yaml: {SCRATCH}.weight_decay: missing" in found
    assert "params.yaml: scales.demo.pretraining.weight_decay: missing" in found


def test_the_phases_of_a_context_keep_their_order():
    assert [phase.epochs for phase in row("scratch", "novels").settings.context] == [1, 1, 4]


# --- mistakes ------------------------------------------------------------------------------------

SCRATCH = "scales.demo.rows.scratch"


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("epochs", 0, "epochs: Input should be greater than 0 (it is 0)"),
        ("epochs", -3, "epochs: Input should be greater than 0 (it is -3)"),
        ("epochs", "six", "epochs: Input should be a valid integer (it is 'six')"),
        ("epochs", "6", "epochs: Input should be a valid integer (it is '6')"),
        ("epochs", 1.5, "epochs: Input should be a valid integer (it is 1.5)"),
        ("epochs", True, "epochs: Input should be a valid integer (it is True)"),
        ("epochs", None, "epochs: Input should be a valid integer (it is None)"),
        ("epochs", MISSING, "epochs: missing"),
        ("scale", "huge", "scale: 'huge' is none of demo, laptop, novels, paper"),
        ("scale", True, "scale: Input should be a valid string (it is True)"),
        ("seeds", [], "seeds: List should have at least 1 item"),
        ("seeds", [3, 4, 3], "seeds: [3, 4, 3] names one twice"),
        ("seeds", [1, -1], "seeds.1: Input should be greater than or equal to 0 (it is -1)"),
        ("seeds", 1337, "seeds: Input should be a valid list (it is 1337)"),
        ("seeds", [True], "seeds.0: Input should be a valid integer (it is True)"),
        ("sample.temperature", -0.1, "sample.temperature: Input should be greater than or equal to 0"),
        ("sample.temperature", True, "sample.temperature: Input should be a number, not a boolean"),
        ("sample.temperature", float("nan"), "sample.temperature: Input should be a finite number"),
        ("sample.temperature", float("inf"), "sample.temperature: Input should be a finite number"),
        ("sample.temperature", ".nan", "sample.temperature: Input should be a valid number"),
        ("sample.temperature", "nan", "sample.temperature: Input should be a finite number"),
        ("sample.top_p", 0, "sample.top_p: Input should be greater than 0 (it is 0)"),
        ("sample.top_p", 1.1, "sample.top_p: Input should be less than or equal to 1 (it is 1.1)"),
        ("analysis.samples", 1, "analysis.samples: Input should be greater than or equal to 2"),
        ("analysis.top_ps", [0.9, 0], "analysis.top_ps.1: Input should be greater than 0 (it is 0)"),
        ("analysis.top_ps", [], "analysis.top_ps: List should have at least 1 item"),
        ("analysis.temperatures", [0.8, 0.8], "analysis.temperatures: [0.8, 0.8] names one twice"),
        ("scales.demo.rows.scratch.share", 0.5, "learning_curves.rows: 'scratch' trains on a share of 0.5 of train"),
        ("sample.prompts", [], "sample.prompts: List should have at least 1 item"),
        ("sample.prompts", [""], "sample.prompts.0: String should have at least 1 character"),
        ("scales", {}, "scales: no scale is there"),
        ("scales.demo", None, "scales.demo: Input should be a valid dictionary (it is None)"),
        ("scales.demo.rows", None, "scales.demo.rows: Input should be a valid dictionary (it is None)"),
        ("rows.finetune", ["finetune_long"], "rows.finetune: the row finetune must stay"),
        ("scales.demo.training", [1], "scales.demo.training: Input should be a valid dictionary"),
        ("defaults.training.beta2", 1.0, "defaults.training.beta2: Input should be less than 1 (it is 1.0)"),
        ("scales.demo.training.beta2", 2, "scales.demo.training.beta2: Input should be less than 1 (it is 2)"),
        ("scales.demo.finetuning.beta2", 2, "scales.demo.finetuning.beta2: Input should be less than 1"),
        ("scales.demo.pretraining.beta2", 2, "scales.demo.pretraining.beta2: Input should be less than 1"),
        ("scales.demo.pretraining.learning_rate", MISSING, "scales.demo.pretraining.learning_rate: missing"),
        ("scales.demo.base.corpus", MISSING, "scales.demo.base.corpus: prose or novels, where base.source"),
        ("scales.demo.model", MISSING, "scales.demo.model: missing"),
        ("scales.demo.model.n_head", 7, "scales.demo.model.n_embd: 48 is not divisible by n_head 7"),
        ("scales.novels.rows.scratch_tuned.model.n_head", 3, "scales.novels.rows.scratch_tuned.model.n_embd: 256"),
        (f"{SCRATCH}.learning_rate", None, f"{SCRATCH}.learning_rate: Input should be a valid number (it is None)"),
        (f"{SCRATCH}.min_lr", 0.1, f"{SCRATCH}.min_lr: 0.1 is above learning_rate 0.003"),
        (f"{SCRATCH}.learning_rate", 0, f"{SCRATCH}.learning_rate: Input should be greater than 0"),
        (f"{SCRATCH}.beta2", 1.0, f"{SCRATCH}.beta2: Input should be less than 1 (it is 1.0)"),
        (f"{SCRATCH}.dropout", 1, f"{SCRATCH}.dropout: Input should be less than 1 (it is 1)"),
        (f"{SCRATCH}.grad_clip", 0.0, f"{SCRATCH}.grad_clip: Input should be greater than 0 (it is 0.0)"),
        (f"{SCRATCH}.decay", "some", f"{SCRATCH}.decay: Input should be 'matrices' or 'all' (it is 'some')"),
        (f"{SCRATCH}.patience", 0, f"{SCRATCH}.patience: Input should be greater than 0 (it is 0)"),
        (f"{SCRATCH}.stride", True, f"{SCRATCH}.stride: Input should be a valid integer (it is True)"),
        (f"{SCRATCH}.context", [], f"{SCRATCH}.context: Value should have at least 1 item"),
        (f"{SCRATCH}.context", {}, f"{SCRATCH}.context: Value should have at least 1 item"),
        (f"{SCRATCH}.context", {64: 1, 256: 1}, f"{SCRATCH}.context: block_size 256 is above the model's 128"),
        (f"{SCRATCH}.context", {128: 0}, f"{SCRATCH}.context.0.epochs: Input should be greater than 0"),
        (f"{SCRATCH}.context", {"long": 1}, f"{SCRATCH}.context.0.block_size: Input should be a valid integer"),
        ("scales.demo.runtime.compile", "yes", "scales.demo.runtime.compile: Input should be a valid boolean"),
        ("scales.demo.runtime.compile", 1, "scales.demo.runtime.compile: Input should be a valid boolean"),
        ("scales.demo.runtime.device", "tpu", "scales.demo.runtime.device: Input should be 'auto', 'cpu' or"),
        ("scales.demo.tokenizer.vocab_size", 256, "scales.demo.tokenizer.vocab_size: Input should be greater"),
        ("scales.demo.tokenizer.vocab_size", 65537, "scales.demo.tokenizer.vocab_size: Input should be less"),
        ("scales.paper.tokenizer.vocab_size", 50304, "scales.paper.tokenizer.vocab_size: GPT-2's own"),
        ("scales.demo.base.revision", "main", "scales.demo.base.revision: String should match pattern"),
    ],
)  # fmt: skip
def test_a_wrong_value_gets_one_line_that_names_the_key(key, value, wanted):
    (line,) = problems(changed(key, value))
    assert line.startswith(f"params.yaml: {wanted}")


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("epoch", "epochs"),
        ("sample.temprature", "temperature"),
        ("sample.top-p", "top_p"),
        ("scales.demo.rows.finetune.learning_rte", "learning_rate"),
        ("scales.demo.training.learning_rte", "learning_rate"),
        ("defaults.training.learning_rte", "learning_rate"),
        ("scales.demo.model.n_heads", "n_head"),
        ("scales.demo.runtime.thread", "threads"),
        ("scales.demo.trainings", "training"),
        ("scales.demo.rows.finetune.attn_dropot", "attn_dropout"),
        ("rows.finetun", "finetune"),
        ("default", "defaults"),
    ],
)
def test_an_unknown_key_gets_the_nearest_name(key, near):
    assert problems(changed(key, 1)) == [f"params.yaml: {key}: unknown key; did you mean '{near}'?"]


def test_an_unknown_key_like_no_other_gets_no_suggestion():
    assert problems(changed("sample.xyzzy", 1)) == ["params.yaml: sample.xyzzy: unknown key"]


def test_the_suggestion_is_a_key_of_the_same_table():
    assert problems(changed("seed", 1)) == ["params.yaml: seed: unknown key; did you mean 'seeds'?"]


@pytest.mark.parametrize("key", ["sample.stride", "scales.demo.rows.finetune.epochs", "scales.demo.n_head"])
def test_a_key_of_another_table_is_not_suggested_to_itself(key):
    (line,) = problems(changed(key, 1))
    assert line.startswith(f"params.yaml: {key}: unknown key")
    assert f"'{key.rpartition('.')[2]}'" not in line


def test_all_problems_are_reported_at_once():
    raw = changed("epochs", "six")
    raw = changed("sample.top_p", 2, raw)
    raw = changed("scales.paper.rows.finetune.stride", 0, raw)
    raw = changed("scales.paper.model.n_head", 7, raw)
    raw = changed("scales.demo.curpus", "plays", raw)
    keys = {line.split(": ")[1] for line in problems(raw)}
    assert keys == {
        "epochs",
        "sample.top_p",
        "scales.paper.rows.finetune.stride",
        "scales.paper.model.n_embd",
        "scales.demo.curpus",
    }


def test_numbers_without_a_dot_are_floats():
    """As text too: PyYAML writes 1e-05, and reads it as a string."""
    assert row("scratch", "demo", changed(f"{SCRATCH}.min_lr", "1e-4")).settings.min_lr == 1e-4
    assert isinstance(params.parse(changed("sample.temperature", 1)).sample.temperature, float)


def test_a_setting_cannot_be_changed_in_place():
    with pytest.raises(AttributeError, match="cannot assign"):
        params.parse(RAW).epochs = 3


def test_seeds_that_torch_cannot_take_are_refused():
    params.parse(changed("seeds", [2**31 - 1]))
    assert problems(changed("seeds", [2**32]))[0].startswith("params.yaml: seeds.0: ")


def test_fine_tuning_on_longer_windows_than_our_own_base_has_is_refused():
    """Before the base is pretrained, not after."""
    (line,) = problems(changed("scales.demo.rows.finetune.block_size", 256))
    assert line.startswith("params.yaml: scales.demo") and "256" in line and "128" in line


def test_a_last_phase_that_leaves_positions_untrained_is_refused():
    """Evaluation and sampling use the model's whole block_size."""
    (line,) = problems(changed(f"{SCRATCH}.context", {64: 1}))
    assert line.startswith(f"params.yaml: {SCRATCH}.context: ")


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda raw: raw["rows"]["finetune"].append("finetune_slow"),
         [f"scales.{scale}.rows.finetune_slow.learning_rate: missing" for scale in ("demo", "laptop", "novels", "paper")]),
        (lambda raw: raw["scales"]["demo"]["rows"].update(scrach={}),
         ["scales.demo.rows.scrach: `rows` lists no such row; did you mean 'scratch'?"]),
        (lambda raw: raw["defaults"]["rows"].update(huge={}), ["defaults.rows.huge: `rows` lists no such row"]),
        (lambda raw: raw["rows"]["finetune"].append("scratch"),
         ["rows.finetune: 'scratch' is also in rows.scratch; a row has one place"]),
        (lambda raw: raw["rows"]["scratch"].append("scratch"),
         ["rows.scratch: 'scratch' is also in rows.scratch; a row has one place"]),
        (lambda raw: raw["rows"]["scratch"].append("finetune"),
         ["rows.finetune: 'finetune' is also in rows.scratch; a row has one place"]),
        (lambda raw: raw["rows"]["scratch"].append("human"),
         ["rows.scratch: 'human' is always there; give another name"]),
        (lambda raw: raw["rows"]["scratch"].append("../up"),
         ["rows.scratch.2: String should match pattern '^[a-z][a-z0-9_]*$' (it is '../up')"]),
        (lambda raw: raw["ensembles"].update(scratch={"of": "scratch_tuned"}),
         ["ensembles: 'scratch' is also in rows.scratch; a row has one place"]),
        (lambda raw: raw["adapting"]["rows"].append("finetune_tunned"),
         ["adapting.rows: 'finetune_tunned' is no trained row; did you mean 'finetune_tuned'?"]),
        (lambda raw: raw["adapting"]["ways"].append("mixed"),
         ["adapting.ways: ['dynamic', 'mixed', 'ensemble_both', 'mixed'] names one twice"]),
        (lambda raw: raw["learning_curves"].update(rows=["scrach"]),
         ["learning_curves.rows: 'scrach' is no trained row; did you mean 'scratch'?"]),
        (lambda raw: raw["learning_curves"].update(shares=[0.3, 0.1]),
         ["learning_curves.shares: [0.3, 0.1] must ascend, and name none twice"]),
        (lambda raw: raw["learning_curves"].update(shares=[1.0]),
         ["learning_curves.shares.0: Input should be less than 1 (it is 1.0)"]),
        (lambda raw: raw["ensembles"].update(scratch_tuned_mixed={"of": "scratch_tuned"}),
         ["adapting: 'scratch_tuned_mixed' is also in ensembles; a row has one place"]),
        (lambda raw: raw["ensembles"]["finetune_ensemble"].update(of="finetune_tunned"),
         ["ensembles.finetune_ensemble.of: 'finetune_tunned' is no trained row; did you mean 'finetune_tuned'?"]),
        (lambda raw: raw["scales"]["demo"]["rows"]["finetune_lora"].update(kind="dora"),
         ["scales.demo.rows.finetune_lora.kind: Input should be one of finetune, lora, random (it is 'dora')"]),
        (lambda raw: raw["scales"]["demo"]["rows"]["finetune_lora"].update(kind=["lora"]),
         ["scales.demo.rows.finetune_lora.kind: Input should be one of finetune, lora, random"]),
        (lambda raw: raw["defaults"]["rows"]["finetune_lora"].pop("rank"),
         ["scales.demo.rows.finetune_lora.rank: missing", "scales.paper.rows.finetune_lora.rank: missing"]),
        (lambda raw: raw["scales"]["demo"]["rows"]["finetune_long"].update(epochs=0),
         ["scales.demo.rows.finetune_long.epochs: Input should be a whole number above 0 (it is 0)"]),
        (lambda raw: raw["scales"]["demo"]["rows"]["finetune"].update(rank=3),
         ["scales.demo.rows.finetune.rank: unknown key"]),
        (lambda raw: raw["scales"]["demo"]["rows"].update(scratch=None),
         ["scales.demo.rows.scratch: Input should be a valid dictionary (it is None)"]),
    ],
)  # fmt: skip
def test_a_row_that_is_declared_wrongly_gets_lines_that_name_the_place(change, wanted):
    raw = copy.deepcopy(RAW)
    change(raw)
    assert sorted(problems(raw)) == sorted({f"params.yaml: {line}" for line in wanted})


# --- the file itself -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", "Input should be a valid dictionary"),
        (b"# only a comment\n", "Input should be a valid dictionary"),
        (b"[1, 2]", "Input should be a valid dictionary"),
        (b"just text", "Input should be a valid dictionary"),
        (b"epochs: [1", "not valid YAML: while parsing a flow sequence"),
        (b"epochs:\t1\n\tscale: 2", "not valid YAML: "),
        (b"epochs: 1\n\xff", "not valid YAML: "),
        (b"\xff\xfe\x00", "not valid YAML: "),
        (b"epochs: \x00", "not valid YAML: "),
        (b"!!python/object/apply:os.getcwd []", "not valid YAML: could not determine a constructor"),
        (b"2024-99-99", "not valid YAML: month must be in 1..12"),
        (b"[" * 5000, "not valid YAML: "),
    ],
)
def test_a_file_that_is_no_table_gets_one_line_that_names_the_file(tmp_path, content, wanted):
    file = tmp_path / "params.yaml"
    file.write_bytes(content)
    (line,) = problems_of_file(file)
    assert line.startswith(f"{file}: {wanted}")


@pytest.mark.parametrize(
    "content", ["!!int ''", "!!float ''", "epochs: !!bool maybe", "epochs: !!timestamp x", "a: !!int '_'"]
)
def test_a_tag_that_does_not_fit_its_value_is_refused(tmp_path, content):
    file = tmp_path / "params.yaml"
    file.write_text(content)
    (line,) = problems_of_file(file)
    assert line.startswith(f"{file}: not valid YAML: ")


def test_a_missing_file_gets_one_line_that_says_where_to_be(tmp_path):
    (line,) = problems_of_file(tmp_path / "params.yaml")
    assert "can't be read: No such file or directory; run from the project's root" in line
    (line,) = problems_of_file(tmp_path)
    assert "can't be read: Is a directory" in line


def test_a_key_that_stands_twice_is_refused(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("epochs: 1\nseeds: [1]\nepochs: 6\n")
    (line,) = problems_of_file(file)
    assert 'duplicate key "epochs"' in line and "line 3" in line


def test_a_path_with_a_nul_and_a_key_of_two_lines_get_one_line_each():
    (line,) = problems(changed("corpus_path", "a\0b"))
    assert line.startswith("params.yaml: corpus_path: ")
    (line,) = problems({**RAW, "two\nlines": 1})
    assert line.startswith("params.yaml: two lines: unknown key")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("epochs: 1 ", "epochs: 010 "),  # 8 in YAML 1.1
        ("epochs: 1 ", "epochs: 0o10 "),
        ("epochs: 1 ", "epochs: 1_000 "),
        ("seeds:  ", "seeds: [007, 010]\nseed_list:  "),
        ("temperature: 0.8", "temperature: 1e-1"),  # a text in YAML 1.1
        ("\n", "\r\n"),
        ("scale: demo", "%YAML 1.1\n---\nscale: demo"),
        ("epochs: 1 ", "epochs: 1:30 "),  # 90 in YAML 1.1
        ("compile: false", "compile: yes"),  # true in YAML 1.1
        ("compile: false", "compile: on"),
        ("random_offsets: false", "random_offsets: No"),
        ("epochs: 1 ", "epochs: !!int '1' "),
    ],
)
def test_the_file_is_read_as_dvc_reads_it(tmp_path, monkeypatch, old, new):
    """DVC fills in its commands and paths with what it reads."""
    from dvc.utils.serialize import load_yaml

    file, read = tmp_path / "params.yaml", []
    file.write_bytes(PARAMS.read_text(encoding="utf-8").replace(old, new, 1).encode())
    monkeypatch.setattr(sys.modules["gpt2_shakespeare.params.load"], "parse", lambda raw, _: read.append(raw))
    params.load(file)
    assert read == [load_yaml(file)]


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("epochs: 1 ", "epochs: 1:30 ", "epochs: Input should be a valid integer (it is '1:30')"),
        ("compile: false", "compile: yes", "defaults.runtime.compile: Input should be a valid boolean (it is 'yes')"),
        ("compile: false", "compile: on", "defaults.runtime.compile: Input should be a valid boolean (it is 'on')"),
    ],
)  # fmt: skip
def test_what_was_a_number_or_a_switch_in_yaml_1_1_is_refused(tmp_path, old, new, wanted):
    file = tmp_path / "params.yaml"
    file.write_text(PARAMS.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    assert problems_of_file(file) == [f"{file}: {wanted}"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_what_is_not_utf_8_is_refused_by_both(tmp_path, encoding):
    from dvc.utils.serialize import EncodingError, ParseError, load_yaml

    file = tmp_path / "params.yaml"
    file.write_bytes((PARAMS.read_text(encoding="utf-8") + "# é\n").encode(encoding))
    (line,) = problems_of_file(file)
    assert line.startswith(f"{file}: not valid YAML: ")
    with pytest.raises((EncodingError, ParseError)):
        load_yaml(file)


@pytest.mark.parametrize("name", ["demo.v2", "../../x", "Demo", "a b", "$(x)", "x" * 41, "", 7, "demo\n"])
def test_a_scale_has_a_name_as_rows_have(name):
    """It becomes part of paths and of DVC's stage names."""
    raw = copy.deepcopy(RAW)
    raw["scales"][name] = raw["scales"]["demo"]
    (line,) = problems(raw)
    assert line.startswith(f"params.yaml: scales.{str(name).strip()}: ")


def test_a_byte_order_mark_and_crlf_are_read(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + PARAMS.read_bytes().replace(b"\n", b"\r\n"))
    assert params.load(file) == params.load(PARAMS)


def test_the_error_is_one_that_a_user_can_mend():
    assert issubclass(ParamsError, UserError)


def test_a_number_too_long_to_write_out_is_refused():
    assert problems(HUGE)[0].startswith("params.yaml: ")
    assert problems(changed("sample.top_p", HUGE))[0].startswith("params.yaml: sample.top_p: ")


# --- arguments of the command line ---------------------------------------------------------------


def test_sampling_can_be_changed_for_one_run():
    table = params.parse(RAW).sample
    other = params.change(table, {"temperature": 0.0, "top_p": None, "prompts": ["O Romeo"]})
    assert (other.temperature, other.top_p, other.prompts) == (0.0, table.top_p, ["O Romeo"])
    assert table == params.parse(RAW).sample


def test_a_wrong_change_is_refused_in_one_line():
    with pytest.raises(ParamsError) as caught:
        params.change(params.parse(RAW).sample, {"temperature": -1.0, "top_p": 2.0})
    assert str(caught.value) == (
        "temperature: Input should be greater than or equal to 0 (it is -1.0); "
        "top_p: Input should be less than or equal to 1 (it is 2.0)"
    )


# --- anything at all -----------------------------------------------------------------------------


def paths(table, above=()):
    for name, value in table.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from paths(value, (*above, name))


numbers = st.integers() | st.floats() | st.sampled_from([2**63, -1, 0, 1, 2**200])
plain = st.none() | st.booleans() | numbers | st.text() | st.dates() | st.binary()
values = st.recursive(
    plain, lambda inside: st.lists(inside) | st.dictionaries(st.text() | st.integers(), inside), max_leaves=8
)


@fuzz
@given(st.sampled_from(list(paths(RAW))), values, st.none() | st.text())
def test_any_value_anywhere_is_valid_or_refused_in_lines_that_name_keys(path, value, name):
    raw = copy.deepcopy(RAW)
    table = raw
    for part in path[:-1]:
        table = table[part]
    table[path[-1] if name is None else name] = value
    try:
        assert isinstance(params.parse(raw), Params)
    except ParamsError as error:
        assert str(error).startswith("params.yaml: ")


@fuzz
@given(values)
def test_any_object_is_valid_or_refused(value):
    try:
        assert isinstance(params.parse(value), Params)
    except ParamsError as error:
        assert str(error).startswith("params.yaml: ")


words = st.sampled_from(
    ["scale", ": ", "\n", "- ", "  ", "[", "]", "{", "}", "&a ", "*a", "<<", "!!int ", "!!float ", "!!set ", "'",
     '"', "? ", "|", ">", "%", "---", "...", "0x", "1e5", ".nan", "1:2:3", "2024-01-01", "~", "#", "\t", "\ufeff"]
)  # fmt: skip


@pytest.fixture(scope="module")
def scratch_file(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "params.yaml"


@fuzz
@example("!!int")
@given(st.text() | st.lists(words | st.text(max_size=3)).map("".join))
def test_any_text_is_valid_or_refused(scratch_file, text):
    scratch_file.write_bytes(text.encode())
    with pytest.raises(ParamsError):
        params.load(scratch_file)


@fuzz
@given(st.binary())
def test_any_bytes_are_refused(scratch_file, content):
    scratch_file.write_bytes(content)
    with pytest.raises(ParamsError):
        params.load(scratch_file)
