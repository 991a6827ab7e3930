"""Stretches that stand in train, on literal texts, against a slow search, and the figures of Tiny Shakespeare."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import fuzz

from gpt2_shakespeare.texts import memorisation
from gpt2_shakespeare.texts.memorisation import matched_lengths, matches, recalled, share_in_train


def ids(*texts: str) -> np.ndarray:
    return np.array([[ord(char) for char in text] for text in texts])


def train(text: str) -> np.ndarray:
    return ids(text)[0].astype(np.uint16)


def test_matches_by_hand():
    found = matches(ids("the cat?", "a dog xx"), train("the cat sat; a dot"))
    #                        t  h  e     c  a  t  ?
    assert found.tolist() == [[7, 6, 5, 4, 3, 2, 1, 0], [4, 3, 2, 1, 0, 1, 0, 0]]


def test_a_match_ends_with_its_text():
    assert matches(ids("ab", "cd"), train("abcd")).tolist() == [[2, 1], [2, 1]]


def test_nothing_or_everything_in_common():
    assert matches(ids("xyz"), train("abc")).tolist() == [[0, 0, 0]]
    assert matches(ids("abcabc"), train("__abcabc__")).tolist() == [[6, 5, 4, 3, 2, 1]]


@fuzz
@given(st.lists(st.text("abc", min_size=5, max_size=5), min_size=1, max_size=3), st.text("abcd", min_size=1))
def test_matches_equal_a_slow_search(texts, source):
    found = matches(ids(*texts), train(source))
    for row, text in zip(found.tolist(), texts, strict=True):
        wanted = [max(n for n in range(len(text) - i + 1) if text[i : i + n] in source) for i in range(5)]
        assert row == wanted


def test_novelty_by_hand():
    """Of "abcxab" the bigrams ab, bc and ab stand in "abc", cx and xa don't; of its trigrams only abc does."""
    found = matches(ids("abcxab"), train("abc"))
    assert share_in_train(found, 2) == pytest.approx(3 / 5)
    assert share_in_train(found, 3) == pytest.approx(1 / 4)
    assert share_in_train(found, 4) == 0
    assert share_in_train(found, 7) is None  # the text is shorter


def test_recall_by_hand():
    lengths = matched_lengths(ids("abcd", "abxd", "xbcd"), ids("abcd", "abcd", "abcd"))
    assert lengths.tolist() == [4, 2, 0]
    assert recalled(lengths, 4) == pytest.approx([2 / 3, 2 / 3, 1 / 3, 1 / 3])


def test_it_imports_no_torch():
    code = "import gpt2_shakespeare.texts.judge, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_tiny_shakespeares_val_against_all_tokens_before_it(tiny_shakespeare):
    """Measured elsewhere: 23.8, 8.4, 4.1 and 1.2 % of its 4-, 6-, 8- and 10-grams; the longest match 15 tokens."""
    before, val = tiny_shakespeare
    found = memorisation.matches(val[None], before)
    assert found.max() == 15
    shares = [share_in_train(found, n) for n in (4, 6, 8, 10)]
    assert shares == pytest.approx([0.238, 0.084, 0.041, 0.012], abs=0.0005)


def test_stretches_are_joined_where_they_touch_and_short_ones_are_left_out():
    assert memorisation.stretches(np.array([3, 2, 1, 0, 4, 3, 2, 2, 1]), 3) == [(0, 3), (4, 8)]
    assert memorisation.stretches(np.array([4, 3, 4, 3, 2, 1]), 3) == [(0, 6)]  # one reaches into the next
    assert memorisation.stretches(np.array([2, 1, 0]), 3) == []
