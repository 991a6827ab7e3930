"""Models on disk: the same logits here and in transformers, and what loading accepts and refuses."""

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_gpt import ids, tiny
from transformers import GPT2Config, GPT2LMHeadModel

from gpt2_shakespeare.model import GPT, ModelError
from gpt2_shakespeare.model.config import shapes


@pytest.mark.slow
def test_logits_equal_transformers_both_ways_at_124m(tmp_path):
    torch.manual_seed(0)
    theirs = GPT2LMHeadModel(GPT2Config()).eval()
    theirs.save_pretrained(tmp_path / "theirs")
    ours = GPT.from_pretrained(tmp_path / "theirs").eval()
    assert ours.n_params() == 124_439_808
    idx = ids(2, 40, vocab_size=50257)
    with torch.inference_mode():
        wanted = theirs(idx).logits
        assert (ours(idx)[0] - wanted).abs().max() < 1e-4
        ours.save_pretrained(tmp_path / "ours")
        again, info = GPT2LMHeadModel.from_pretrained(tmp_path / "ours", output_loading_info=True)
        assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
        assert (again.eval()(idx).logits - wanted).abs().max() < 1e-4


@pytest.mark.parametrize("bias", [True, False])
def test_saved_model_gives_the_same_logits_here_and_in_transformers(tmp_path, bias):
    model, idx = tiny(bias=bias), ids(3, 16)
    model.save_pretrained(tmp_path)
    with torch.inference_mode():
        wanted = model(idx)[0]
        torch.testing.assert_close(GPT.from_pretrained(tmp_path).eval()(idx)[0], wanted, rtol=0, atol=1e-5)
        theirs = GPT2LMHeadModel.from_pretrained(tmp_path).eval()
        torch.testing.assert_close(theirs(idx).logits, wanted, rtol=0, atol=1e-4)


def damaged(tmp_path, change):
    tiny().save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    change(tensors)
    save_file(tensors, tmp_path / "model.safetensors")
    return tmp_path


def test_keys_of_the_original_checkpoint_are_read(tmp_path):
    """openai-community/gpt2 has no `transformer.` prefix and carries the causal masks."""
    tiny().save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    bare = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    bare["h.0.attn.bias"] = torch.ones(1, 1, 16, 16)
    bare["lm_head.weight"] = bare["wte.weight"].clone()
    save_file(bare, tmp_path / "model.safetensors")
    assert torch.equal(GPT.from_pretrained(tmp_path).eval()(ids(1, 16))[0], tiny()(ids(1, 16))[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("transformer.h.1.mlp.c_fc.bias"), "h.1.mlp.c_fc.bias is missing"),
        (lambda t: t.update({"transformer.h.9.ln_1.bias": torch.ones(32)}), "h.9.ln_1.bias is not known"),
        (
            lambda t: t.update({"transformer.wpe.weight": torch.ones(8, 32)}),
            r"wpe.weight has shape \(8, 32\), not \(16, 32\)",
        ),
        (
            lambda t: t.update({"lm_head.weight": torch.ones(61, 32)}),
            "lm_head.weight differs from wte.weight",
        ),
    ],
)
def test_wrong_tensors_are_refused(tmp_path, change, message):
    with pytest.raises(ModelError, match=message):
        GPT.from_pretrained(damaged(tmp_path, change))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("activation_function", "relu"),
        ("activation_function", "gelu"),
        ("scale_attn_by_inverse_layer_idx", True),
        ("n_inner", 77),
        ("layer_norm_epsilon", 1e-6),
        ("tie_word_embeddings", False),
        ("model_type", "llama"),
        ("n_layer", "three"),
        ("n_embd", None),
    ],
)
def test_configs_that_are_not_gpt2_are_refused(tmp_path, key, value):
    tiny().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {key: value}))
    with pytest.raises(ModelError, match=key):
        GPT.from_pretrained(tmp_path)


def test_missing_truncated_and_pickled_files_are_refused(tmp_path):
    with pytest.raises(ModelError, match="config.json: can't be read"):
        GPT.from_pretrained(tmp_path)
    tiny().save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match="model.safetensors"):
        GPT.from_pretrained(tmp_path)
    weights.unlink()
    torch.save(tiny().state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="model.safetensors"):
        GPT.from_pretrained(tmp_path)


@pytest.mark.parametrize("bias", [True, False])
def test_the_shapes_are_those_of_the_modules(bias):
    model = tiny(bias=bias)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.transformer.state_dict().items()}
    assert shapes(model.config) == wanted


def weights_with(name, change):
    return lambda t: t.update({name: change(t[name])})


def one_inf(tensor):
    tensor[0, 0] = float("inf")
    return tensor


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.update({name: tensor * torch.nan for name, tensor in t.items()}), "wte.weight holds numbers that are not"),
        (weights_with("transformer.wte.weight", one_inf), "wte.weight holds numbers that are not finite"),
        (weights_with("transformer.h.2.mlp.c_fc.weight", one_inf), "h.2.mlp.c_fc.weight holds numbers that are not finite"),
        (weights_with("transformer.wpe.weight", lambda w: w.double() * 1e300), "wpe.weight holds numbers that are not finite"),
        (weights_with("transformer.wte.weight", lambda w: w.long()), "wte.weight is of type I64, not one of F64"),
        (weights_with("transformer.wte.weight", lambda w: w > 0), "wte.weight is of type BOOL"),
        (weights_with("transformer.wte.weight", lambda w: w.to(torch.complex64)), "wte.weight is of type C64"),
        (weights_with("transformer.wte.weight", lambda w: w.to(torch.float8_e4m3fn)), "wte.weight is of type F8_E4M3"),
        (lambda t: t.update({"wte.weight": t["transformer.wte.weight"].clone()}), "wte.weight is there twice"),
        (lambda t: t.update({"lm_head.weight": t["transformer.wte.weight"].long()}), "lm_head.weight differs"),
        (lambda t: t.update({"evil\n\x1b[2J" + 90 * "x": torch.ones(1)}), r"evil\\n\\x1b\[2Jx{70,75}... is not known"),
    ],
)  # fmt: skip
def test_weights_that_are_no_numbers_or_not_finite_are_refused(tmp_path, change, message):
    with pytest.raises(ModelError, match=message) as error:
        GPT.from_pretrained(damaged(tmp_path, change))
    assert "\n" not in str(error.value) and "\x1b" not in str(error.value)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_floats_are_read_as_fp32(tmp_path, dtype):
    folder = damaged(tmp_path, lambda t: t.update({name: w.to(dtype) for name, w in t.items()}))
    for name, tensor in GPT.from_pretrained(folder).transformer.state_dict().items():
        assert torch.equal(tensor, tiny().transformer.state_dict()[name].to(dtype).float())


def test_prefixes_of_compiled_and_distributed_models_are_stripped(tmp_path):
    def wrapped(tensors):
        plain = dict(tensors)
        tensors.clear()
        for number, (name, tensor) in enumerate(plain.items()):
            tensors[("_orig_mod.", "module._orig_mod.", "module.")[number % 3] + name] = tensor

    model = GPT.from_pretrained(damaged(tmp_path, wrapped)).eval()
    assert torch.equal(model(ids(1, 16))[0], tiny()(ids(1, 16))[0])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n_layer", 10**9), ("n_layer", 4), ("n_layer", 2), ("n_layer", 0), ("n_layer", -1), ("n_layer", 10**400),
        ("vocab_size", 10**12), ("n_positions", 10**9), ("n_embd", 10**9), ("n_head", 3), ("n_head", 10**9),
        ("n_layer", True), ("n_layer", 3.0), ("n_layer", "\n\x1b[2J"),
    ],
)  # fmt: skip
def test_sizes_are_compared_before_anything_is_built(tmp_path, key, value, monkeypatch):
    tiny().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {key: value}))
    monkeypatch.setattr(GPT, "__init__", lambda *_: pytest.fail("built"))
    with pytest.raises(ModelError) as error:
        GPT.from_pretrained(tmp_path)
    assert "\n" not in str(error.value) and "\x1b" not in str(error.value) and len(str(error.value)) < 1000


@pytest.mark.parametrize("value", ["0.1", [0.1], None, True, 1.0, -0.1, float("nan")])
def test_dropout_that_is_no_share_is_refused(tmp_path, value):
    tiny().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"attn_pdrop": value}))
    if value is None:
        assert GPT.from_pretrained(tmp_path).config.dropout_of("attn") == 0
        return
    with pytest.raises(ModelError, match=r"config.json: attn_dropout: .* is not a number in \[0, 1\)"):
        GPT.from_pretrained(tmp_path)


def sharded(folder):
    """As the Hub keeps large models: written by transformers itself."""
    tiny().save_pretrained(folder / "one")
    GPT2LMHeadModel.from_pretrained(folder / "one").save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2 and not (folder / "model.safetensors").exists()
    return folder


def test_shards_are_read(tmp_path):
    assert torch.equal(GPT.from_pretrained(sharded(tmp_path)).eval()(ids(1, 16))[0], tiny()(ids(1, 16))[0])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda index, first: first.unlink(), "model-00001-of-.*: can't be read: No such file"),
        (lambda index, first: first.write_bytes(first.read_bytes()[:-9]), "model-00001-of-.*: can't be read as safetensors"),
        (lambda index, first: first.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
        (lambda index, first: save_file({"transformer.wte.weight": torch.ones(61, 32)}, first), "is not in model-00001-of-"),
        (lambda index, first: index.unlink(), "index.json: not there, only the files that it lists"),
        (lambda index, first: index.write_text("{}"), "no weight_map"),
        (lambda index, first: index.write_text('{"weight_map": {"a": "../x.safetensors"}}'), "not a safetensors file beside"),
        (lambda index, first: index.write_text('{"weight_map": {"a": ["x"]}}'), "not a safetensors file beside"),
        (lambda index, first: index.write_text('{"weight_map": {"a": "config.json"}}'), "not a safetensors file beside"),
        (lambda index, first: index.write_text(""), "index.json: not JSON"),
    ],
)  # fmt: skip
def test_each_shard_is_checked(tmp_path, damage, message):
    sharded(tmp_path)
    index = tmp_path / "model.safetensors.index.json"
    damage(index, min(tmp_path.glob("model-*.safetensors")))
    with pytest.raises(ModelError, match=message):
        GPT.from_pretrained(tmp_path)


def test_a_pickle_alone_gets_the_command_that_converts_it(tmp_path):
    tiny().save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="only pytorch_model.bin, a pickle") as error:
        GPT.from_pretrained(tmp_path)
    command = str(error.value).partition("if you trust it: ")[2]
    done = subprocess.run(
        command.replace("python", sys.executable, 1), shell=True, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert torch.equal(GPT.from_pretrained(tmp_path).eval()(ids(1, 16))[0], tiny()(ids(1, 16))[0])


def test_pointers_pipes_and_folders_are_named(tmp_path):
    tiny().save_pretrained(tmp_path)
    for name in ("model.safetensors", "config.json"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
        with pytest.raises(ModelError, match=f"{name}: only a Git LFS pointer; run `git lfs pull`"):
            GPT.from_pretrained(tmp_path)
        (tmp_path / name).unlink()
        os.mkfifo(tmp_path / name)
        with pytest.raises(ModelError, match=f"{name}: can't be read: not a file"):
            GPT.from_pretrained(tmp_path)
        (tmp_path / name).unlink()
        (tmp_path / name).mkdir()
        with pytest.raises(ModelError, match=f"{name}: can't be read: not a file"):
            GPT.from_pretrained(tmp_path)
        (tmp_path / name).rmdir()
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + whole if name == "config.json" else whole)
    GPT.from_pretrained(tmp_path)


def test_files_have_the_rights_of_any_new_file(tmp_path):
    before = os.umask(0o022)
    try:
        tiny().save_pretrained(tmp_path)
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "config.json": 0o644, "model.safetensors": 0o644,
    }  # fmt: skip
