"""Whether texts look like the corpus: their loss under an n-gram model, lines and turns, and names. No torch.

The usual figure for this is MAUVE (Pillutla et al. 2021). It is not used here because it needs a large pretrained model
to compare texts with, and the pretrained models of this project are themselves what is measured. An n-gram model and
counts are used instead.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from gpt2_shakespeare.baselines.ngram import Ngram
from gpt2_shakespeare.measure import kinds
from gpt2_shakespeare.tokens.files import Tokens

# As kinds.HEADING, but never at the start of a text, which may be in the middle of a line.
HEADING = re.compile(r"(?<=\n\n)([^\n:]+):(?=\n)")
LINE_BIN = 10  # line lengths are rounded down to a multiple of this many characters


def bits_per_char(scorer: Ngram, prompts: np.ndarray, texts: np.ndarray, n_chars: int) -> float:
    """Loss of the texts under an n-gram model, in bits per character.

    Args:
        scorer: predicts each token from those before it, the prompt's included.
        prompts, texts: token ids (B, P) and (B, T); each text continues its prompt.
        n_chars: characters of all texts.
    """
    rows: list[Tokens] = list(np.concatenate([prompts, texts], axis=1))
    nats = sum(-np.log(scorer.probabilities(row)[-texts.shape[1] :]).sum() for row in rows)
    return float(nats) / n_chars / math.log(2)


def headings(texts: Iterable[str]) -> list[str]:
    """Names of the speakers whose turns start in the texts, in order, without colons."""
    return [name for text in texts for name in HEADING.findall(text)]


def line_lengths(texts: Iterable[str]) -> Counter:
    """Counts of line lengths in characters, rounded down; only of whole lines of speech that aren't empty."""
    bodies = [HEADING.sub("", text) for text in texts]
    return Counter(
        len(line) // LINE_BIN * LINE_BIN for body in bodies for line in body.split("\n")[1:-1] if line
    )


def turn_lengths(texts: Iterable[str]) -> Counter:
    """Counts of turn lengths in lines; only of whole turns, which are the speech between two headings."""
    turns = [turn for text in texts for turn in HEADING.split(text)[2:-1:2]]
    return Counter(turn.strip("\n").count("\n") + 1 for turn in turns)


def heading_shapes(names: Iterable[str]) -> Counter:
    """Counts of names by the case of their words: `First Citizen` is `Aa Aa`, `KING RICHARD II` is `AA AA AA`."""

    def look(word: str) -> str:
        return "AA" if word.isupper() else "aa" if word.islower() else "Aa" if word.istitle() else "??"

    return Counter(" ".join(map(look, name.split())) for name in names)


def distance(ours: Counter, theirs: Counter) -> float | None:
    """Jensen-Shannon distance of two distributions given as counts: 0 if they are equal, 1 if nothing is in common.

    The square root of the divergence in bits (Endres & Schindelin 2003). None if one of them is empty.
    """
    if not ours or not theirs:
        return None
    keys = list(ours | theirs)
    p, q = (np.array([counts[key] for key in keys]) / counts.total() for counts in (ours, theirs))
    mean = (p + q) / 2

    def divergence(of: np.ndarray) -> float:  # Kullback-Leibler's from the mean, in bits
        there = of > 0
        return float((of[there] * np.log2(of[there] / mean[there])).sum())

    return math.sqrt(max(0.0, (divergence(p) + divergence(q)) / 2))


def whose_names(prompts: Sequence[str], texts: Sequence[str], train: set[str]) -> dict[str, int]:
    """Counts of the texts' headings by where the name occurs: in train, else in the text's own prompt, else in neither.

    In a prompt, too, only whole lines count as headings; its first line may be one.
    """
    found = Counter(dict.fromkeys(("train", "prompt", "neither"), 0))
    for prompt, text in zip(prompts, texts, strict=True):
        before = {match.decode() for match in kinds.HEADING.findall(prompt.encode())}
        for name in headings([text]):
            found["train" if name in train else "prompt" if f"{name}:" in before else "neither"] += 1
    return dict(found)
