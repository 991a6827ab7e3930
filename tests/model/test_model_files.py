"""Models on disk: the same logits here and in transformers, and what loading accepts and refuses."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_gpt import ids, tiny
from transformers import GPT2Config, GPT2LMHeadModel

from gpt2_shakespeare.model import GPT, ModelError


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
