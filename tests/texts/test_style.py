"""A scorer, lines, turns, headings and names, on texts whose figures are plain."""

from collections import Counter

import numpy as np
import pytest

from gpt2_shakespeare.baselines.ngram import Ngram
from gpt2_shakespeare.texts import style

TEXT = """end of a speech.

First Citizen:
Before we proceed any further, hear me.

KING RICHARD II:
Speak.
O, speak again!

All:
Cut"""


def test_bits_per_char_by_hand():
    """After the prompt every token has the probability that the distributions give it: their bits over the chars."""
    generator = np.random.default_rng(0)
    scorer = Ngram(generator.integers(5, size=300).astype(np.uint16), 5)
    row = generator.integers(5, size=8)
    bits = [-np.log2(scorer.distribution(row[max(0, i - 2) : i])[row[i]]) for i in range(3, 8)]
    found = style.bits_per_char(scorer, row[None, :3], row[None, 3:], n_chars=10)
    assert found == pytest.approx(sum(bits) / 10)


def test_a_text_of_even_odds_takes_three_bits_a_token():
    class Even:
        def probabilities(self, tokens):
            return np.full(len(tokens) - 1, 1 / 8)

    assert style.bits_per_char(Even(), np.zeros((4, 2)), np.zeros((4, 6)), n_chars=4 * 6) == pytest.approx(3)  # type: ignore[arg-type]


def test_headings():
    assert style.headings([TEXT, "A:\nno\n\nHe said: no\n"]) == ["First Citizen", "KING RICHARD II", "All"]


def test_lines_are_whole_ones_of_speech():
    # "Before we ..." has 39 characters, "Speak." 6, "O, speak again!" 15; "end ..." and "Cut" are cut off
    assert style.line_lengths([TEXT]) == {30: 1, 0: 1, 10: 1}


def test_turns_are_whole_ones():
    assert style.turn_lengths([TEXT]) == {1: 1, 2: 1}
    assert style.turn_lengths(["no heading\nat all\n"]) == {}


def test_the_looks_of_headings():
    names = style.headings([TEXT]) + ["second murderer", "iPhone"]
    assert style.heading_shapes(names) == {"Aa Aa": 1, "AA AA AA": 1, "Aa": 1, "aa aa": 1, "??": 1}


def test_distances_by_hand():
    a, b = Counter("aab"), Counter("aabaab")
    assert style.distance(a, b) == 0
    assert style.distance(Counter("a"), Counter("b")) == 1
    # p = (1, 0), q = (1/2, 1/2), mean = (3/4, 1/4)
    divergence = (np.log2(4 / 3) + (0.5 * np.log2(2 / 3) + 0.5 * np.log2(2))) / 2
    assert style.distance(Counter("a"), Counter("ab")) == pytest.approx(divergence**0.5)
    assert style.distance(Counter(), a) is None


def test_whose_names():
    prompts = ["ROMEO:\nO night.\n\nTYBALT:\nO", "TYBALT:\nO"]
    texts = ["\n\nTYBALT:\nO\n\nJULIET:\nO", "\n\nMOUSE:\nO"]
    assert style.whose_names(prompts, texts, {"JULIET"}) == {"train": 1, "prompt": 1, "neither": 1}
    assert style.whose_names(["x"], ["no heading"], {"JULIET"}) == {"train": 0, "prompt": 0, "neither": 0}
