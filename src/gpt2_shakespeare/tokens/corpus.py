"""From a text file to the token ids of train, dev and val. No torch."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tiktoken

from gpt2_shakespeare.tokens.files import DataError, Tokens


def read_corpus(path: Path) -> str:
    """Read a UTF-8 text; a byte order mark is dropped, and CRLF and lone CR become LF.

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
    """Split a text into dev | train | val: val is the last tenth, as in the reference, dev the first 5 % of the rest.

    The end of the tokens before val would be a poor dev set. It holds the opening of the play that val continues, and
    the names of that play's speakers, which no row would then learn. A trigram's val loss on Tiny Shakespeare is 5.49
    if the last 5 % are left out of training, and 4.77 if the first 5 % are, the same as with all of them. With the
    first 5 % as dev, the trigram's dev loss is 4.83, and the share of dev's tokens whose type train doesn't have
    (2.2 %) equals val's.

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


def bits_per_char(loss: float, n_tokens: int, n_chars: int) -> float:
    """Convert a loss in nats per token to bits per character of the same text."""
    return loss * n_tokens / n_chars / math.log(2)
