"""Intervals of differences: the table of quantiles is right, and they hold what they say."""

import math

import numpy as np
import pandas as pd
import pytest

from gpt2_shakespeare.report import intervals


def below(t: float, freedom: int) -> float:
    """The share of Student's t below a value, by adding up its density."""
    x, step = np.linspace(0, t, 20_001, retstep=True)
    constant = math.gamma((freedom + 1) / 2) / math.gamma(freedom / 2) / math.sqrt(freedom * math.pi)
    y = constant * (1 + x**2 / freedom) ** (-(freedom + 1) / 2)
    return float(0.5 + (y.sum() - (y[0] + y[-1]) / 2) * step)


def test_every_quantile_is_that_of_students_t():
    for freedom, t in enumerate(intervals.T, 1):
        assert below(t, freedom) == pytest.approx(0.975, abs=1e-4)


def test_over_seeds_needs_three_and_holds_the_truth_nineteen_times_in_twenty():
    rng = np.random.default_rng(0)
    assert intervals.over_seeds(pd.Series([1.0, 2.0])) is None
    found = [intervals.over_seeds(pd.Series(rng.normal(size=3))) for _ in range(2000)]
    assert np.mean([low < 0 < high for low, high in found]) == pytest.approx(0.95, abs=0.015)


def test_over_seeds_goes_on_past_the_table():
    gaps = pd.Series(np.random.default_rng(0).normal(size=100))
    low, high = intervals.over_seeds(gaps)
    assert (high - low) / 2 == pytest.approx(2.042 * gaps.std() / 10)


def test_over_text_holds_the_truth_where_neighbours_depend_on_each_other():
    rng, held = np.random.default_rng(0), []
    for _ in range(150):
        noise = np.convolve(rng.normal(size=5020), np.ones(21), "valid")  # each depends on 20 before it
        low, high = intervals.over_text(0.5 + noise)
        held.append(low < 0.5 < high)
    assert 0.88 < np.mean(held) < 0.99


def test_over_text_is_the_same_every_time_and_needs_some_text():
    gaps = np.random.default_rng(1).normal(size=1003)
    assert intervals.over_text(gaps) == intervals.over_text(gaps.copy())
    assert intervals.over_text(gaps[:49]) is None
    low, high = intervals.over_text(np.full(1003, 0.25))
    assert low == pytest.approx(0.25) and high == pytest.approx(0.25)
