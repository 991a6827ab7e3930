"""The chunked loss against PyTorch's own on whole logits."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gpt2_shakespeare.model import loss


@pytest.fixture(
    params=[1 << 20, 4 * 97 * 16]
)  # one chunk and one tile; chunks of 16 tokens and tiles of 16 types
def chunks(request, monkeypatch):
    monkeypatch.setitem(loss.KEPT_BYTES, "cpu", request.param)
    monkeypatch.setitem(loss.TILE_BYTES, "cpu", 4 * request.param // 97)


def some(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(5, 9, 24, generator=generator, dtype=dtype).requires_grad_()
    weight = torch.randn(97, 24, generator=generator, dtype=dtype).requires_grad_()
    return hidden, weight, torch.randint(97, (5, 9), generator=generator)


def plain(hidden, weight, targets):
    return F.cross_entropy((hidden @ weight.t()).flatten(0, 1), targets.flatten())


def test_loss_and_gradients_equal_the_plain_ones(chunks):
    hidden, weight, targets = some()
    ours = loss.linear_cross_entropy(hidden, weight, targets)
    found = torch.autograd.grad(3 * ours, (hidden, weight))
    theirs = plain(hidden, weight, targets)
    wanted = torch.autograd.grad(3 * theirs, (hidden, weight))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    for mine, right in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-5, atol=1e-7)


def test_token_losses_are_those_of_each_token(chunks):
    hidden, weight, targets = some()
    wanted = F.cross_entropy((hidden @ weight.t()).flatten(0, 1), targets.flatten(), reduction="none")
    torch.testing.assert_close(loss.token_losses(hidden, weight, targets), wanted.view_as(targets))


def test_large_logits_neither_overflow_nor_lose_the_loss(chunks):
    hidden, weight, targets = some()
    ours = loss.linear_cross_entropy(hidden * 1000, weight, targets)
    torch.testing.assert_close(ours, plain(hidden * 1000, weight, targets))


def test_under_autocast_it_stays_near_full_precision(chunks):
    hidden, weight, targets = some()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = loss.linear_cross_entropy(hidden, weight, targets)
    found = torch.autograd.grad(ours, (hidden, weight))
    theirs = plain(hidden, weight, targets)
    wanted = torch.autograd.grad(theirs, (hidden, weight))
    assert ours.dtype == torch.float32
    assert abs(ours - theirs) < 2e-2
    for mine, right in zip(found, wanted, strict=True):
        assert (mine - right).norm() < 2e-2 * right.norm()


def test_under_fp16_the_head_stays_in_full_precision(chunks, monkeypatch):
    hidden, weight, targets = some()
    wanted = torch.autograd.grad(loss.linear_cross_entropy(hidden, weight, targets), (hidden, weight))
    monkeypatch.setattr(torch, "get_autocast_dtype", lambda kind: torch.float16)  # which CPUs don't offer
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = loss.linear_cross_entropy(hidden, weight, targets)
    for mine, right in zip(torch.autograd.grad(ours, (hidden, weight)), wanted, strict=True):
        assert torch.equal(mine, right)


def test_frozen_weights_get_no_gradient_and_hidden_the_same(chunks):
    hidden, weight, targets = some()
    wanted = torch.autograd.grad(loss.linear_cross_entropy(hidden, weight, targets), hidden)[0]
    loss.linear_cross_entropy(hidden, weight.detach(), targets).backward()
    assert torch.equal(hidden.grad, wanted) and weight.grad is None


# --- candidates -----------------------------------------------------------------------------------------


TEXT = np.array([3, 5, 5, 8], dtype=np.uint16)


def test_weighted_types_count_that_often_in_the_softmax(chunks):
    hidden, weight, targets = some()
    log_weights = torch.where(torch.arange(97) < 40, 0.0, 1.5)
    targets = targets % 40
    ours = loss.linear_cross_entropy(hidden, weight, targets, log_weights)
    found = torch.autograd.grad(ours, (hidden, weight))
    theirs = plain_weighted(hidden, weight, targets, log_weights)
    wanted = torch.autograd.grad(theirs, (hidden, weight))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    for mine, right in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-5, atol=1e-7)


def plain_weighted(hidden, weight, targets, log_weights):
    logits = (hidden @ weight.t()).flatten(0, 1) + log_weights
    return F.cross_entropy(logits, targets.flatten())


def test_candidates_are_the_types_of_text_and_batch_and_a_sample_of_the_others():
    candidates = loss.Candidates(TEXT, 97, 10)
    idx, targets = torch.tensor([[5, 60]]), torch.tensor([[60, 8]])
    torch.manual_seed(0)
    types, log_weights, places, wanted = candidates.draw(idx, targets)
    assert types[:4].tolist() == [3, 5, 8, 60] and len(types) == len(set(types.tolist())) == 14
    assert torch.equal(types[places], idx) and torch.equal(types[wanted], targets)
    assert log_weights[:4].tolist() == [0.0] * 4
    assert log_weights[4:].tolist() == pytest.approx([math.log(93 / 10)] * 10)
    torch.manual_seed(0)
    assert torch.equal(candidates.draw(idx, targets)[0], types)
    assert not torch.equal(candidates.draw(idx, targets)[0], types)


def test_with_all_types_as_candidates_the_loss_is_the_plain_one():
    hidden, weight, targets = some()
    types, log_weights, _, places = loss.Candidates(TEXT, 97, 97).draw(targets, targets)
    assert sorted(types.tolist()) == list(range(97)) and log_weights.abs().max() == 0
    found = loss.linear_cross_entropy(hidden, weight[types], places, log_weights)
    torch.testing.assert_close(found, plain(hidden, weight, targets))


def test_the_sum_of_exponentials_is_right_on_average():
    hidden, weight, targets = (one.detach() for one in some())
    candidates, sums = loss.Candidates(TEXT, 97, 10), []
    for seed in range(3000):
        torch.manual_seed(seed)
        types, log_weights, _, _ = candidates.draw(targets[:1, :1], targets[:1, :1])
        sums.append((hidden[0, 0] @ weight[types].t() * 0.1 + log_weights).exp().sum())
    wanted = (hidden[0, 0] @ weight.t() * 0.1).exp().sum()
    assert float(torch.stack(sums).mean()) == pytest.approx(float(wanted), rel=0.01)


def test_where_no_type_is_left_there_is_no_sample():
    types, log_weights, _, _ = loss.Candidates(np.arange(97), 97, 10).draw(*[torch.tensor([[1]])] * 2)
    assert types.tolist() == list(range(97)) and log_weights.abs().max() == 0
