"""What a text takes from train word for word: stretches found there, and prefixes that call up what follows. No torch.

All texts of one call have the same length: arrays (B, T) of token ids, one text a row.
"""

from itertools import count

import numpy as np

from gpt2_shakespeare.tokens.files import Tokens


def matches(texts: np.ndarray, train: Tokens) -> np.ndarray:
    """Length of the longest stretch from each place of each text that stands in train, in tokens; int (B, T).

    Exact. All stretches of one length that both sides have get a number; those of the next length are pairs of
    such a number and a token. What only one side has is dropped, so later rounds are short.
    """
    n_texts, length = texts.shape
    flat = texts.reshape(-1).astype(np.int64)
    source = train.astype(np.int64)
    types = int(max(flat.max(initial=0), source.max(initial=0))) + 1
    found = np.zeros(n_texts * length, dtype=np.int64)
    here, there = np.arange(len(flat)), np.arange(len(source))  # where stretches that both have start
    ours, theirs = np.zeros_like(here), np.zeros_like(there)  # and their numbers
    for n in count(1):
        inside = here % length + n <= length
        here, ours = here[inside], ours[inside]
        inside = there + n <= len(source)
        there, theirs = there[inside], theirs[inside]
        ours, theirs = ours * types + flat[here + n - 1], theirs * types + source[there + n - 1]
        both = np.intersect1d(ours, theirs)
        if not len(both):
            return found.reshape(n_texts, length)
        kept = np.isin(ours, both)
        here, ours = here[kept], np.searchsorted(both, ours[kept])
        kept = np.isin(theirs, both)
        there, theirs = there[kept], np.searchsorted(both, theirs[kept])
        found[here] = n
    raise AssertionError  # count() has no end


def share_in_train(found: np.ndarray, n: int) -> float | None:
    """Share of the texts' n-grams that stand in train, given their `matches`; its complement is their novelty.

    After McCoy et al. 2023 (RAVEN). None where the texts are shorter than n tokens.
    """
    places = found[:, : max(0, found.shape[1] - n + 1)]
    return float((places >= n).mean()) if places.size else None


def matched_lengths(continuations: np.ndarray, originals: np.ndarray) -> np.ndarray:
    """How many tokens of each continuation equal the original's before the first that doesn't; int (B,)."""
    return (continuations == originals).cumprod(axis=1).sum(axis=1)


def recalled(lengths: np.ndarray, n: int) -> list[float]:
    """Share of the continuations that go on as the original does for at least 1, 2, ... n tokens.

    The last is what Carlini et al. 2023 call extractable: all n tokens, from a greedy continuation.
    """
    return [float((lengths >= k).mean()) for k in range(1, n + 1)]
