"""Dropout of activations on a CPU, beside torch's."""

import pytest
import torch
import torch.nn.functional as F

from gpt2_shakespeare.model import dropout


def test_draws_follow_torch_seed_and_no_two_calls_are_alike():
    x = torch.ones(dropout.LARGE)
    torch.manual_seed(3)
    first, second = dropout.dropout(x, 0.5, True), dropout.dropout(x, 0.5, True)
    torch.manual_seed(3)
    assert torch.equal(dropout.dropout(x, 0.5, True), first)
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
