"""Variety and repetition of literal texts."""

import math
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import fuzz

from gpt2_shakespeare.texts.diversity import compression_ratio, distinct, ngrams, repeated, self_bleu, zipf


def ids(*texts: str) -> list[list[int]]:
    return [[ord(char) for char in text] for text in texts]


def test_distinct_n_by_hand():
    texts = ids("abab", "abc")  # bigrams ab ba ab, ab bc: 3 of 5 are different
    assert distinct(texts, 1) == pytest.approx(3 / 7)
    assert distinct(texts, 2) == pytest.approx(3 / 5)
    assert distinct(texts, 3) == pytest.approx(3 / 3)
    assert distinct(texts, 5) is None


def test_repeated_ngrams_by_hand():
    assert repeated(ids("aaaaa"), 2) == pytest.approx(3 / 4)  # aa four times, once new
    assert repeated(ids("aaaaa", "abcde"), 2) == pytest.approx(3 / 8)  # the mean of the texts
    assert repeated(ids("abc"), 4) is None


def test_self_bleu_by_hand():
    assert self_bleu(ids("abcde", "abcde", "abcde")) == pytest.approx(1)
    # nothing in common: 0.1 of 5, 4, 3, 2 n-grams
    assert self_bleu(ids("abcde", "vwxyz")) == pytest.approx(math.prod(0.1 / n for n in (5, 4, 3, 2)) ** 0.25)
    # of abcdx in abcdy: 4 of 5, 3 of 4, 2 of 3 and 1 of 2
    assert self_bleu(ids("abcdx", "abcdy")) == pytest.approx((4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)


def test_self_bleu_clips_at_the_most_that_another_text_has():
    # a: 4 in the first, 2 in the second, so 2 of its 4 count; order 1 alone
    assert self_bleu(ids("aaaa", "aabb"), order=1) == pytest.approx((2 / 4 + 2 / 4) / 2)


@pytest.mark.parametrize("texts", [ids("abcdef"), ids("abc", "abc")])
def test_self_bleu_needs_two_texts_that_are_long_enough(texts):
    assert self_bleu(texts) is None


@fuzz
@given(st.lists(st.text("abc", min_size=6, max_size=6), min_size=2, max_size=5))
def test_self_bleu_equals_the_definition(texts):
    texts = ids(*texts)
    scores = []
    for i, text in enumerate(texts):
        others, precisions = texts[:i] + texts[i + 1 :], []
        for n in (1, 2, 3, 4):
            own = ngrams(text, n)
            most = {gram: max(ngrams(other, n).count(gram) for other in others) for gram in own}
            matched = sum(min(own.count(gram), most[gram]) for gram in set(own))
            precisions.append((matched or 0.1) / len(own))
        scores.append(math.prod(precisions) ** 0.25)
    assert self_bleu(texts) == pytest.approx(sum(scores) / len(scores))


def test_compression_ratio():
    assert compression_ratio(["O night."]) == 8 / len(zlib.compress(b"O night.", 9))
    loop, verse = "O night. " * 50, "".join(random.Random(0).choices("abcdefgh", k=450))
    assert compression_ratio([loop]) > 10 > 3 > compression_ratio([verse])
    assert compression_ratio([]) is None


def test_zipf_by_hand():
    # frequencies 12, 6, 4, 3 are 12 over their rank
    assert zipf(ids("a" * 12 + "b" * 6 + "c" * 4 + "d" * 3)) == pytest.approx(1)
    assert zipf(ids("abcd")) == pytest.approx(0)  # all alike
    assert zipf(ids("aaaa")) is None
