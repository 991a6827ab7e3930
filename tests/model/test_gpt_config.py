"""Shapes that a model can't have."""

import pytest

from gpt2_shakespeare.model import GPTConfig, ModelError


def test_a_shape_that_cannot_be_is_refused():
    with pytest.raises(ModelError, match="n_embd: 30 is not divisible by n_head 4"):
        GPTConfig(n_embd=30, n_head=4)
    with pytest.raises(ModelError, match="dropout: 1.5"):
        GPTConfig(dropout=1.5)
