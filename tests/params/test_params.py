"""What params.yaml may say, and the one line that each mistake gets."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from tiny import fuzz

from gpt2_shakespeare.errors import UserError
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.params.schema import Params, ParamsError

PARAMS = Path(__file__).parents[2] / "params.yaml"
RAW = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
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
        schema.parse(raw)
    return str(caught.value).split("\n")


def problems_of_file(path):
    with pytest.raises(ParamsError) as caught:
        schema.load(path)
    return str(caught.value).split("\n")


# --- the committed file --------------------------------------------------------------------------


def test_the_committed_settings_load():
    params = schema.load(PARAMS)
    assert set(params.scales) == {"demo", "laptop", "paper"}
    assert params.at_scale is params.scales[params.scale]
    assert (params.sample.temperature, params.sample.top_p) == (0.8, 0.9)


def test_greedy_is_one_setting_of_the_grid_whatever_top_p():
    analysis = schema.parse(changed("analysis.temperatures", [0, 0.8])).analysis
    assert analysis.decodings() == [(0, 1), *((0.8, top_p) for top_p in analysis.top_ps)]
    committed = schema.parse(RAW)
    decodings = committed.analysis.decodings()
    assert {(0, 1), (1, 1), (committed.sample.temperature, committed.sample.top_p)} <= set(decodings)


@pytest.mark.parametrize("scale", ["demo", "laptop", "paper"])
def test_every_scale_can_be_switched_on(scale):
    assert schema.parse(changed("scale", scale)).at_scale == schema.parse(RAW).scales[scale]


def test_the_paper_scale_fine_tunes_as_the_reference_does():
    paper = schema.load(PARAMS).scales["paper"].finetune
    assert (paper.learning_rate, paper.min_lr, paper.warmup_steps) == (1e-5, 0, 200)
    assert (paper.batch_size, paper.grad_accum_steps) == (16, 1)
    assert (paper.block_size, paper.stride) == (1024, 128)
    assert (paper.weight_decay, paper.decay, paper.grad_clip) == (0.1, "all", 1.0)
    assert (paper.beta1, paper.beta2) == (0.9, 0.999)  # AdamW's own defaults
    assert paper.dropouts() == {"embd_dropout": 0.2, "attn_dropout": 0.0, "resid_dropout": 0.2}


def test_the_paper_scale_trains_the_reference_shape_from_scratch():
    scale = schema.load(PARAMS).scales["paper"]
    scratch = scale.scratch
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
    code = (
        "import sys, gpt2_shakespeare.params.schema, gpt2_shakespeare.paths; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_every_trained_row_has_a_section_and_epochs_that_exist():
    for section, epochs in schema.TRAINED_ROWS.values():
        assert section in schema.Scale.model_fields
        assert epochs is None or epochs in Params.model_fields
    assert ("base", *schema.TRAINED_ROWS) == schema.MODEL_ROWS
    assert (*schema.BASELINES, *schema.MODEL_ROWS, *schema.ENSEMBLES) == schema.ROWS
    assert {member for member, _ in schema.ENSEMBLES.values()} <= schema.TRAINED_ROWS.keys()


# --- mistakes ------------------------------------------------------------------------------------

SCRATCH = "scales.demo.scratch"


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
        ("scale", "huge", "scale: 'huge' is none of demo, laptop, paper"),
        ("scale", True, "scale: Input should be a valid string (it is True)"),
        ("seeds", [], "seeds: List should have at least 1 item"),
        ("seeds", [3, 4, 3], "seeds: [3, 4, 3] names a seed twice"),
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
        ("analysis.temperatures", [0.8, 0.8], "analysis.temperatures: [0.8, 0.8] names a value twice"),
        ("sample.prompts", [], "sample.prompts: List should have at least 1 item"),
        ("sample.prompts", [""], "sample.prompts.0: String should have at least 1 character"),
        ("scales", {}, "scales: Dictionary should have at least 1 item"),
        ("scales.demo", None, "scales.demo: Input should be a valid dictionary"),
        (f"{SCRATCH}.model", MISSING, f"{SCRATCH}.model: missing"),
        (f"{SCRATCH}.model.n_head", 7, f"{SCRATCH}.model.n_embd: 48 is not divisible by n_head 7"),
        (f"{SCRATCH}.model.block_size", 1, f"{SCRATCH}.model.block_size: Input should be greater than"),
        (f"{SCRATCH}.min_lr", 0.1, f"{SCRATCH}.min_lr: 0.1 is above learning_rate 0.003"),
        (f"{SCRATCH}.learning_rate", 0, f"{SCRATCH}.learning_rate: Input should be greater than 0"),
        (f"{SCRATCH}.beta2", 1.0, f"{SCRATCH}.beta2: Input should be less than 1 (it is 1.0)"),
        (f"{SCRATCH}.embd_dropout", 1, f"{SCRATCH}.embd_dropout: Input should be less than 1 (it is 1)"),
        (f"{SCRATCH}.grad_clip", 0.0, f"{SCRATCH}.grad_clip: Input should be greater than 0 (it is 0.0)"),
        (f"{SCRATCH}.decay", "some", f"{SCRATCH}.decay: Input should be 'matrices' or 'all' (it is 'some')"),
        (f"{SCRATCH}.patience", 0, f"{SCRATCH}.patience: Input should be greater than 0 (it is 0)"),
        (f"{SCRATCH}.stride", True, f"{SCRATCH}.stride: Input should be a valid integer (it is True)"),
        (f"{SCRATCH}.context", [], f"{SCRATCH}.context: List should have at least 1 item"),
        (
            f"{SCRATCH}.context",
            [{"block_size": 64, "epochs": 1}, {"block_size": 256, "epochs": 1}],
            f"{SCRATCH}.context: block_size 256 is above the model's 128",
        ),
        (
            f"{SCRATCH}.context",
            [{"block_size": 128, "epochs": 0}],
            f"{SCRATCH}.context.0.epochs: Input should be greater than 0",
        ),
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
        ("scales.demo.finetune.learning_rte", "learning_rate"),
        ("scales.demo.scratch.model.n_heads", "n_head"),
        ("scales.demo.runtime.thread", "threads"),
        ("scales.demo.finetune.dropout", "embd_dropout"),
    ],
)
def test_an_unknown_key_gets_the_nearest_name(key, near):
    assert problems(changed(key, 1)) == [f"params.yaml: {key}: unknown key; did you mean '{near}'?"]


def test_an_unknown_key_like_no_other_gets_no_suggestion():
    assert problems(changed("sample.xyzzy", 1)) == ["params.yaml: sample.xyzzy: unknown key"]


def test_the_suggestion_is_a_key_of_the_same_table():
    assert problems(changed("seed", 1)) == ["params.yaml: seed: unknown key; did you mean 'seeds'?"]


@pytest.mark.parametrize("key", ["sample.stride", "scales.demo.finetune.epochs", "scales.demo.n_head"])
def test_a_key_of_another_table_is_not_suggested_to_itself(key):
    (line,) = problems(changed(key, 1))
    assert line.startswith(f"params.yaml: {key}: unknown key")
    assert f"'{key.rpartition('.')[2]}'" not in line


def test_all_problems_are_reported_at_once():
    raw = changed("epochs", "six")
    raw = changed("sample.top_p", 2, raw)
    raw = changed("scales.paper.finetune.stride", 0, raw)
    raw = changed("scales.laptop.scratch.model.n_head", 3, raw)
    raw = changed("scales.demo.curpus", "plays", raw)
    keys = {line.split(": ")[1] for line in problems(raw)}
    assert keys == {
        "epochs",
        "sample.top_p",
        "scales.paper.finetune.stride",
        "scales.laptop.scratch.model.n_embd",
        "scales.demo.curpus",
    }


def test_numbers_without_a_dot_are_floats():
    """PyYAML reads `1e-4` as a string."""
    assert yaml.safe_load("1e-4") == "1e-4"
    params = schema.parse(changed("scales.demo.scratch.min_lr", "1e-4"))
    assert params.scales["demo"].scratch.min_lr == 1e-4
    params = schema.parse(changed("sample.temperature", 1))
    assert isinstance(params.sample.temperature, float)


def test_a_setting_cannot_be_changed_in_place():
    with pytest.raises(ValueError, match="frozen"):
        schema.parse(RAW).epochs = 3


def test_seeds_that_torch_cannot_take_are_refused():
    schema.parse(changed("seeds", [2**31 - 1]))
    assert problems(changed("seeds", [2**32]))[0].startswith("params.yaml: seeds.0: ")


def test_fine_tuning_on_longer_windows_than_our_own_base_has_is_refused():
    """Before the base is pretrained, not after."""
    (line,) = problems(changed("scales.demo.finetune.block_size", 256))
    assert line.startswith("params.yaml: scales.demo") and "256" in line and "128" in line


def test_a_last_phase_that_leaves_positions_untrained_is_refused():
    """Evaluation and sampling use the model's whole block_size."""
    (line,) = problems(changed("scales.demo.scratch.context", [{"block_size": 64, "epochs": 1}]))
    assert line.startswith("params.yaml: scales.demo.scratch.context: ")


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
        (b"? [1]\n: 2", "not valid YAML: "),
        (b"!!python/object/apply:os.getcwd []", "not valid YAML: could not determine a constructor"),
        (b"2024-99-99", "not valid YAML: month must be in 1..12"),
        (b"[" * 5000, "not valid YAML: maximum recursion depth"),
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
    assert "'epochs' stands twice" in line and "line 3" in line


def test_a_path_with_a_nul_and_a_key_of_two_lines_get_one_line_each():
    (line,) = problems(changed("corpus_path", "a\0b"))
    assert line.startswith("params.yaml: corpus_path: ")
    (line,) = problems({**RAW, "two\nlines": 1})
    assert line.startswith("params.yaml: two lines: unknown key")


def test_a_byte_order_mark_and_crlf_are_read(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + PARAMS.read_bytes().replace(b"\n", b"\r\n"))
    assert schema.load(file) == schema.load(PARAMS)


def test_the_error_is_one_that_a_user_can_mend():
    assert issubclass(ParamsError, UserError)


def test_a_number_too_long_to_write_out_is_refused():
    assert problems(HUGE)[0].startswith("params.yaml: ")
    assert problems(changed("sample.top_p", HUGE))[0].startswith("params.yaml: sample.top_p: ")


# --- arguments of the command line ---------------------------------------------------------------


def test_sampling_can_be_changed_for_one_run():
    table = schema.parse(RAW).sample
    other = schema.change(table, {"temperature": 0.0, "top_p": None, "prompts": ["O Romeo"]})
    assert (other.temperature, other.top_p, other.prompts) == (0.0, table.top_p, ["O Romeo"])
    assert table == schema.parse(RAW).sample


def test_a_wrong_change_is_refused_in_one_line():
    with pytest.raises(ParamsError) as caught:
        schema.change(schema.parse(RAW).sample, {"temperature": -1.0, "top_p": 2.0})
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
        assert isinstance(schema.parse(raw), Params)
    except ParamsError as error:
        assert str(error).startswith("params.yaml: ")


@fuzz
@given(values)
def test_any_object_is_valid_or_refused(value):
    try:
        assert isinstance(schema.parse(value), Params)
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
        schema.load(scratch_file)


@fuzz
@given(st.binary())
def test_any_bytes_are_refused(scratch_file, content):
    scratch_file.write_bytes(content)
    with pytest.raises(ParamsError):
        schema.load(scratch_file)
