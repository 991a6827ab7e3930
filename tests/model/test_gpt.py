"""Our GPT-2 against transformers', causality, the cache, dropout and initialisation."""

import pytest
import torch
from tiny import gpt
from transformers import GPT2LMHeadModel

from gpt2_shakespeare.model import GPT, GPTConfig, ModelError
from gpt2_shakespeare.model.gpt import KVCache


def tiny(**changes):
    """In eval mode, with weights far from zero, biases too, so that every one of them matters."""
    return gpt(**({"n_layer": 3, "n_head": 4, "n_embd": 32} | changes))


def ids(*shape, vocab_size=61):
    return torch.randint(vocab_size, shape, generator=torch.Generator().manual_seed(1))


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
    cache = KVCache.of(model, 2)
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
