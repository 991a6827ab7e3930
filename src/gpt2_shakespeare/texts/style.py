"""Whether texts look like the corpus: how a scorer takes them, the shape of lines and turns, the names. No torch.

MAUVE (Pillutla et al. 2021), the usual figure for this, is not here: it needs a large pretrained model to tell
texts apart by, and what this project has at hand is what it measures. An n-gram scorer and counts stand in for it.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from gpt2_shakespeare.baselines.ngram import Ngram
from gpt2_shakespeare.measure import kinds
from gpt2_shakespeare.tokens.files import Tokens

# As kinds.HEADING, but never at a text's start: a piece may start within a line.
HEADING = re.compile(r"(?<=\n\n)([^\n:]+):(?=\n)")
LINE_BIN = 10  # characters that line lengths are rounded down to


def bits_per_char(scorer: Ngram, prompts: np.ndarray, texts: np.ndarray, n_chars: int) -> float:
    """What the scorer needs to write the texts down, in bits for each of their n_chars characters.

    Args:
        scorer: an n-gram model, given the tokens before each token, those of the prompt included.
        prompts, texts: token ids (B, P) and (B, T); a text goes on from its prompt.
    """
    rows: list[Tokens] = list(np.concatenate([prompts, texts], axis=1))
    nats = sum(-np.log(scorer.probabilities(row)[-texts.shape[1] :]).sum() for row in rows)
    return float(nats) / n_chars / math.log(2)


def headings(texts: Iterable[str]) -> list[str]:
    """Names of the speakers whose turns start in the texts, in order, colons left out."""
    return [name for text in texts for name in HEADING.findall(text)]


def line_lengths(texts: Iterable[str]) -> Counter:
    """Characters of whole lines of speech, rounded down to LINE_BIN; headings and empty lines left out."""
    bodies = [HEADING.sub("", text) for text in texts]
    return Counter(
        len(line) // LINE_BIN * LINE_BIN for body in bodies for line in body.split("\n")[1:-1] if line
    )


def turn_lengths(texts: Iterable[str]) -> Counter:
    """Lines of whole turns: what is said between one heading and the next."""
    turns = [turn for text in texts for turn in HEADING.split(text)[2:-1:2]]
    return Counter(turn.strip("\n").count("\n") + 1 for turn in turns)


def heading_shapes(names: Iterable[str]) -> Counter:
    """Names by the look of their words: `First Citizen` is `Aa Aa`, `KING RICHARD II` is `AA AA AA`."""

    def look(word: str) -> str:
        return "AA" if word.isupper() else "aa" if word.islower() else "Aa" if word.istitle() else "??"

    return Counter(" ".join(map(look, name.split())) for name in names)


def distance(ours: Counter, theirs: Counter) -> float | None:
    """Jensen-Shannon distance of two distributions given as counts: 0 for the same, 1 for nothing in common.

    The root of the divergence in bits (Endres & Schindelin 2003). None where one of them is empty.
    """
    if not ours or not theirs:
        return None
    keys = list(ours | theirs)
    p, q = (np.array([counts[key] for key in keys]) / counts.total() for counts in (ours, theirs))
    mean = (p + q) / 2

    def divergence(of: np.ndarray) -> float:  # from the mean, in bits
        there = of > 0
        return float((of[there] * np.log2(of[there] / mean[there])).sum())

    return math.sqrt(max(0.0, (divergence(p) + divergence(q)) / 2))


def whose_names(prompts: Sequence[str], texts: Sequence[str], train: set[str]) -> dict[str, int]:
    """Headings in the texts by where the name is from: train, else the text's own prompt, else nowhere.

    Only whole lines count as headings in a prompt, too; its first line may be one.
    """
    found = Counter(dict.fromkeys(("train", "prompt", "neither"), 0))
    for prompt, text in zip(prompts, texts, strict=True):
        before = {match.decode() for match in kinds.HEADING.findall(prompt.encode())}
        for name in headings([text]):
            found["train" if name in train else "prompt" if f"{name}:" in before else "neither"] += 1
    return dict(found)
