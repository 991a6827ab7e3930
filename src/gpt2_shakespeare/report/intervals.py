"""95 % intervals of a difference of two rows: over seeds by Student's t, and over the text by a bootstrap."""

import math

import numpy as np
import pandas as pd

LEAST_SEEDS = 3  # of two, an interval over the seeds says next to nothing: its t is 12.7

# The 97.5 % quantiles of Student's t for 1 to 30 degrees of freedom: NIST/SEMATECH e-Handbook of Statistical Methods,
# 1.3.6.7.2 (https://www.itl.nist.gov/div898/handbook/eda/section3/eda3672.htm)
T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip

BLOCKS, DRAWS = 50, 2000

Interval = tuple[float, float]


def over_seeds(gaps: pd.Series) -> Interval | None:
    """Where the mean difference lies if other seeds are drawn; None with fewer than LEAST_SEEDS.

    Args:
        gaps: a difference for each seed, of two models that share it (a paired test).
    """
    n = len(gaps)
    if n < LEAST_SEEDS:
        return None
    half = T[min(n - 1, len(T)) - 1] * gaps.std() / math.sqrt(n)
    return gaps.mean() - half, gaps.mean() + half


def over_text(gaps: np.ndarray) -> Interval | None:
    """Where the mean difference lies if another text of the kind is drawn, with the same models; None for a short text.

    Args:
        gaps: the difference of two rows' losses at each token of a text, in its order, (n,).
    """
    if len(gaps) < BLOCKS:
        return None
    low, high = np.quantile(drawn_means(gaps[None]), (0.025, 0.975))
    return float(low), float(high)


def drawn_means(values: np.ndarray) -> np.ndarray:
    """Means of a text's values if its stretches are drawn again, the same ones for every row: a bootstrap.

    Neighbours depend on each other, so it is not tokens that are drawn but BLOCKS stretches of equal length.

    Args:
        values: at each token of a text, in its order, (rows, n).

    Returns:
        (DRAWS, rows).
    """
    blocks = np.array_split(values, BLOCKS, axis=1)
    sums = np.stack([block.sum(axis=1) for block in blocks])
    sizes = np.array([block.shape[1] for block in blocks])
    drawn = np.random.default_rng(0).integers(BLOCKS, size=(DRAWS, BLOCKS))
    return sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1, keepdims=True)
