"""How varied texts are, and how much they repeat themselves. No torch.

Texts are lists of token ids. The figures depend on the number of texts and on their length, so only sets of equally
many texts of equal length can be compared. A figure for which the texts are too short is None.
"""

import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

Text = Sequence[int]


def ngrams(text: Text, n: int) -> list[tuple[int, ...]]:
    """All n-grams of a text, in order."""
    return list(zip(*(text[i:] for i in range(n)), strict=False))


def distinct(texts: Sequence[Text], n: int) -> float | None:
    """distinct-n (Li et al. 2016): the number of different n-grams divided by that of all n-grams, over all texts."""
    grams = [gram for text in texts for gram in ngrams(text, n)]
    return len(set(grams)) / len(grams) if grams else None


def repeated(texts: Sequence[Text], n: int) -> float | None:
    """rep-n (Welleck et al. 2020): share of a text's n-grams that occurred earlier in it, a mean over the texts."""
    shares = [1 - len(set(grams)) / len(grams) for text in texts if (grams := ngrams(text, n))]
    return float(np.mean(shares)) if shares else None


def self_bleu(texts: Sequence[Text], order: int = 4) -> float | None:
    """Self-BLEU (Zhu et al. 2018), the mean BLEU of each text against all others: 1 if all are the same.

    The texts have one length, so there is no brevity penalty. No match at all counts as 0.1 matches (Chen & Cherry
    2014, method 1), so texts with nothing in common get nearly 0.
    """
    if len(texts) < 2 or min(map(len, texts)) < order:
        return None
    logs = np.zeros(len(texts))
    for n in range(1, order + 1):
        counts = [Counter(ngrams(text, n)) for text in texts]
        # of each n-gram, its two largest counts in a text
        most: dict[tuple[int, ...], list[int]] = defaultdict(lambda: [0, 0])
        for of_text in counts:
            for gram, times in of_text.items():
                most[gram] = sorted([*most[gram], times])[1:]
        for i, of_text in enumerate(counts):
            # the largest count in another text is the second largest of all if this text has the largest
            matched = sum(
                min(times, most[gram][0] if times == most[gram][1] else most[gram][1])
                for gram, times in of_text.items()
            )
            logs[i] += np.log((matched or 0.1) / of_text.total())
    return float(np.exp(logs / order).mean())


def compression_ratio(texts: Sequence[str]) -> float | None:
    """Size of all texts divided by their size compressed by zlib (Shaib et al. 2024): higher is more repetitive."""
    raw = "\n".join(texts).encode()
    return len(raw) / len(zlib.compress(raw, 9)) if raw else None


def zipf(texts: Sequence[Text]) -> float | None:
    """Zipf coefficient (Holtzman et al. 2020): minus the least-squares slope of log frequency over log rank."""
    frequencies = sorted(Counter(token for text in texts for token in text).values(), reverse=True)
    if len(frequencies) < 2:
        return None
    ranks = np.arange(1, len(frequencies) + 1)
    return float(-np.polyfit(np.log(ranks), np.log(frequencies), 1)[0])
