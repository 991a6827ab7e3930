"""Forgetting: losses and divergences on other texts."""

import pytest
import torch
from tiny import gpt, tokens

from gpt2_shakespeare.measure.forgetting import Forgetting
from gpt2_shakespeare.measure.losses import quick_loss
from gpt2_shakespeare.tokens.files import DataError


def test_an_unchanged_model_forgets_nothing():
    found = Forgetting(gpt(), {"a": tokens(100)}, 64).measure(gpt())
    assert found["kl_a"] == pytest.approx(0, abs=1e-7)
    assert found["other_loss_a"] == pytest.approx(quick_loss(gpt(), tokens(100), 16, 64), abs=1e-5)


def test_the_divergence_is_that_of_the_distributions():
    base, model, text = gpt(0), gpt(1), tokens(17)
    with torch.no_grad():
        p, q = (net(torch.from_numpy(text[None, :16].astype(int)))[0][0].softmax(-1) for net in (base, model))
    wanted = sum((p[i] * (p[i] / q[i]).log()).sum() for i in range(16)) / 16
    found = Forgetting(base, {"a": text}, 16).measure(model)
    assert found["kl_a"] == pytest.approx(float(wanted), rel=1e-4) and found["kl_a"] > 0.01


def test_without_other_texts_nothing_is_measured_and_a_short_one_is_refused():
    assert Forgetting(gpt(), {}, 64).measure(gpt(1)) == {}
    with pytest.raises(DataError, match="too few"):
        Forgetting(gpt(), {"a": tokens(16)}, 64)
    with pytest.raises(DataError, match="below the base's"):
        Forgetting(gpt(), {"a": tokens(99)}, 64).measure(gpt(block_size=8))
