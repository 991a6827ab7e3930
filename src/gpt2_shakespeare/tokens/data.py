"""Corpus and token files, the split, windows, and batches as a function of (seed, step). No torch."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import tiktoken

from gpt2_shakespeare.errors import UserError

Tokens = np.ndarray  # (n,) uint16: token ids, in the order of the text


class DataError(UserError, ValueError):
    """A corpus or token file can't be used; the message names the file and says what to do."""


def read_corpus(path: Path) -> str:
    """A UTF-8 text; a byte order mark is dropped and CRLF (or a lone CR) becomes LF.

    Raises:
        DataError: no such file, empty, or not UTF-8 (with the byte offset).
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror}") from None
    try:
        text = raw.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not UTF-8 at byte {error.start} (0x{raw[error.start]:02x}); save it as UTF-8"
        ) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise DataError(f"{path}: the corpus is empty; put text into it or choose another corpus")
    return text


def encode(encoding: tiktoken.Encoding, texts: Sequence[str]) -> Tokens:
    """Token ids of one text, or of several with <|endoftext|> between them."""
    parts: list[list[int]] = []
    for part in encoding.encode_ordinary_batch(list(texts), num_threads=2):
        parts += [part, [encoding.eot_token]]
    return np.concatenate(parts[:-1]).astype(np.uint16)


def split(tokens: Tokens, block_size: int) -> dict[str, Tokens]:
    """dev | train | val: val is the last tenth, as in the reference; dev the first 5 % of what is before it.

    The end of the tokens before val would be a poor dev: it holds the opening of the play that val goes on with, and
    its speakers' names, which no row would learn. A trigram's val loss on Tiny Shakespeare is 5.49 without the last
    5 %, and 4.77 without the first, as it is with all of them; dev then costs it 4.83, and as many of its tokens are
    of types that train doesn't have as val's (2.2 %).

    Raises:
        DataError: a part is too short for one window of block_size tokens and its targets.
    """
    val_start = int(0.9 * len(tokens))
    dev_end = val_start - int(0.95 * val_start)
    parts = {"train": tokens[dev_end:val_start], "dev": tokens[:dev_end], "val": tokens[val_start:]}
    for name, part in parts.items():
        if len(part) <= block_size:
            raise DataError(
                f"the corpus is too short: its {name} part has {len(part)} tokens (of {len(tokens)}), "
                f"and a window needs more than block_size {block_size}; lengthen it or lower block_size"
            )
    return parts


def save_tokens(path: Path, tokens: Tokens) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, tokens)


def load_tokens(path: Path, vocab_size: int) -> Tokens:
    """Token ids from disk.

    Raises:
        DataError: missing, truncated, not a list of uint16, or an id >= vocab_size.
    """
    try:
        tokens = np.load(path, allow_pickle=False)
    except Exception as error:  # a damaged header makes numpy raise anything
        raise DataError(f"{path}: can't be read as tokens ({error}); run `dvc repro prepare`") from None
    if not isinstance(tokens, np.ndarray) or tokens.dtype != np.uint16 or tokens.ndim != 1:
        raise DataError(f"{path}: not a list of 16-bit token ids; run `dvc repro prepare`")
    if len(tokens) and (top := int(tokens.max())) >= vocab_size:
        raise DataError(
            f"{path}: token id {top} is outside the model's vocab_size {vocab_size}; "
            "the tokenizer and the base model must belong together (tokenizer.source, base.source)"
        )
    return tokens


def bits_per_char(loss: float, n_tokens: int, n_chars: int) -> float:
    """Nats per token -> bits per character of the same text."""
    return loss * n_tokens / n_chars / math.log(2)


def window_starts(n_tokens: int, block_size: int, stride: int) -> np.ndarray:
    """Start of every whole window: block_size inputs and, shifted by one, as many targets.

    On the reference's 304,222 train tokens with blocks of 1024 and stride 128 these are its 2,369 windows.
    """
    return np.arange(0, n_tokens - block_size, stride)


def windows(tokens: Tokens, starts: np.ndarray, block_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets, both (len(starts), block_size) int64."""
    rows = tokens[starts[:, None] + np.arange(block_size + 1)].astype(np.int64)
    return rows[:, :-1], rows[:, 1:]


class Renaming:
    """Gives rare token types other names in a window, each the same one throughout it.

    A text of 300,000 tokens names people and things that the next one doesn't have, and lacks most of the 50,257
    types. A model that sees a window's rare types under other names, often ones that train never has, learns to take
    them up from the context, and that any type may come. Names keep their shape (`tokenizer.shapes`).

    Args:
        tokens: train's, which tell what is rare.
        shapes: of every type, (vocab_size,).
        share: of a window's rare types that get another name.
        below: a type is rare if train has fewer of it than this.
    """

    def __init__(self, tokens: Tokens, shapes: np.ndarray, share: float, below: int):
        self.share = share
        self.rare = (np.bincount(tokens, minlength=len(shapes)) < below) & (shapes >= 0)
        # the rare types shape by shape, and where those of each type's shape begin and how many they are
        self.names = np.flatnonzero(self.rare)[np.argsort(shapes[self.rare], kind="stable")]
        counts = np.bincount(shapes[self.rare], minlength=shapes.max(initial=0) + 1)
        self.first, self.count = (np.cumsum(counts) - counts)[shapes], counts[shapes]

    def apply(self, window: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The window, int64, with some of its types renamed."""
        types = np.unique(window)
        types = types[self.rare[types]]
        types = types[generator.random(len(types)) < self.share]
        if not len(types):
            return window
        drawn = (generator.random(len(types)) * self.count[types]).astype(int)
        names = self.names[self.first[types] + drawn]
        place = np.minimum(np.searchsorted(types, window), len(types) - 1)
        return np.where(types[place] == window, names[place], window)


class Batches:
    """Shuffled windows, batch by batch; the order is a function of (seed, step), so there is no state.

    Every epoch is a new permutation of all windows. A batch that reaches past an epoch's end takes the rest
    from the next one, so that all batches have one shape.
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
            random_offsets: move all windows of an epoch by a random number of tokens, those at the end to the start.
            renaming: of rare types, another in every epoch.

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
        """Batches that walk over the windows `epochs` times; at least one."""
        return max(1, -(-round(len(self.starts) * epochs) // self.batch_size))

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets of a step, (batch_size, block_size) int64 each."""
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
        if self._order[0] != epoch:
            generator = self._generator(epoch, "order")
            starts = generator.permutation(self.starts)
            if self.random_offsets:
                room = len(self.tokens) - self.block_size
                starts = (starts + generator.integers(room)) % room
            self._order = (epoch, starts)
        return self._order[1]

    def _generator(self, number: int, purpose: Literal["order", "renaming"]) -> np.random.Generator:
        seed = [self.seed, self.block_size, number] + ([1] if purpose == "renaming" else [])
        return np.random.Generator(np.random.PCG64(seed))
