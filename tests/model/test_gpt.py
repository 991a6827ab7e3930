"""Our GPT-2 against transformers', causality, the cache, and what loading refuses."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from gpt2_shakespeare.model.gpt import GPT, GPTConfig, KVCache, ModelError, add_lora
from gpt2_shakespeare.model.loss import Candidates

TINY = GPTConfig(block_size=16, vocab_size=61, n_layer=3, n_head=4, n_embd=32)


def tiny(seed=0, **changes):
    torch.manual_seed(seed)
    model = GPT(GPTConfig(**{**TINY.__dict__, **changes})).eval()
    with torch.no_grad():  # weights that are far from zero, biases too, so that every one of them matters
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def ids(*shape, vocab_size=61):
    return torch.randint(vocab_size, shape, generator=torch.Generator().manual_seed(1))


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


def test_gradients_equal_transformers(tmp_path):
    model, idx = tiny(), ids(4, 16)
    model.save_pretrained(tmp_path)
    theirs = GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    model.loss(idx[:, :-1], idx[:, 1:]).backward()
    theirs(idx, labels=idx).loss.backward()
    wanted = dict(theirs.transformer.named_parameters())
    for name, parameter in model.transformer.named_parameters():
        grad = wanted[name].grad
        grad = grad.t() if grad.shape != parameter.shape or name.endswith("c_proj.weight") else grad
        if name.endswith("attn.c_proj.weight"):  # square: both layouts fit, only the transposed one is right
            assert not torch.allclose(parameter.grad, wanted[name].grad, atol=1e-5)
        torch.testing.assert_close(parameter.grad, grad, rtol=1e-4, atol=1e-6)


def test_the_loss_is_that_of_the_logits():
    model, idx = tiny(), ids(3, 17)
    logits, loss = model(idx[:, :-1], idx[:, 1:])
    assert logits.shape == (3, 16, 61)
    torch.testing.assert_close(model.loss(idx[:, :-1], idx[:, 1:]), loss)
    assert model(idx[:, :-1])[1] is None


def test_no_position_sees_a_later_one():
    model, idx = tiny(), ids(1, 16)
    before = model(idx)[0]
    for place in range(1, 16):
        changed = idx.clone()
        changed[0, place] = (idx[0, place] + 1) % 61
        after = model(changed)[0]
        assert torch.equal(before[0, :place], after[0, :place])
        assert not torch.allclose(before[0, place:], after[0, place:])


@pytest.mark.parametrize("pieces", [[16], [1] * 16, [5, 1, 1, 6, 3]])
def test_the_cache_gives_the_logits_of_the_whole(pieces):
    model, idx = tiny(), ids(2, 16)
    cache = KVCache(model, 2)
    with torch.inference_mode():
        found = torch.cat([model(part, cache=cache)[0] for part in idx.split(pieces, dim=1)], dim=1)
        torch.testing.assert_close(found, model(idx)[0], rtol=0, atol=1e-5)


def test_initialisation_is_gpt2s():
    torch.manual_seed(0)
    model = GPT(GPTConfig(block_size=64, vocab_size=500, n_layer=8, n_head=4, n_embd=256))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert (parameter == 0).all()
        elif ".ln_" in name:
            assert (parameter == 1).all()
        else:
            wanted = 0.02 / 4 if name.endswith("c_proj.weight") else 0.02  # sqrt(2 * 8 layers) = 4
            assert abs(parameter.std() / wanted - 1) < 0.03


def test_dropout_of_each_kind_acts_alone():
    for kind in ("embd", "attn", "resid"):
        model, idx = tiny(**{f"{kind}_dropout": 0.5}), ids(1, 16)
        assert torch.equal(model(idx)[0], model(idx)[0])
        model.train()
        assert not torch.allclose(model(idx)[0], model(idx)[0]), kind


def test_more_tokens_than_the_block_are_refused():
    with pytest.raises(ModelError, match="17 tokens are more than block_size 16"):
        tiny()(ids(1, 17))


def test_a_shape_that_cannot_be_is_refused():
    with pytest.raises(ModelError, match="n_embd: 30 is not divisible by n_head 4"):
        GPTConfig(n_embd=30, n_head=4)
    with pytest.raises(ModelError, match="dropout: 1.5"):
        GPTConfig(dropout=1.5)


# --- what loading accepts and refuses ------------------------------------------------------------


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


# --- LoRA ----------------------------------------------------------------------------------------


def test_lora_trains_adapters_only_and_is_saved_merged(tmp_path):
    model, before = tiny(), tiny()
    add_lora(model, rank=2, alpha=4)
    learning = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert len(learning) == 3 * 4 * 2 and all(".lora_" in name for name in learning)
    idx = torch.arange(10)[None]
    assert torch.equal(model(idx)[0], before(idx)[0])  # an adapter starts at zero
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_B" in name:
                parameter.normal_()
    model.save_pretrained(tmp_path)
    assert not torch.allclose(model(idx)[0], before(idx)[0], atol=1e-2)
    torch.testing.assert_close(GPT.from_pretrained(tmp_path)(idx)[0], model(idx)[0], rtol=1e-4, atol=1e-4)


# --- spelling ------------------------------------------------------------------------------------

FEATURES, STARTS = np.array([0, 1, 1, 2]), np.array([0, 2, 3, *[4] * 59])  # of the first three types


def spelled(std):
    model = tiny()
    model.add_spelling(FEATURES, STARTS, std)
    return model


def test_types_that_are_spelled_alike_share_what_they_learn():
    model = spelled(std=1.0)
    shared, own = model.spelling.weight, model.transformer.wte.weight
    wanted = own.clone()
    wanted[0] += (shared[0] + shared[1]) / math.sqrt(2)
    wanted[1] += shared[1]
    wanted[2] += shared[2]
    torch.testing.assert_close(model.table(), wanted)
    some = torch.tensor([2, 40, 0])
    torch.testing.assert_close(model.table(some), wanted[some])
    model.train().loss(torch.tensor([[1, 5]]), torch.tensor([[5, 1]])).backward()
    assert model.spelling.weight.grad[1].abs().sum() > 0


def test_spelling_from_zero_changes_nothing_at_first():
    idx = torch.arange(10)[None]
    assert torch.equal(spelled(std=0.0)(idx)[0], tiny()(idx)[0])


def test_spelling_is_saved_in_the_embedding(tmp_path):
    model, idx = spelled(std=1.0).eval(), torch.arange(10)[None]
    model.save_pretrained(tmp_path)
    saved = GPT.from_pretrained(tmp_path)
    assert torch.equal(saved(idx)[0], model(idx)[0])
    assert saved.n_params() == tiny().n_params()


def test_in_eval_mode_the_table_is_made_once_and_again_after_training():
    model = spelled(std=1.0).eval()
    with torch.no_grad():
        before = model.table()
        assert model.table() is before
        model.spelling.weight += 1
        assert not torch.equal(model.train().eval().table(), before)
        assert torch.equal(model.table()[1], model.transformer.wte.weight[1] + model.spelling.weight[1])


def test_candidates_of_all_types_give_the_plain_training_loss():
    model, plain = spelled(std=1.0), spelled(std=1.0)
    plain.load_state_dict(model.state_dict())
    idx, targets = torch.arange(10)[None], torch.arange(1, 11)[None]
    model.candidates = Candidates(np.arange(3), model.config.vocab_size, model.config.vocab_size)
    ours, theirs = model.loss(idx, targets), plain.loss(idx, targets)
    ours.backward(), theirs.backward()
    torch.testing.assert_close(ours, theirs)
    for (name, mine), right in zip(model.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, right.grad, msg=name)
