"""From a text file to the token ids of train, dev and val. No torch."""

import math
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tiktoken

from gpt2_shakespeare.errors import printable
from gpt2_shakespeare.tokens import tokenizer
from gpt2_shakespeare.tokens.files import DataError, Tokens
from gpt2_shakespeare.tokens.tokenizer import Encoding, TokenizerError

# tiktoken remembers every character of a run of white space, to take back the last one, and panics at a million. What
# it takes for white space is Python's but for the four separators of ASCII.
LONGEST_SPACE = 100_000
LONG_SPACE = re.compile(rf"[^\S\x1c-\x1f]{{{LONGEST_SPACE},}}")
ROUNDS = 20  # of training a tokenizer; on a text of Chinese and then English two are enough


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


def encode(encoding: Encoding, texts: Sequence[str]) -> Tokens:
    """Token ids of one text, or of several with the end-of-text token between them.

    Raises:
        TokenizerError: a base's tokenizer does not give a text back.
    """
    parts: list[list[int]] = []
    with ThreadPoolExecutor(2) as pool:
        for part in pool.map(lambda text: _encode(encoding, text), texts):
            parts += [part, [encoding.eot_token]]
    return np.concatenate(parts[:-1]).astype(np.uint16 if encoding.n_vocab <= 2**16 else np.uint32)


def _encode(encoding: Encoding, text: str) -> list[int]:
    """Encoding.encode_ordinary, without tiktoken's limit for runs of white space."""
    if not isinstance(encoding, tiktoken.Encoding):
        ids = encoding.encode_ordinary(text)
        _require_same(text.encode(), encoding.decode_bytes(ids))
        return ids
    ids = []
    done = 0
    for run in LONG_SPACE.finditer(text):
        # the pattern leaves a run's last character to what follows it; the others are a word of their own
        end = run.end() if run.end() == len(text) else run.end() - 1
        ids += encoding.encode_ordinary(text[done : run.start()])
        ids += encoding._encode_single_piece(text[run.start() : end])
        done = end
    return ids + encoding.encode_ordinary(text[done:])


def _require_same(text: bytes, back: bytes) -> None:
    """See that a tokenizer gives a text back: else bits per character of what it gives would say nothing of the text.

    Raises:
        TokenizerError: it doesn't.
    """
    if text == back:
        return
    place = len(os.path.commonprefix([text, back]))
    here, there = (
        printable(part[max(0, place - 10) : place + 20].decode(errors="replace")) for part in (text, back)
    )
    raise TokenizerError(
        f"the base's tokenizer doesn't give the text back: from byte {place} on, '{here}' becomes '{there}', so its "
        "losses per character would mean nothing; use another base, or tokenizer.source gpt2 or bpe"
    )


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
            enough = math.ceil((block_size + 1) / 0.045) + 2  # dev is the shortest part, 5 % of nine tenths
            raise DataError(
                f"the corpus is too short: its {name} part has {len(part)} tokens (of {len(tokens)}), and a window needs "
                f"more than block_size {block_size}; lengthen it to {enough:,} tokens or lower block_size"
            )
    return parts


def learn(
    corpus: str, more: Sequence[str], vocab_size: int, block_size: int, folder: Path
) -> tuple[tiktoken.Encoding, dict[str, Tokens]]:
    """Train a tokenizer on other texts and on a part of the corpus that `split` then gives to train.

    The split counts tokens, so how much text it gives to dev and val depends on the tokenizer, and on how many tokens
    each piece of the text has. The tokenizer is trained on what lies between 6 % and 88 % of the characters, and if
    that turns out to reach into dev or val, once more on a smaller part.

    Args:
        more: texts of which nothing is held out.
        folder: where the tokenizer's files go.

    Returns:
        the tokenizer, and what `split` makes of the corpus.

    Raises:
        TokenizerError: the texts have too few different pairs for so many types.
        DataError: a part of the corpus is too short, or no part was found that stays inside train.
    """
    raw = corpus.encode()
    first, last = (len(corpus[: int(share * len(corpus))].encode()) for share in (0.06, 0.88))  # bytes
    for _ in range(ROUNDS):
        encoding = tokenizer.train([raw[first:last].decode(errors="ignore"), *more], vocab_size, folder)
        parts = split(encode(encoding, [corpus]), block_size)
        dev, val = (len(encoding.decode_bytes(parts[name].tolist())) for name in ("dev", "val"))
        start, end = dev, len(raw) - val
        if start <= first and last <= end:
            return encoding, parts
        margin = (end - start) // 50  # another tokenizer moves the split a little
        first = first if start <= first else start + margin
        last = last if last <= end else end - margin
    raise DataError(
        "the corpus: no part of it was found to train a tokenizer on that the split doesn't give to dev or val; mix its "
        "parts more evenly, or set tokenizer.source to gpt2"
    )


def bits_per_char(loss: float, n_tokens: int, n_chars: int) -> float:
    """Convert a loss in nats per token to bits per character of the same text."""
    return loss * n_tokens / n_chars / math.log(2)
