"""GPT-2's byte-level BPE read from its files, a small tokenizer of the same kind trained on the corpus, or the base's.

The first two are stored as GPT-2's two files, `vocab.bpe` (the merges) and `encoder.json` (token -> id), and are used
as a `tiktoken.Encoding`; for the base's own see `json_tokenizer.py`. Text is always encoded with `encode_ordinary`, so
a corpus that contains `<|endoftext|>` is read as plain text; only `tokens.corpus.encode` puts Encoding.eot_token between
documents.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tiktoken

from gpt2_shakespeare import disk
from gpt2_shakespeare.errors import UserError, printable

END_OF_TEXT = "<|endoftext|>"
# How GPT-2 splits text before merging (openai/gpt-2, encoder.py), in tiktoken's equivalent but faster form.
PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
FILES = (("vocab.bpe", "encoder.json"), ("merges.txt", "vocab.json"))  # OpenAI's names, Hugging Face's
LARGEST = 2**26  # bytes of a vocabulary; GPT-2's has a million
# GPT-2's order of the bytes, which are its first ids, and the characters that stand for them in the files: themselves,
# or for a space and what can't be printed the first ones above 255 (openai/gpt-2, encoder.py).
_VISIBLE = [byte for byte in range(256) if chr(byte).isprintable() and chr(byte) != " "]
_OTHERS = [byte for byte in range(256) if byte not in _VISIBLE]
_CHARS = {byte: chr(byte) for byte in _VISIBLE} | {byte: chr(256 + n) for n, byte in enumerate(_OTHERS)}
BYTES = list(_CHARS.values())
BYTE_OF = {char: byte for byte, char in _CHARS.items()}


# The pieces, in characters, that longer words are cut into before training. Its time grows with the square of a word's
# length, and a run of one character, or a text without spaces, is one word. No English word is nearly as long.
LONGEST_WORD = 1000


class TokenizerError(UserError, ValueError):
    """A tokenizer can't be loaded or trained; the message names the file or the setting."""


class Encoding(Protocol):
    """What the project uses of a tokenizer; `tiktoken.Encoding` and `JsonTokenizer` have it."""

    @property
    def n_vocab(self) -> int:
        """One more than the largest id."""

    @property
    def eot_token(self) -> int:
        """The id that stands between texts."""

    def encode_ordinary(self, text: str) -> list[int]:
        """Ids of a text, in which nothing is special."""

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of some ids; what is not UTF-8 in it becomes U+FFFD."""

    def decode_bytes(self, tokens: Sequence[int]) -> bytes:
        """The bytes of some ids."""

    def decode_tokens_bytes(self, tokens: Sequence[int]) -> list[bytes]:
        """The bytes of each id."""

    def decode_single_token_bytes(self, token: int) -> bytes:
        """The bytes of an id."""


def load(folder: Path) -> Encoding:
    """Read the tokenizer of a scale from its folder: GPT-2's two files, or our copy of a base's tokenizer.json.

    Raises:
        TokenizerError: a file is missing or broken, or files don't belong together.
    """
    from gpt2_shakespeare.tokens import json_tokenizer  # which imports this module

    if files_in(folder) is None and (folder / json_tokenizer.TOKENIZER).exists():
        return json_tokenizer.load(folder)
    return load_pair(folder)


def load_pair(folder: Path) -> tiktoken.Encoding:
    """Read GPT-2's two files from a folder; <|endoftext|> is the last id.

    They are `vocab.bpe` and `encoder.json`, or have Hugging Face's names, `merges.txt` and `vocab.json`. The line with
    a version and blank lines at the end of the merges may be there or not.

    Raises:
        TokenizerError: a file is missing or broken, or the two don't belong together.
    """
    merges, vocab = files_in(folder) or (folder / FILES[0][0], folder / FILES[0][1])
    for file in (merges, vocab):
        if not file.exists():
            raise TokenizerError(f"{file}: missing; run `dvc repro prepare`")
        try:
            disk.require_file(file)
        except disk.FileError as error:
            raise TokenizerError(str(error)) from None
    try:
        ranks = _ranks(merges.read_bytes().decode("utf-8-sig"), disk.read_json(vocab, LARGEST))
    except (OSError, ValueError) as error:
        reason = printable(error, 200)
        raise TokenizerError(
            f"{folder}: {merges.name} and {vocab.name} don't fit together ({reason})"
        ) from None
    return tiktoken.Encoding(
        "gpt2", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={END_OF_TEXT: len(ranks)}
    )


def files_in(folder: Path) -> tuple[Path, Path] | None:
    """The merges and the vocabulary in a folder, of which one may be missing; None if neither is there."""
    for names in FILES:
        merges, vocab = (folder / name for name in names)
        if merges.exists() or vocab.exists():
            return merges, vocab
    return None


def names(encoding: Encoding) -> dict[str, int]:
    """The vocabulary as its files write it: a character for each byte of a token, and <|endoftext|> last."""
    found = {}
    for number in range(encoding.n_vocab - 1):
        found["".join(_CHARS[byte] for byte in encoding.decode_single_token_bytes(number))] = number
    return found | {END_OF_TEXT: encoding.eot_token}


def merges(folder: Path) -> list[tuple[str, str]]:
    """The merges of a tokenizer that `load` has read."""
    found = files_in(folder)
    lines = _lines(found[0].read_text(encoding="utf-8-sig")) if found else []
    return [(first, second) for first, second in map(str.split, lines)]


def _lines(text: str) -> list[str]:
    """Merges, one a line, without the version and blank lines at the end."""
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n") if text.strip() else []
    return lines[1:] if lines and lines[0].startswith("#version") else lines


def _ranks(text: str, ids: dict[str, Any]) -> dict[bytes, int]:
    """Ids of the mergeable tokens, which are the bytes, then what each merge makes.

    Args:
        text: of the file of merges.
        ids: the vocabulary, which must say the same.

    Raises:
        ValueError: it doesn't, or a merge can't be read.
    """
    names = {name: number for number, name in enumerate(BYTES)}
    for number, line in enumerate(_lines(text)):
        pair = line.split(" ")
        if len(pair) != 2 or not names.keys() >= set(pair):
            raise ValueError(f"merge {number + 1}, '{printable(line)}', is not of two tokens before it")
        if names.setdefault("".join(pair), len(names)) != len(BYTES) + number:
            raise ValueError(f"merge {number + 1}, '{printable(line)}', makes a token that is there already")
    wanted = names | {END_OF_TEXT: len(names)}
    for name, number in ids.items():
        if name != "<|startoftext|>" and wanted.get(name) != number:
            raise ValueError(
                f"'{printable(name)}' has id {printable(number)}, by the merges {wanted.get(name)}"
            )
    if missing := names.keys() - ids.keys():
        raise ValueError(f"{min(missing)!r} has no id, and {len(missing) - 1} more")
    return {bytes(BYTE_OF[char] for char in name): number for name, number in names.items()}


def train(texts: list[str], vocab_size: int, folder: Path) -> tiktoken.Encoding:
    """Train a byte-level BPE of `vocab_size` types (256 bytes, the merges, <|endoftext|>) and write it to `folder`.

    Raises:
        TokenizerError: the texts have too few different pairs for that many types.
    """
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    # in the syntax of this library: it has no possessive quantifiers, and its `$` also matches before a newline
    pattern = Regex(PATTERN.replace("++", "+").replace("$", r"\z"))
    pieces = Regex(f"(?m:.{{1,{LONGEST_WORD}}})")  # with m its dot matches newlines too
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(pattern, behavior="isolated"),
            pre_tokenizers.Split(pieces, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 1,  # the last id is <|endoftext|>
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    merges = [" ".join(pair) for pair in json.loads(bpe.to_str())["model"]["merges"]]
    if len(merges) + 257 != vocab_size:
        raise TokenizerError(
            f"tokenizer.vocab_size: the corpus gives {len(merges) + 257} types, not {vocab_size}; lower it"
        )
    disk.write_text(folder / "vocab.bpe", "\n".join(["#version: 0.2", *merges, ""]))
    # GPT-2's order of ids: the bytes, then the merges in the order they were learned
    names = [*BYTES, *(merge.replace(" ", "") for merge in merges), END_OF_TEXT]
    disk.write_text(folder / "encoder.json", json.dumps({name: i for i, name in enumerate(names)}))
    return load_pair(folder)


def spelled(encoding: Encoding) -> list[bytes]:
    """The bytes of each type, by its id."""
    return [encoding.decode_single_token_bytes(token) for token in range(encoding.n_vocab)]


def shapes(encoding: Encoding) -> np.ndarray:
    """A number for the way each type is written, int64 (n_vocab,).

    It tells whether a space comes first, and whether the letters are lower case, Capitalised or UPPER CASE; -1 for a
    type that has anything else than ASCII letters.
    """
    found = np.full(encoding.n_vocab, -1)
    for token in range(encoding.n_vocab):
        text = encoding.decode_single_token_bytes(token)
        word = text.removeprefix(b" ")
        if word.isascii() and word.isalpha():
            case = 0 if word.islower() else 1 if word[1:].islower() else 2
            found[token] = 2 * case + (word != text)
    return found


def spelling(encoding: Encoding) -> tuple[np.ndarray, np.ndarray]:
    """Features of each type's spelling that at least one other type shares.

    They are its case and its length, each together with whether a space comes first; the word in lower case; and its
    first and its last one to four letters.

    Returns:
        the features of all types, one type after the other, int64; and where each type's features start, followed by
        the end of the last one's, (n_vocab + 1,).
    """
    looks = (str.islower, str.istitle, str.isupper, str.isalpha)
    found = []
    for token in range(encoding.n_vocab):
        text = encoding.decode_single_token_bytes(token).decode("latin-1")
        word = text.removeprefix(" ")
        lower, spaced = word.lower(), word != text
        features = {("look", spaced, *(look(word) for look in looks)), ("length", spaced, min(len(word), 9))}
        features.add(("word", lower))
        for size in range(1, min(len(lower), 4) + 1):
            features |= {("first", lower[:size]), ("last", lower[-size:])}
        found.append(features)
    counts = Counter(feature for features in found for feature in features)
    shared = {feature: n for n, feature in enumerate(sorted(map(repr, (f for f in counts if counts[f] > 1))))}
    rows = [sorted(shared[name] for name in map(repr, features) if name in shared) for features in found]
    return np.concatenate([np.array(row, dtype=np.int64) for row in rows]), np.cumsum([0, *map(len, rows)])
