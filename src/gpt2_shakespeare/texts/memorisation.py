"""What a text copies from train, and how far a model continues prefixes as their texts do. No torch.

All texts of one call have the same length: they are the rows of an array (B, T) of token ids.
"""

from itertools import count

import numpy as np

from gpt2_shakespeare.tokens.files import Tokens


def matches(texts: np.ndarray, train: Tokens) -> np.ndarray:
    """Length of the longest stretch that starts at each place of each text and occurs in train; in tokens, int (B, T).

    The search is exact. Round n numbers all stretches of n tokens that both the texts and train have. A stretch of
    n + 1 tokens is then a pair of such a number and a token. Stretches that only one side has are dropped, so later
    rounds are short.
    """
    n_texts, length = texts.shape
    flat = texts.reshape(-1).astype(np.int64)
    source = train.astype(np.int64)
    types = int(max(flat.max(initial=0), source.max(initial=0))) + 1
    found = np.zeros(n_texts * length, dtype=np.int64)
    here, there = np.arange(len(flat)), np.arange(len(source))  # where stretches start
    ours, theirs = np.zeros_like(here), np.zeros_like(there)  # the stretches' numbers
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
    """Share of the texts' n-grams that occur in train, given their `matches`; the rest are novel.

    After McCoy et al. 2023 (RAVEN). None if the texts are shorter than n tokens.
    """
    places = found[:, : max(0, found.shape[1] - n + 1)]
    return float((places >= n).mean()) if places.size else None


def stretches(found: np.ndarray, least: int) -> list[tuple[int, int]]:
    """Where one text is taken from train in at least so many tokens: first token and the one after the last, joined
    where they touch, given its `matches` (T,)."""
    parts: list[tuple[int, int]] = []
    for start in np.flatnonzero(found >= least).tolist():
        end = start + int(found[start])
        if parts and start <= parts[-1][1]:
            parts[-1] = parts[-1][0], max(end, parts[-1][1])
        else:
            parts.append((start, end))
    return parts


def matched_lengths(continuations: np.ndarray, originals: np.ndarray) -> np.ndarray:
    """Number of tokens before the first one in which a continuation differs from its original; int (B,)."""
    return (continuations == originals).cumprod(axis=1).sum(axis=1)


def recalled(lengths: np.ndarray, n: int) -> list[float]:
    """Share of the continuations that equal their originals for at least 1, 2, ... n tokens.

    Carlini et al. 2023 call a text extractable if a greedy continuation equals all n tokens; the last share is theirs.
    """
    return [float((lengths >= k).mean()) for k in range(1, n + 1)]
