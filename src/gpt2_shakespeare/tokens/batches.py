"""Windows of a text, and batches of them as a function of (seed, step). No torch."""

from typing import Literal

import numpy as np

from gpt2_shakespeare.tokens.files import DataError, Tokens
from gpt2_shakespeare.tokens.renaming import Renaming


def window_starts(n_tokens: int, block_size: int, stride: int) -> np.ndarray:
    """Start of every whole window: block_size inputs, and as many targets, which are shifted by one.

    For the reference's 304,222 train tokens, blocks of 1024 and stride 128 these are the reference's 2,369 windows.
    """
    return np.arange(0, n_tokens - block_size, stride)


def windows(tokens: Tokens, starts: np.ndarray, block_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets, both (len(starts), block_size) int64."""
    rows = tokens[starts[:, None] + np.arange(block_size + 1)].astype(np.int64)
    return rows[:, :-1], rows[:, 1:]


class Batches:
    """Batches of shuffled windows. A batch is a function of (seed, step), so there is no state to save.

    Every epoch is a new permutation of all windows. A batch that reaches the end of an epoch takes its remaining
    windows from the next one, so that all batches have the same shape.
    """

    def __init__(
        self,
        tokens: Tokens,
        block_size: int,
        stride: int,
        batch_size: int,
        seed: int,
        *,
        random_offsets: bool = False,
        renaming: Renaming | None = None,
    ):
        """
        Args:
            tokens: the text, (n,).
            block_size: inputs of a window.
            stride: tokens from the start of one window to the start of the next.
            batch_size: windows of a batch.
            random_offsets: shift all windows of an epoch by a random number of tokens; those shifted past the end go
                to the start of the text.
            renaming: replaces rare types in the windows, differently at every step.

        Raises:
            DataError: fewer tokens than one window needs.
        """
        self.tokens, self.block_size, self.batch_size, self.seed = tokens, block_size, batch_size, seed
        self.random_offsets, self.renaming = random_offsets, renaming
        self.starts = window_starts(len(tokens), block_size, stride)
        if not len(self.starts):
            raise DataError(
                f"{len(tokens)} training tokens are too few for one window of block_size {block_size}; "
                "use a longer corpus or lower block_size"
            )
        self._order: tuple[int, np.ndarray] = (-1, self.starts)

    def steps(self, epochs: float) -> int:
        """Number of batches in `epochs` walks over the windows; at least one."""
        return max(1, -(-round(len(self.starts) * epochs) // self.batch_size))

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets of a step, both (batch_size, block_size) int64."""
        places = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs, within = np.divmod(places, len(self.starts))
        starts = np.concatenate(
            [self._permutation(int(epoch))[within[epochs == epoch]] for epoch in np.unique(epochs)]
        )
        idx, targets = windows(self.tokens, starts, self.block_size)
        if self.renaming is None:
            return idx, targets
        generator = self._generator(step, "renaming")
        rows = np.stack([self.renaming.apply(row, generator) for row in np.c_[idx, targets[:, -1:]]])
        return rows[:, :-1], rows[:, 1:]

    def _permutation(self, epoch: int) -> np.ndarray:
        """Starts of an epoch's windows in their order; the last epoch asked for is kept."""
        if self._order[0] != epoch:
            generator = self._generator(epoch, "order")
            starts = generator.permutation(self.starts)
            if self.random_offsets:
                room = len(self.tokens) - self.block_size
                starts = (starts + generator.integers(room)) % room
            self._order = (epoch, starts)
        return self._order[1]

    def _generator(self, number: int, purpose: Literal["order", "renaming"]) -> np.random.Generator:
        # one number more for renaming, so that the order of the windows is the same with and without it
        seed = [self.seed, self.block_size, number] + ([1] if purpose == "renaming" else [])
        return np.random.Generator(np.random.PCG64(seed))
