"""The baselines against counts by hand, sums over all types, and the figures that were measured elsewhere."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import fuzz

from gpt2_shakespeare.baselines.cache import Cache
from gpt2_shakespeare.baselines.ngram import Ngram, Unigram, loss

A, B, C, D = range(4)
TOY = np.array([A, B, A, B, C, A, B, B], dtype=np.uint16)


def test_a_bigram_by_hand():
    """Bigrams: AB 3, BA 1, BC 1, CA 1, BB 1; each type but D follows so many different ones: A 2, B 2, C 1."""
    model = Ngram(TOY, 4, order=2)
    d1, d2 = 1 / (1 + 2 * 2), 4 / (4 + 0)  # of counts 2, 2, 1 and of 3, 1, 1, 1, 1
    p1 = {token: max(count - d1, 0) / 5 + d1 * 3 / 5 / 4 for token, count in ((A, 2), (B, 2), (C, 1), (D, 0))}
    assert model.distribution(TOY[:0]) == pytest.approx([p1[token] for token in range(4)])
    after_a = [(3 - d2) / 3 * (token == B) + d2 * 1 / 3 * p1[token] for token in range(4)]
    assert model.distribution(np.array([C, A])) == pytest.approx(after_a)
    # B is followed by A, C and B once each
    after_b = [max(1 - d2, 0) / 3 + d2 * 3 / 3 * p1[token] for token in range(4)]
    assert model.distribution(np.array([B])) == pytest.approx(after_b)
    # nothing follows D: the lower order alone
    assert model.distribution(np.array([D])) == pytest.approx([p1[token] for token in range(4)])


def test_where_no_gram_occurs_once_half_a_count_is_left_for_new_ones():
    """Bigrams: AB 3, BA 2; A follows one type and so does B, which gives them a discount of 2 / (2 + 0)."""
    model = Ngram(np.array([A, B, A, B, A, B], dtype=np.uint16), 4, order=2)
    after_a = [(3 - 0.5) / 3 * (token == B) + 0.5 / 3 / 4 for token in range(4)]
    assert model.distribution(np.array([A])) == pytest.approx(after_a)


@pytest.mark.parametrize("order", [2, 3])
@fuzz
@given(st.lists(st.integers(0, 6), min_size=2, max_size=30), st.integers(1, 3))
def test_no_type_is_impossible_however_often_the_text_repeats_itself(order, text, times):
    model = Ngram(np.array(text * times * 2, dtype=np.uint16), 8, order)
    p = model.probabilities(np.array([*text, 7, *text[::-1]], dtype=np.uint16))
    assert (p > 0).all() and np.isfinite(loss(p))


def test_a_unigram_by_hand():
    assert Unigram(TOY, 4).probabilities(np.array([A, B, D])) == pytest.approx([(4 + 1) / 12, 1 / 12])


@pytest.mark.parametrize("order", [2, 3])
@fuzz
@given(
    st.lists(st.integers(0, 6), min_size=4, max_size=60),
    st.lists(st.integers(0, 6), min_size=0, max_size=3),
)
def test_every_distribution_sums_to_one(order, text, context):
    model = Ngram(np.array(text, dtype=np.uint16), 7, order)
    p = model.distribution(np.array(context, dtype=np.uint16))
    assert p.sum() == pytest.approx(1) and (p >= 0).all()


@pytest.mark.parametrize("order", [2, 3])
def test_a_text_is_scored_by_the_distributions(order):
    generator = np.random.default_rng(0)
    train, text = (generator.integers(5, size=n).astype(np.uint16) for n in (200, 40))
    model = Ngram(train, 7, order)
    wanted = [model.distribution(text[max(0, i - order + 1) : i])[text[i]] for i in range(1, len(text))]
    assert model.probabilities(text) == pytest.approx(wanted)


def test_token_ids_of_three_tokens_fit_into_a_number():
    text = np.full(9, 65_535, dtype=np.uint16)
    text[::2] = 65_534
    assert Ngram(text, 65_536).probabilities(text)[-1] > 0.3


def test_word_order_is_what_it_learns():
    """On shuffled text a trigram knows no more than a unigram."""
    text = np.tile(np.arange(20, dtype=np.uint16), 300)
    shuffled = np.random.default_rng(0).permutation(text)
    train, held_out = slice(0, 5000), slice(5000, None)

    def gain(tokens):
        unigram = Unigram(tokens[train], 20).probabilities(tokens[held_out])
        return loss(unigram) - loss(Ngram(tokens[train], 20).probabilities(tokens[held_out]))

    assert gain(text) > 2.5 and gain(shuffled) < 0.01


def test_it_imports_no_torch():
    code = "import gpt2_shakespeare.baselines.cache, gpt2_shakespeare.baselines.ngram, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_tiny_shakespeare_gives_the_figures_measured_elsewhere(tiny_shakespeare):
    """On all 304,222 tokens before val: unigram 6.51, trigram 4.766, with a cache of 1,024 at 0.1 4.592."""
    train, val = tiny_shakespeare
    assert (len(train), len(val)) == (304_222, 33_803)
    trigram = Ngram(train, 50257).probabilities(val)
    assert loss(Unigram(train, 50257).probabilities(val)) == pytest.approx(6.51, abs=0.001)
    assert loss(trigram) == pytest.approx(4.766, abs=0.001)
    assert loss(Cache(0.1, 1024).mix(val, trigram)) == pytest.approx(4.592, abs=0.001)
