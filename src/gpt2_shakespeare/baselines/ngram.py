"""N-gram models: the losses that counts of the same tokens reach. No torch.

Interpolated Kneser-Ney (Chen & Goodman 1999, section 2.7) with one discount for each order, estimated from the counts.
The probability that the lowest order leaves is shared equally by all token types.
"""

import numpy as np

from gpt2_shakespeare.tokens.files import Tokens

# Where no gram of an order occurs once, its counts give no discount, and one of 0 leaves nothing to grams that are new.
# KenLM's --discount_fallback (lmplz) takes this much from counts of one then.
FALLBACK_DISCOUNT = 0.5


class Unigram:
    """Frequencies of the types, each counted once more than it occurs (Laplace)."""

    def __init__(self, tokens: Tokens, vocab_size: int):
        self.p = (np.bincount(tokens, minlength=vocab_size) + 1) / (len(tokens) + vocab_size)

    def probabilities(self, tokens: Tokens) -> np.ndarray:
        """p of every token but the first, float64 (n - 1,)."""
        return self.p[tokens[1:]]


class Ngram:
    """Interpolated Kneser-Ney of order 2 or 3.

    Args:
        tokens: the text whose n-grams are counted, (n,).
        vocab_size: number of types, seen or not.
    """

    def __init__(self, tokens: Tokens, vocab_size: int, order: int = 3):
        self.order, self.vocab_size = order, vocab_size
        self.levels = []
        for n in range(1, order + 1):
            grams = _packed(tokens, n, vocab_size)
            if n < order:  # count the different tokens that precede a gram, not its occurrences
                grams = np.unique(_packed(tokens, n + 1, vocab_size)) % vocab_size**n
            self.levels.append(_Level(*np.unique(grams, return_counts=True), vocab_size))

    def probabilities(self, tokens: Tokens) -> np.ndarray:
        """p of every token but the first, given up to order - 1 tokens of the text before it; float64 (n - 1,)."""
        result = np.full(len(tokens) - 1, 1 / self.vocab_size)
        for n, level in enumerate(self.levels, start=1):
            first = max(0, n - 2)  # the targets before this one have fewer than n - 1 tokens of context
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
    """Counts of the n-grams of one order, with absolute discounting.

    Args:
        grams: the different n-grams, packed (`_packed`) and sorted.
        counts: of each.
    """

    def __init__(self, grams: np.ndarray, counts: np.ndarray, vocab_size: int):
        self.grams, self.counts, self.vocab_size = grams, counts, vocab_size
        once, twice = (counts == 1).sum(), (counts == 2).sum()
        self.discount = once / (once + 2 * twice) if once else FALLBACK_DISCOUNT  # Ney, Essen & Kneser 1994
        self.contexts, first = np.unique(grams // vocab_size, return_index=True)
        self.totals = np.add.reduceat(counts, first)
        self.types = np.diff(np.append(first, len(grams)))

    def interpolate(self, grams: np.ndarray, lower: np.ndarray) -> np.ndarray:
        """p of the last token of each gram, given its p by the order below; after an unseen context the latter."""
        place, known = _find(self.contexts, grams // self.vocab_size)
        at, seen = _find(self.grams, grams)
        counts = np.where(seen, self.counts[at], 0)
        totals = self.totals[place]
        own = np.maximum(counts - self.discount, 0) / totals
        return np.where(known, own + self.discount * self.types[place] / totals * lower, lower)


def loss(probabilities: np.ndarray) -> float:
    """Mean of -log p, in nats per token."""
    return float(-np.log(probabilities).mean())


def _packed(tokens: Tokens, n: int, vocab_size: int) -> np.ndarray:
    """Every n-gram as one int64, (len(tokens) - n + 1,); three tokens of two million types fit into one."""
    count = len(tokens) - n + 1
    result = np.zeros(max(0, count), dtype=np.int64)
    for i in range(n):
        result = result * vocab_size + tokens[i : i + count]
    return result


def _find(table: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Place of each key in a sorted table, and whether the table has it."""
    place = np.minimum(np.searchsorted(table, keys), len(table) - 1)
    return place, table[place] == keys
