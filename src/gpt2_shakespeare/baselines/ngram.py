"""N-gram baselines: what counting alone reaches on the same tokens. No torch.

Interpolated Kneser-Ney (Chen & Goodman 1999, section 2.7) with one discount an order, estimated from the counts,
and a unigram cache (Kuhn & De Mori 1990) of the text so far. All token types share what the lowest order leaves.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from gpt2_shakespeare.tokens.files import Tokens

CACHE_WEIGHTS = (0.02, 0.05, 0.1, 0.15, 0.2)
CACHE_SIZES = (100, 200, 400, 800, 1600, 3200)  # tokens


class Unigram:
    """Shares of the types, each counted once more than it is there (Laplace)."""

    def __init__(self, tokens: Tokens, vocab_size: int):
        self.p = (np.bincount(tokens, minlength=vocab_size) + 1) / (len(tokens) + vocab_size)

    def probabilities(self, tokens: Tokens) -> np.ndarray:
        """p of every token but the first, float64 (n - 1,)."""
        return self.p[tokens[1:]]


class Ngram:
    """Interpolated Kneser-Ney of order 2 or 3.

    Args:
        tokens: to count.
        vocab_size: types that share the probability of what was never seen.
    """

    def __init__(self, tokens: Tokens, vocab_size: int, order: int = 3):
        self.order, self.vocab_size = order, vocab_size
        self.levels = []
        for n in range(1, order + 1):
            grams = _packed(tokens, n, vocab_size)
            if n < order:  # count the different tokens that stand before it, not how often it is there
                grams = np.unique(_packed(tokens, n + 1, vocab_size)) % vocab_size**n
            self.levels.append(_Level(*np.unique(grams, return_counts=True), vocab_size))

    def probabilities(self, tokens: Tokens) -> np.ndarray:
        """p of every token but the first, given up to order - 1 tokens of the text before it; float64 (n - 1,)."""
        result = np.full(len(tokens) - 1, 1 / self.vocab_size)
        for n, level in enumerate(self.levels, start=1):
            first = max(0, n - 2)  # targets before it have fewer than n - 1 tokens before them
            grams = _packed(tokens[1:] if n == 1 else tokens, n, self.vocab_size)
            result[first:] = level.interpolate(grams, result[first:])
        return result

    def distribution(self, context: Tokens) -> np.ndarray:
        """p of every type after the context, float64 (vocab_size,)."""
        result = np.full(self.vocab_size, 1 / self.vocab_size)
        for n, level in enumerate(self.levels, start=1):
            if n - 1 > len(context):
                break
            above = 0
            for token in context[len(context) - (n - 1) :]:
                above = above * self.vocab_size + int(token)
            result = level.interpolate(above * self.vocab_size + np.arange(self.vocab_size), result)
        return result


class _Level:
    """Counts of one order, with absolute discounting."""

    def __init__(self, grams: np.ndarray, counts: np.ndarray, vocab_size: int):
        self.grams, self.counts, self.vocab_size = grams, counts, vocab_size
        once, twice = (counts == 1).sum(), (counts == 2).sum()
        self.discount = once / (once + 2 * twice) if once else 0.0  # Ney, Essen & Kneser 1994
        self.contexts, first = np.unique(grams // vocab_size, return_index=True)
        self.totals = np.add.reduceat(counts, first)
        self.types = np.diff(np.append(first, len(grams)))

    def interpolate(self, grams: np.ndarray, lower: np.ndarray) -> np.ndarray:
        """p of the last token of each gram, given p by the order below; that itself after unseen contexts."""
        place, known = _find(self.contexts, grams // self.vocab_size)
        at, seen = _find(self.grams, grams)
        counts = np.where(seen, self.counts[at], 0)
        totals = self.totals[place]
        own = np.maximum(counts - self.discount, 0) / totals
        return np.where(known, own + self.discount * self.types[place] / totals * lower, lower)


@dataclass(frozen=True)
class Cache:
    """Mixes a unigram of the last `size` tokens of the text itself into a model's probabilities."""

    weight: float
    size: int

    def mix(self, tokens: Tokens, probabilities: np.ndarray) -> np.ndarray:
        """The mixture's p of every token but the first, given the model's."""
        counts = np.zeros(int(tokens.max()) + 1)
        own = np.empty(len(probabilities))
        for i, target in enumerate(tokens[1:]):
            counts[tokens[i]] += 1
            if i >= self.size:
                counts[tokens[i - self.size]] -= 1
            own[i] = counts[target] / min(i + 1, self.size)
        return self.weight * own + (1 - self.weight) * probabilities


def best_cache(tokens: Tokens, probabilities: np.ndarray) -> Cache:
    """The cache with the lowest loss on these tokens; for dev."""
    caches = [Cache(weight, size) for weight, size in product(CACHE_WEIGHTS, CACHE_SIZES)]
    return min(caches, key=lambda cache: loss(cache.mix(tokens, probabilities)))


def loss(probabilities: np.ndarray) -> float:
    """Mean of -log p, in nats per token."""
    return float(-np.log(probabilities).mean())


def _packed(tokens: Tokens, n: int, vocab_size: int) -> np.ndarray:
    """Every n-gram as one number, int64 (len(tokens) - n + 1,); three tokens of 65,536 types fit."""
    count = len(tokens) - n + 1
    result = np.zeros(max(0, count), dtype=np.int64)
    for i in range(n):
        result = result * vocab_size + tokens[i : i + count]
    return result


def _find(table: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Place of each key in a sorted table, and whether it is there."""
    place = np.minimum(np.searchsorted(table, keys), len(table) - 1)
    return place, table[place] == keys
