"""Where the loss of a text lies: speakers' headings and the body, names and token types that are new. No torch."""

import re
from collections.abc import Iterable

import numpy as np
import tiktoken

from gpt2_shakespeare.tokens.files import Tokens

# a line of its own that ends with a colon, after an empty line: "First Citizen:"
HEADING = re.compile(rb"(?:\A|\n\n)([^\n:]+:)(?=\n)")


def kinds(encoding: tiktoken.Encoding, tokens: Tokens, train: Tokens) -> dict[str, np.ndarray]:
    """Which targets of a text (every token but the first) are of which kind, as masks (n - 1,).

    `heading` and `body` part the text, and so do `seen_type` and `new_type`, by whether the token type occurs in
    train. `known_speaker` and `new_speaker` part the headings, by whether train has the same one.
    """
    known = set(_headings(_bytes(encoding, train)[0]).values())
    text, starts = _bytes(encoding, tokens)
    heading, speaker = np.zeros(len(tokens), dtype=bool), np.zeros(len(tokens), dtype=bool)
    for (first, last), name in _headings(text).items():
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
    """`val_loss_<kind>`, the mean, and `val_tokens_<kind>`, their number; a kind that isn't there has no mean."""
    result: dict[str, float | int] = {}
    for name, mask in masks.items():
        result[f"val_tokens_{name}"] = int(mask.sum())
        if mask.any():
            result[f"val_loss_{name}"] = float(losses[mask].mean())
    return result


NEUTRAL_PROMPTS, NEUTRAL_TOKENS = 4, 16  # of each text of another kind, and how long


def name_probe(
    encoding: tiktoken.Encoding, train: Tokens, others: Iterable[Tokens]
) -> tuple[list[list[int]], np.ndarray]:
    """What `evaluate.Names` asks of a model: train's headings, in the order of the alphabet, and neutral prompts.

    A prompt is a piece of a text of another kind and an empty line, after which a turn might start.
    """
    names = sorted(set(_headings(_bytes(encoding, train)[0]).values()))
    # encoded after the empty line that stands before each, as in the text
    gap = encoding.encode_ordinary("\n\nA")[:-1]
    headings = [
        encoding.encode_ordinary(f"\n\n{name.decode(errors='replace')}\n")[len(gap) :] for name in names
    ]
    pieces = [
        np.r_[text[start : start + NEUTRAL_TOKENS], gap]
        for text in others
        for start in np.linspace(0, len(text) - NEUTRAL_TOKENS, NEUTRAL_PROMPTS).astype(int)
        if len(text) >= NEUTRAL_TOKENS
    ]
    return headings, np.array(pieces, dtype=np.int64).reshape(-1, NEUTRAL_TOKENS + len(gap))


def _bytes(encoding: tiktoken.Encoding, tokens: Tokens) -> tuple[bytes, np.ndarray]:
    """A text and where each of its tokens starts."""
    pieces = encoding.decode_tokens_bytes(tokens.tolist())
    ends = np.cumsum([len(piece) for piece in pieces])
    return b"".join(pieces), np.concatenate([[0], ends[:-1]])


def _headings(text: bytes) -> dict[tuple[int, int], bytes]:
    """Span and name of each heading, its colon included."""
    return {match.span(1): match[1] for match in HEADING.finditer(text)}
