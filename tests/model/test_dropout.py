"""Dropout on a CPU: of activations, and of attention's weights, beside torch's."""

import pytest
import torch
import torch.nn.functional as F

from gpt2_shakespeare.model import GPT, GPTConfig, dropout

SHAPES = [
    (2, 7, 3, 2, 4),
    (1, dropout.ROWS, 3, 2, 8),
    (2, 2 * dropout.ROWS + 37, 3, 3, 16),
]  # (B, T, 3, n_head, D)


def plain(qkv: torch.Tensor, kept: torch.Tensor | None = None) -> torch.Tensor:
    """(B, T, n_head, D), each weight times what is in kept (B, n_head, T, T)."""
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    future = torch.ones(q.size(2), q.size(2), dtype=torch.bool).triu(1)
    weights = (q @ k.mT / q.size(-1) ** 0.5).masked_fill(future, -torch.inf).softmax(-1)
    return ((weights if kept is None else weights * kept) @ v).transpose(1, 2)


def gradient(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(5)
    return torch.autograd.grad((y * torch.randn(y.shape, dtype=y.dtype)).sum(), x)[0]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_without_dropout_it_is_attention(shape, dtype):
    qkv = torch.randn(shape, dtype=dtype, requires_grad=True)
    ours, theirs = dropout.attention(qkv, 0.0), plain(qkv)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient(ours, qkv), gradient(theirs, qkv), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("T", [5, dropout.ROWS + 9])
def test_with_dropout_weights_are_dropped_or_scaled_forward_and_backward(T):
    B, H, D, p = 2, 3, T, 0.3
    qkv = torch.randn(B, T, 3, H, D, dtype=torch.float64)
    qkv[:, :, 2] = torch.eye(T, dtype=torch.float64)[:, None]  # v = 1 shows the weights themselves
    torch.manual_seed(1)
    found = dropout.attention(qkv, p).transpose(1, 2)
    whole = plain(qkv).transpose(1, 2)
    kept = (found / whole).nan_to_num()
    seen = torch.ones(T, T, dtype=torch.bool).tril().expand_as(kept)
    assert not kept[~seen].any()
    keep = 1 - round(p * dropout.LEVELS) / dropout.LEVELS
    near = torch.isclose(kept[seen], torch.tensor(1 / keep, dtype=torch.float64))
    assert (near | (kept[seen] == 0)).all()
    n = int(seen.sum())
    assert abs(float(near.double().mean()) - keep) < 4 * (p * keep / n) ** 0.5

    qkv[:, :, 2] = torch.randn(B, T, H, D, dtype=torch.float64)
    qkv.requires_grad_()
    torch.manual_seed(1)  # the same are dropped
    ours, theirs = dropout.attention(qkv, p), plain(qkv, kept)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient(ours, qkv), gradient(theirs, qkv))


def test_in_bf16_attention_stays_near_fp32():
    qkv = torch.randn(2, 300, 3, 2, 16)
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(1)
        x = qkv.to(dtype, copy=True).requires_grad_()
        y = dropout.attention(x, 0.1)
        assert y.dtype == dtype
        torch.manual_seed(2)
        y.backward(torch.randn(y.shape).to(dtype))
        found.append((y.detach().float(), x.grad.float()))
    for one, other in zip(*found, strict=True):
        assert (one - other).norm() < 0.01 * one.norm()


def test_draws_follow_torch_seed_and_no_two_calls_are_alike():
    x = torch.ones(dropout.LARGE)
    qkv = torch.randn(SHAPES[0])
    for draw in (lambda: dropout.dropout(x, 0.5, True), lambda: dropout.attention(qkv, 0.5)):
        torch.manual_seed(3)
        first, second = draw(), draw()
        torch.manual_seed(3)
        assert torch.equal(draw(), first)
        assert not torch.equal(second, first)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.1, 0.5])
def test_large_activations_are_dropped_as_torch_does(dtype, p):
    x = torch.randn(dropout.LARGE, dtype=dtype).clamp(min=0.1).requires_grad_()
    y = dropout.dropout(x, p, True)
    kept = y != 0
    assert abs(float(kept.float().mean()) - (1 - p)) < 5 * (p * (1 - p) / x.numel()) ** 0.5
    torch.testing.assert_close(
        y[kept], (x / (1 - p))[kept], rtol=1e-2 if dtype == torch.bfloat16 else 1e-4, atol=0
    )
    y.backward(torch.ones_like(y))
    torch.testing.assert_close(x.grad, kept / torch.tensor(1 - p, dtype=dtype), rtol=1e-2, atol=0)
    halves = kept.view(2, -1).float()
    assert abs(float((halves[0] * halves[1]).mean()) - (1 - p) ** 2) < 0.005  # independent


def test_small_activations_and_none_at_all_are_torch_own():
    small = torch.randn(dropout.LARGE - 1)
    torch.manual_seed(0)
    ours = dropout.dropout(small, 0.1, True)
    torch.manual_seed(0)
    assert torch.equal(ours, F.dropout(small, 0.1, True))
    large = torch.randn(dropout.LARGE)
    assert dropout.dropout(large, 0.1, False) is large
    assert torch.equal(dropout.dropout(large, 0.0, True), large)


def test_a_model_in_training_takes_this_attention_and_in_evaluation_has_no_dropout(monkeypatch):
    calls = []
    real = dropout.attention
    monkeypatch.setattr(dropout, "attention", lambda qkv, p: calls.append(p) or real(qkv, p))
    model = GPT(GPTConfig(block_size=16, vocab_size=50, n_layer=2, n_head=2, n_embd=8, attn_dropout=0.5))
    idx = torch.arange(16)[None]
    model.train().hidden(idx)
    assert calls == [0.5, 0.5]
    first = model.eval().hidden(idx)
    assert calls == [0.5, 0.5]
    assert torch.equal(model.hidden(idx), first)
