"""The cache against counts by hand."""

import numpy as np
import pytest

from gpt2_shakespeare.baselines.cache import CACHE_SIZES, CACHE_WEIGHTS, Cache, best_cache
from gpt2_shakespeare.baselines.ngram import loss

A, B = range(2)


def test_a_cache_by_hand():
    text, p = np.array([A, A, B, A], dtype=np.uint16), np.array([0.1, 0.2, 0.3])
    own = [1 / 1, 0 / 2, 1 / 2]  # of the last two tokens before each
    assert Cache(0.25, 2).mix(text, p) == pytest.approx(
        [0.25 * o + 0.75 * q for o, q in zip(own, p, strict=True)]
    )


def test_the_cache_is_chosen_by_its_loss():
    burst = np.repeat(np.arange(40, dtype=np.uint16), 50)  # recent tokens tell all
    p = np.full(len(burst) - 1, 1 / 40)
    chosen = best_cache(burst, p)
    assert (chosen.weight, chosen.size) == (max(CACHE_WEIGHTS), min(CACHE_SIZES))
    assert loss(chosen.mix(burst, p)) < loss(p)
