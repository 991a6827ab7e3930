"""From a text file to the token ids of train, dev and val. No torch."""

import math
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tiktoken

from gpt2_shakespeare.tokens.files import DataError, Tokens

# tiktoken remembers every character of a run of white space, to take back the last one, and panics at a million. What
# it takes for white space is Python's but for the four separators of ASCII.
LONGEST_SPACE = 100_000
LONG_SPACE = re.compile(rf"[^\S\x1c-\x1f]{{{LONGEST_SPACE},}}")


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
    with ThreadPoolExecutor(2) as pool:
        for part in pool.map(lambda text: _encode(encoding, text), texts):
            parts += [part, [encoding.eot_token]]
    return np.concatenate(parts[:-1]).astype(np.uint16)


def _encode(encoding: tiktoken.Encoding, text: str) -> list[int]:
    """Encoding.encode_ordinary, without its limit for runs of white space."""
    ids: list[int] = []
    done = 0
    for run in LONG_SPACE.finditer(text):
        # the pattern leaves a run's last character to what follows it; the others are a word of their own
        end = run.end() if run.end() == len(text) else run.end() - 1
        ids += encoding.encode_ordinary(text[done : run.start()])
        ids += encoding._encode_single_piece(text[run.start() : end])
        done = end
    return ids + encoding.encode_ordinary(text[done:])


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
