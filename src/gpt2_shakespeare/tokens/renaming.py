"""Renaming of rare token types in training windows. No torch."""

import numpy as np

from gpt2_shakespeare.tokens.files import Tokens


class Renaming:
    """Replaces some of a window's rare token types with others, each type by the same one throughout the window.

    The 300,000 training tokens name people and things that the next text doesn't have, and they contain only a small
    part of the 50,257 types. A model that sees a window's rare types replaced, often by types that train never has,
    learns to copy such types from the context, and that any type may occur. A replacement has the shape of the
    original (`tokenizer.shapes`).

    Args:
        tokens: the training text, whose counts tell which types are rare.
        shapes: shape of every type, (vocab_size,); types of shape -1 are never replaced.
        share: the probability that a rare type of a window is replaced.
        below: a type is rare if train has fewer than this many of it.
    """

    def __init__(self, tokens: Tokens, shapes: np.ndarray, share: float, below: int):
        self.share = share
        self.rare = (np.bincount(tokens, minlength=len(shapes)) < below) & (shapes >= 0)
        # All rare types, grouped by shape; `first` and `count` say for every type where the group of its shape begins
        # and how many types the group has.
        self.names = np.flatnonzero(self.rare)[np.argsort(shapes[self.rare], kind="stable")]
        counts = np.bincount(shapes[self.rare], minlength=shapes.max(initial=0) + 1)
        self.first, self.count = (np.cumsum(counts) - counts)[shapes], counts[shapes]

    def apply(self, window: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The window, int64 (T,), with some of its types replaced."""
        types = np.unique(window)
        types = types[self.rare[types]]
        types = types[generator.random(len(types)) < self.share]
        if not len(types):
            return window
        drawn = (generator.random(len(types)) * self.count[types]).astype(int)
        names = self.names[self.first[types] + drawn]
        place = np.minimum(np.searchsorted(types, window), len(types) - 1)
        return np.where(types[place] == window, names[place], window)
