"""GPT-2's byte-level BPE read from its files, or a small tokenizer of the same kind trained on the corpus.

Both are stored as GPT-2's two files, `vocab.bpe` (the merges) and `encoder.json` (token -> id), and both are used as
a `tiktoken.Encoding`. Text is always encoded with `encode_ordinary`, so a corpus that contains `<|endoftext|>` is read
as plain text; only `tokens.corpus.encode` puts Encoding.eot_token between documents.
"""

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import tiktoken
from tiktoken.load import data_gym_to_mergeable_bpe_ranks

from gpt2_shakespeare.errors import UserError

END_OF_TEXT = "<|endoftext|>"
# How GPT-2 splits text before merging (openai/gpt-2, encoder.py), in tiktoken's equivalent but faster form.
PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""


# The pieces, in characters, that longer words are cut into before training. Its time grows with the square of a word's
# length, and a run of one character, or a text without spaces, is one word. No English word is nearly as long.
LONGEST_WORD = 1000


class TokenizerError(UserError, ValueError):
    """A tokenizer can't be loaded or trained; the message names the file or the setting."""


def load(folder: Path) -> tiktoken.Encoding:
    """Read `vocab.bpe` and `encoder.json` from a folder; <|endoftext|> is the last id.

    Raises:
        TokenizerError: a file is missing, or the two don't belong together.
    """
    merges, encoder = folder / "vocab.bpe", folder / "encoder.json"
    for file in (merges, encoder):
        if not file.is_file():
            raise TokenizerError(f"{file}: missing; run `dvc repro prepare`")
    try:
        ranks = data_gym_to_mergeable_bpe_ranks(
            # tiktoken caches files by path; with the hashes it notices that a file has changed
            str(merges),
            str(encoder),
            hashlib.sha256(merges.read_bytes()).hexdigest(),
            hashlib.sha256(encoder.read_bytes()).hexdigest(),
        )
    except (AssertionError, LookupError, ValueError, AttributeError, RecursionError) as error:
        raise TokenizerError(f"{folder}: vocab.bpe and encoder.json don't fit together ({error})") from None
    return tiktoken.Encoding(
        "gpt2", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={END_OF_TEXT: max(ranks.values()) + 1}
    )


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
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.bpe").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    # GPT-2's order of ids: printable bytes, the other bytes, then the merges in the order they were learned
    printable = [chr(b) for b in range(256) if chr(b).isprintable() and chr(b) != " "]
    names = printable + [chr(256 + n) for n in range(256 - len(printable))]
    names += [merge.replace(" ", "") for merge in merges] + [END_OF_TEXT]
    (folder / "encoder.json").write_text(json.dumps({name: i for i, name in enumerate(names)}))
    return load(folder)


def shapes(encoding: tiktoken.Encoding) -> np.ndarray:
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


def spelling(encoding: tiktoken.Encoding) -> tuple[np.ndarray, np.ndarray]:
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
