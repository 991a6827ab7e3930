"""Token ids on disk, as numpy arrays. No torch."""

from pathlib import Path

import numpy as np

from gpt2_shakespeare import disk
from gpt2_shakespeare.errors import UserError

Tokens = np.ndarray  # (n,) uint16, or uint32 for a large vocabulary: token ids, in the order of the text
KINDS = (np.uint16, np.uint32)


class DataError(UserError, ValueError):
    """A corpus or token file can't be used; the message names the file and says what to do."""


def save_tokens(path: Path, tokens: Tokens) -> None:
    """Write token ids to a .npy file; its folder is made if needed."""
    with (
        disk.aside(path) as temp,
        open(temp, "wb") as file,
    ):  # of a name, numpy would make one that ends in .npy
        np.save(file, tokens)


def load_tokens(path: Path, vocab_size: int) -> Tokens:
    """Read token ids from a .npy file.

    Raises:
        DataError: missing, truncated, not a list of uint16 or uint32, or an id >= vocab_size.
    """
    try:
        tokens = np.load(path, allow_pickle=False)
    except Exception as error:  # a damaged header can make numpy raise almost any exception
        raise DataError(f"{path}: can't be read as tokens ({error}); run `dvc repro prepare`") from None
    if not isinstance(tokens, np.ndarray) or tokens.dtype not in KINDS or tokens.ndim != 1:
        raise DataError(f"{path}: not a list of 16-bit or 32-bit token ids; run `dvc repro prepare`")
    if len(tokens) and (top := int(tokens.max())) >= vocab_size:
        raise DataError(
            f"{path}: token id {top} is outside the model's vocab_size {vocab_size}; "
            "the tokenizer and the base model must belong together (tokenizer.source, base.source)"
        )
    return tokens
