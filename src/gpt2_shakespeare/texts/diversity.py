"""How varied texts are, and whether they go round in circles. No torch.

Texts are lists of token ids. The figures depend on how many texts there are and how long they are, so compare
equal numbers of equal length. A figure that the texts are too short for is None.
"""

import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

Text = Sequence[int]


def ngrams(text: Text, n: int) -> list[tuple[int, ...]]:
    return list(zip(*(text[i:] for i in range(n)), strict=False))


def distinct(texts: Sequence[Text], n: int) -> float | None:
    """distinct-n: different n-grams over all n-grams of all texts (Li et al. 2016)."""
    grams = [gram for text in texts for gram in ngrams(text, n)]
    return len(set(grams)) / len(grams) if grams else None


def repeated(texts: Sequence[Text], n: int) -> float | None:
    """rep-n: share of a text's n-grams that it has had before; mean over the texts (Welleck et al. 2020)."""
    shares = [1 - len(set(grams)) / len(grams) for text in texts if (grams := ngrams(text, n))]
    return float(np.mean(shares)) if shares else None


def self_bleu(texts: Sequence[Text], order: int = 4) -> float | None:
    """Mean BLEU of each text against all others (Zhu et al. 2018): 0 for nothing in common, 1 for all alike.

    For texts of one length, so without brevity penalty. An order without a match counts as 0.1 matches (Chen &
    Cherry 2014, method 1).
    """
    if len(texts) < 2 or min(map(len, texts)) < order:
        return None
    logs = np.zeros(len(texts))
    for n in range(1, order + 1):
        counts = [Counter(ngrams(text, n)) for text in texts]
        most: dict[tuple[int, ...], list[int]] = defaultdict(
            lambda: [0, 0]
        )  # the two largest counts in a text
        for of_text in counts:
            for gram, times in of_text.items():
                most[gram] = sorted([*most[gram], times])[1:]
        for i, of_text in enumerate(counts):
            # the largest count among the others is the second largest of all if this text has the largest
            matched = sum(
                min(times, most[gram][0] if times == most[gram][1] else most[gram][1])
                for gram, times in of_text.items()
            )
            logs[i] += np.log((matched or 0.1) / of_text.total())
    return float(np.exp(logs / order).mean())


def compression_ratio(texts: Sequence[str]) -> float | None:
    """Bytes of all texts over those that zlib makes of them (Shaib et al. 2024): higher is more repetitive."""
    raw = "\n".join(texts).encode()
    return len(raw) / len(zlib.compress(raw, 9)) if raw else None


def zipf(texts: Sequence[Text]) -> float | None:
    """Zipf coefficient: minus the slope of log frequency over log rank, by least squares (Holtzman et al. 2020)."""
    frequencies = sorted(Counter(token for text in texts for token in text).values(), reverse=True)
    if len(frequencies) < 2:
        return None
    ranks = np.arange(1, len(frequencies) + 1)
    return float(-np.polyfit(np.log(ranks), np.log(frequencies), 1)[0])
