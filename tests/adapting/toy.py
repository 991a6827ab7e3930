"""A small vocabulary, and texts and distributions over it, for the tests of what goes on learning."""

import numpy as np

WORDS = (b"the", b"then", b" the", b" king", b" kin", b"ing", b"g:", b"\n\n", b"KING", b"\xff\xfe")
VOCABULARY = [bytes([byte]) for byte in (*b"abeghikmnt KING:\n", 0, 255)] + [*WORDS, b"<|endoftext|>"]


def text(n: int, seed: int = 0) -> np.ndarray:
    """Tokens with habits, so that there is something to learn, and some without."""
    random = np.random.default_rng(seed)
    habit = np.tile(random.integers(len(VOCABULARY), size=17), n // 17 + 1)[:n]
    return np.where(random.random(n) < 0.2, random.integers(len(VOCABULARY), size=n), habit).astype(np.uint16)


def distributions(n: int, models: int = 1, seed: int = 0) -> np.ndarray:
    """Of each model for each of n tokens, float64 (models, n, tokens)."""
    logits = 3 * np.random.default_rng(seed).standard_normal((models, n, len(VOCABULARY)))
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
