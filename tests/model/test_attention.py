"""Causal attention by blocks of queries: the same numbers as torch's, and dropout of its weights."""

import pytest
import tiny
import torch
import torch.nn.functional as F
from architectures import CONFIGS, saved

from gpt2_shakespeare.model import GPT, GPTConfig, attention, dropout
from gpt2_shakespeare.model.attention import ROWS, _Attention
from gpt2_shakespeare.model.pretrained import Pretrained

SHAPES = [  # (B, n_head, heads of the keys, T, D)
    (2, 2, 2, 7, 4),
    (1, 6, 2, ROWS, 8),
    (2, 3, 1, 2 * ROWS + 37, 16),
]


def inputs(shape, dtype=torch.float32):
    B, H, n, T, D = shape
    generator = torch.Generator().manual_seed(7)
    sizes = ((B, H, T, D), (B, n, T, D), (B, n, T, D))
    made = [torch.randn(size, dtype=torch.float64, generator=generator) for size in sizes]
    return [x.to(dtype).requires_grad_() for x in made]


def blocks(q, k, v, probability=0.0):
    return _Attention.apply(q, k, v, probability, q.size(-1) ** -0.5)


def plain(q, k, v, kept=None):
    """(B, n_head, T, D), each weight times what is in kept (B, n_head, T, T)."""
    k, v = (x.repeat_interleave(q.size(1) // x.size(1), 1) for x in (k, v))
    future = torch.ones(q.size(2), q.size(2), dtype=torch.bool).triu(1)
    weights = (q @ k.mT / q.size(-1) ** 0.5).masked_fill(future, -torch.inf).softmax(-1)
    return (weights if kept is None else weights * kept) @ v


def gradients(y, parts):
    torch.manual_seed(5)
    return torch.autograd.grad((y * torch.randn(y.shape, dtype=y.dtype)).sum(), parts)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_without_dropout_it_is_attention(shape, dtype):
    parts = inputs(shape, dtype)
    ours, theirs = blocks(*parts), plain(*parts)
    torch.testing.assert_close(ours, theirs)
    for one, other in zip(gradients(ours, parts), gradients(theirs, parts), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_in_bf16_it_is_as_near_to_fp64_as_torch_own_times_two(shape):
    exact = inputs(shape, torch.float64)
    parts = [x.detach().to(torch.bfloat16).requires_grad_() for x in exact]
    q, k, v = parts
    ours = attention.attention(q, k, v)
    theirs = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    wanted = plain(*(x.detach().double().requires_grad_() for x in parts))
    assert ours.dtype == torch.bfloat16
    assert (ours - wanted).norm() < 2 * (theirs - wanted).norm()
    seen = [x.detach().double().requires_grad_() for x in parts]
    for one, other in zip(gradients(ours, parts), gradients(plain(*seen).bfloat16(), seen), strict=True):
        assert (one - other).norm() < 0.02 * other.norm()


@pytest.mark.parametrize("T", [5, ROWS + 9])
def test_with_dropout_weights_are_dropped_or_scaled_forward_and_backward(T):
    B, H, p = 2, 3, 0.3
    q, k, v = (x.detach() for x in inputs((B, H, H, T, T), torch.float64))
    v = torch.eye(T, dtype=torch.float64).expand(B, H, T, T)  # v = 1 shows the weights themselves
    torch.manual_seed(1)
    found = blocks(q, k, v, p)
    kept = (found / plain(q, k, v)).nan_to_num()
    seen = torch.ones(T, T, dtype=torch.bool).tril().expand_as(kept)
    assert not kept[~seen].any()
    keep = 1 - round(p * dropout.LEVELS) / dropout.LEVELS
    near = torch.isclose(kept[seen], torch.tensor(1 / keep, dtype=torch.float64))
    assert (near | (kept[seen] == 0)).all()
    n = int(seen.sum())
    assert abs(float(near.double().mean()) - keep) < 4 * (p * keep / n) ** 0.5

    parts = inputs((B, H, H, T, T), torch.float64)
    torch.manual_seed(1)  # the same are dropped
    ours, theirs = blocks(*parts, p), plain(*parts, kept)
    torch.testing.assert_close(ours, theirs)
    for one, other in zip(gradients(ours, parts), gradients(theirs, parts), strict=True):
        torch.testing.assert_close(one, other)


def test_in_bf16_dropout_stays_near_fp32():
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(1)
        parts = inputs((2, 2, 2, 300, 16), dtype)
        y = blocks(*parts, 0.1)
        assert y.dtype == dtype
        torch.manual_seed(2)
        y.backward(torch.randn(y.shape).to(dtype))
        found.append((y.detach().float(), *(x.grad.float() for x in parts)))
    for one, other in zip(*found, strict=True):
        assert (one - other).norm() < 0.01 * one.norm()


def test_draws_follow_torch_seed_and_no_two_calls_are_alike():
    parts = inputs(SHAPES[0])
    torch.manual_seed(3)
    first, second = blocks(*parts, 0.5), blocks(*parts, 0.5)
    torch.manual_seed(3)
    assert torch.equal(blocks(*parts, 0.5), first)
    assert not torch.equal(second, first)


def counted(monkeypatch):
    calls, real = [], _Attention.apply
    monkeypatch.setattr(_Attention, "apply", lambda *given: calls.append(given[3]) or real(*given))
    return calls


def test_a_model_in_training_takes_this_attention_and_in_evaluation_has_no_dropout(monkeypatch):
    calls = counted(monkeypatch)
    model = GPT(GPTConfig(block_size=16, vocab_size=50, n_layer=2, n_head=2, n_embd=8, attn_dropout=0.5))
    idx = torch.arange(16)[None]
    model.train().hidden(idx)
    assert calls == [0.5, 0.5]
    first = model.eval().hidden(idx)
    assert calls == [0.5, 0.5]
    assert torch.equal(model.hidden(idx), first)


@pytest.mark.parametrize("kind", CONFIGS)
def test_models_of_transformers_take_it_in_bf16_and_nowhere_else(tmp_path, monkeypatch, kind):
    saved(tmp_path, kind)
    model, idx = Pretrained.from_pretrained(tmp_path).eval(), torch.arange(20)[None] % tiny.VOCAB_SIZE
    calls = counted(monkeypatch)
    wanted = model.hidden(idx)
    assert not calls
    with torch.autocast("cpu", torch.bfloat16):
        found = model.hidden(idx)
        assert len(calls) == len(model.blocks)
        assert (found - wanted).norm() < 0.05 * wanted.norm()
        cache = model.new_cache(1)
        model.hidden(idx[:, :12], cache)
        seen = len(calls)
        torch.testing.assert_close(model.hidden(idx[:, 12:], cache), found[:, 12:], rtol=0.1, atol=0.1)
        assert len(calls) == seen
