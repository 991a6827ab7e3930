"""A text of tokens as yes-or-no decisions: a walk through the trie of the tokens' bytes. No torch.

The vocabulary is sorted by bytes, so whatever begins with the same bits is a range of it. A bit splits a range in two;
before each further byte of a token, where the range holds a token that ends there, a decision says whether it does.
What the vocabulary leaves no choice about is no decision. A distribution over tokens so gives a probability for every
decision, and the product over a token's decisions is the probability of the token.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from gpt2_shakespeare.errors import UserError

END = 0  # the node of the decision whether the token ends here; those of a byte's bits are 1 to 255


class TrieError(UserError, ValueError):
    """A vocabulary or a text can't be walked through."""


class Walk(NamedTuple):
    """The decisions of a text, n of them.

    Args:
        first: where each token's decisions start, and the end of the last one's, int64 (tokens + 1,).
        bit: what was decided, uint8 (n,).
        node: END, or the bits of the byte so far after a leading one, uint8 (n,).
        depth: bytes of the token before the decision, uint8 (n,), at most 255.
        low, middle, high: the range of the sorted vocabulary, and where what goes with a 1 starts in it, int32 (n,).
            At END a 1 goes with the first token of the range only.
    """

    first: np.ndarray
    bit: np.ndarray
    node: np.ndarray
    depth: np.ndarray
    low: np.ndarray
    middle: np.ndarray
    high: np.ndarray


class Trie:
    """The vocabulary, sorted by bytes.

    Args:
        vocabulary: the bytes of each token, by its id.

    Raises:
        TrieError: a token is empty, or two are the same.
    """

    def __init__(self, vocabulary: Sequence[bytes]):
        self.order = np.array(sorted(range(len(vocabulary)), key=vocabulary.__getitem__), dtype=np.int64)
        ordered = [vocabulary[token] for token in self.order]
        for one, next in zip(ordered, ordered[1:], strict=False):
            if one == next:
                raise TrieError(f"the vocabulary has {one!r:.40} twice; the mixture needs tokens that differ")
        if ordered and not ordered[0]:
            raise TrieError(
                "the vocabulary has a token without bytes; the mixture can't tell where it stands"
            )
        self.rank = np.empty_like(self.order)
        self.rank[self.order] = np.arange(len(ordered))
        self.starts = np.concatenate([[0], np.cumsum([len(token) for token in ordered])]).astype(np.int64)
        self.bytes = np.frombuffer(b"".join(ordered), dtype=np.uint8)

    def text(self, tokens: np.ndarray) -> np.ndarray:
        """The bytes of a text, uint8."""
        ranks = self.rank[tokens]
        parts = [self.bytes[self.starts[rank] : self.starts[rank + 1]] for rank in ranks]
        return np.concatenate(parts) if parts else np.empty(0, np.uint8)

    def lengths(self, tokens: np.ndarray) -> np.ndarray:
        """Bytes of each token, int64."""
        ranks = self.rank[tokens]
        return self.starts[ranks + 1] - self.starts[ranks]

    def walk(self, tokens: np.ndarray) -> Walk:
        """The decisions of a text, given as token ids (n,)."""
        ranks = self.rank[tokens]
        longest = int((self.starts[ranks + 1] - self.starts[ranks]).sum()) * 9 + 1
        columns = [np.empty(longest, dtype) for dtype in (np.uint8,) * 3 + (np.int32,) * 3]
        first = np.empty(len(ranks) + 1, np.int64)
        n = _walk(ranks, self.starts, self.bytes, first, *columns)
        return Walk(first, *(column[:n].copy() for column in columns))

    def shares(self, walk: Walk, start: int, p: np.ndarray) -> np.ndarray:
        """The probability of a 1 at each decision of some tokens of a text, float64.

        Args:
            start: the first of them.
            p: of each, the probabilities of all tokens in the order of `order`, (n, tokens).
        """
        first = walk.first[start : start + len(p) + 1]
        some = slice(first[0], first[-1])
        return _shares(p, first, walk.low[some], walk.middle[some], walk.high[some], walk.node[some])


@njit(cache=True)
def _split(bytes, starts, low, high, depth, bit):
    """Where, in a range of tokens that agree up to a bit of the byte at this depth, that bit becomes 1."""
    while low < high:
        middle = (low + high) // 2
        if (bytes[starts[middle] + depth] >> bit) & 1:
            high = middle
        else:
            low = middle + 1
    return low


@njit(cache=True)
def _walk(ranks, starts, bytes, first, bits, nodes, depths, lows, middles, highs):
    n = 0
    for token in range(len(ranks)):
        first[token] = n
        rank = ranks[token]
        length = starts[rank + 1] - starts[rank]
        low, high = 0, len(starts) - 1
        for depth in range(length + 1):
            ends = depth == starts[low + 1] - starts[low]  # a token that ends here is the first of its range
            if ends and high - low > 1:
                bits[n], nodes[n], depths[n] = depth == length, END, min(depth, 255)
                lows[n], middles[n], highs[n] = low, low, high
                n += 1
            if depth == length:
                break
            low += ends
            node = 1
            for bit in range(7, -1, -1):
                is_one = (bytes[starts[rank] + depth] >> bit) & 1
                middle = _split(bytes, starts, low, high, depth, bit)
                if low < middle < high:
                    bits[n], nodes[n], depths[n] = is_one, node, min(depth, 255)
                    lows[n], middles[n], highs[n] = low, middle, high
                    n += 1
                if is_one:
                    low = middle
                else:
                    high = middle
                node = 2 * node + is_one
    first[len(ranks)] = n
    return n


@njit(cache=True)
def _shares(p, first, lows, middles, highs, nodes):
    found, sums = np.empty(len(nodes)), np.zeros(p.shape[1] + 1)
    for row in range(len(p)):
        for i in range(p.shape[1]):
            sums[i + 1] = sums[i] + p[row, i]
        for d in range(first[row] - first[0], first[row + 1] - first[0]):
            low, high = lows[d], highs[d]
            whole = sums[high] - sums[low]
            part = sums[low + 1] - sums[low] if nodes[d] == END else sums[high] - sums[middles[d]]
            found[d] = min(max(part / whole, 0.0), 1.0) if whole > 0 else 0.5
    return found
