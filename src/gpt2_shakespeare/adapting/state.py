"""What the mixture has learned, as arrays. No torch."""

from typing import Any, NamedTuple

import numpy as np

from gpt2_shakespeare.adapting import kernel as k


class State(NamedTuple):
    """All that has been learned, and where the text is.

    Args:
        text, ends: the bytes, and whether a token ends after as many, uint8.
        now: numbers about the place in the text, int64.
        slots: of each context's hash table: check, probability of a 1 in 65536ths, history, visits; uint16.
        maps: from a history to a probability, float32; `seen` its updates.
        follow1, follow2: the last three bytes that came after a byte, and after two.
        found: where the bytes before a place stood last; `matches`: the place that goes on the same, and since when.
        trust: how often a match of this length was right.
        first, join, last: the mixers' weights. final: the maps at the end.
    """

    text: Any
    ends: Any
    now: Any
    slots: Any
    maps: Any
    seen: Any
    follow1: Any
    follow2: Any
    found: Any
    matches: Any
    trust: Any
    first: Any
    join: Any
    last: Any
    final: Any


class Rates(NamedTuple):
    """How fast everything learns."""

    first: float  # of the first mixers at the start, falling as 1 / (1 + step / fall) to
    least: float
    fall: float
    join: float
    last: float
    map: int  # updates after which a history's map is slowest
    slot: int  # visits after which a context's probability is slowest
    final: float
    share: float  # of the final maps in the result


def empty(log_size: int, start: float) -> State:
    """A state that has read nothing.

    Args:
        log_size: log2 of the slots a context.
        start: the first mixers' weights.
    """
    zeros, one = np.zeros, np.float32(1)
    ones, zeroes = (np.arange(k.HISTORIES) >> 1) & 31, np.arange(k.HISTORIES) >> 6
    maps = np.broadcast_to((ones + 0.4) / (ones + zeroes + 0.8), (k.CONTEXTS, 2, k.HISTORIES))
    knots = 1 / (1 + np.exp(-(np.arange(k.STEPS) - k.STEPS // 2) / 2))
    return State(
        text=zeros(0, np.uint8), ends=zeros(1, np.uint8), now=zeros(13, np.int64),
        slots=zeros((k.CONTEXTS, 1 << log_size, 4), np.uint16),
        maps=maps.astype(np.float32), seen=zeros((k.CONTEXTS, 2, k.HISTORIES), np.int32),
        follow1=zeros(256, np.int64), follow2=zeros(65536, np.int64),
        found=zeros((k.MATCHES, min(1 << log_size, 1 << 20)), np.int32), matches=zeros((k.MATCHES, 2), np.int64),
        trust=np.full((k.MATCHES, 2, k.LONGEST + 1), 0.75, np.float32),
        first=np.full((k.SETS, k.ROWS, k.INPUTS), start, np.float32),
        join=np.full((k.JOINED, 2048, k.SETS), one / k.SETS, np.float32), last=zeros((k.LAST, k.ROWS, 0), np.float32),
        final=np.broadcast_to(knots, (k.MAPS, k.KEYS, k.STEPS)).astype(np.float32),
    )  # fmt: skip


def last_weights(models: int, trust: float) -> np.ndarray:
    """The last mixers' weights at their start.

    Args:
        trust: what they give to the models, as against the counts, from 0 to 1.
    """
    weights = np.zeros((k.LAST, k.ROWS, k.SETS + k.EXTRA + 2 * models), np.float32)
    weights[:, :, k.SETS] = 1 - trust
    weights[:, :, k.SETS + k.EXTRA :: 2] = trust / models
    return weights


def count_models(weights: np.ndarray) -> int:
    """The number of models that the last mixers' weights are for."""
    return max(0, weights.shape[2] - k.SETS - k.EXTRA) // 2
