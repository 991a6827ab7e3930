"""Which kinds of tokens the loss of a text comes from: headings or body, seen or new names and types. No torch."""

import re

import numpy as np

from gpt2_shakespeare.tokens.files import Tokens
from gpt2_shakespeare.tokens.tokenizer import Encoding

# A line that ends with its first colon and follows an empty line or starts the text: "First Citizen:"
HEADING = re.compile(rb"(?:\A|\n\n)([^\n:]+:)(?=\n)")


def kinds(encoding: Encoding, tokens: Tokens, train: Tokens) -> dict[str, np.ndarray]:
    """Which targets of a text (every token but the first) are of which kind, as boolean masks (n - 1,).

    Every target is either of `heading` or of `body`, and either of `seen_type` or of `new_type`, by whether train has
    its token type. Every target in a heading is either of `known_speaker` or of `new_speaker`, by whether train has
    the same heading.
    """
    known = set(headings(text_of(encoding, train)[0]).values())
    text, starts = text_of(encoding, tokens)
    heading, speaker = np.zeros(len(tokens), dtype=bool), np.zeros(len(tokens), dtype=bool)
    for (first, last), name in headings(text).items():
        inside = slice(*np.searchsorted(starts, (first, last)))
        heading[inside], speaker[inside] = True, name in known
    seen = np.isin(tokens, np.unique(train))
    masks = {
        "heading": heading, "body": ~heading,
        "known_speaker": heading & speaker, "new_speaker": heading & ~speaker,
        "seen_type": seen, "new_type": ~seen,
    }  # fmt: skip
    return {name: mask[1:] for name, mask in masks.items()}


def split_losses(losses: np.ndarray, masks: dict[str, np.ndarray]) -> dict[str, float | int]:
    """Mean loss and number of targets of each kind, as `val_loss_<kind>` and `val_tokens_<kind>`.

    A kind without targets has no mean.
    """
    result: dict[str, float | int] = {}
    for name, mask in masks.items():
        result[f"val_tokens_{name}"] = int(mask.sum())
        if mask.any():
            result[f"val_loss_{name}"] = float(losses[mask].mean())
    return result


def text_of(encoding: Encoding, tokens: Tokens) -> tuple[bytes, np.ndarray]:
    """The bytes of a text, and where in them each token starts, (n,)."""
    pieces = encoding.decode_tokens_bytes(tokens.tolist())
    ends = np.cumsum([len(piece) for piece in pieces])
    return b"".join(pieces), np.concatenate([[0], ends[:-1]])


def headings(text: bytes) -> dict[tuple[int, int], bytes]:
    """The headings of a text, colon included, by their (start, end)."""
    return {match.span(1): match[1] for match in HEADING.finditer(text)}
