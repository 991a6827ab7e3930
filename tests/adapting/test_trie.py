"""The walk through the trie against the distributions and the texts that it stands for."""

import numpy as np
import pytest
from toy import VOCABULARY, distributions, text

from gpt2_shakespeare.adapting.trie import END, Trie, TrieError


def test_the_shares_of_a_token_multiply_to_its_probability():
    trie, tokens = Trie(VOCABULARY), np.arange(len(VOCABULARY), dtype=np.uint16)
    p = distributions(len(tokens))[0]
    walk = trie.walk(tokens)
    shares = trie.shares(walk, 0, p[:, trie.order])
    by_decision = np.where(walk.bit == 1, shares, 1 - shares)
    product = np.multiply.reduceat(by_decision, walk.first[:-1])
    assert product == pytest.approx(p[tokens, tokens], rel=1e-12)
    parts = [trie.shares(walk, token, p[token : token + 1, trie.order]) for token in tokens]
    assert np.concatenate(parts) == pytest.approx(shares, rel=1e-15)


def test_the_decisions_tell_the_text():
    trie, tokens = Trie(VOCABULARY), text(300)
    walk = trie.walk(tokens)
    assert trie.text(tokens).tobytes() == b"".join(VOCABULARY[token] for token in tokens)
    assert trie.lengths(tokens).tolist() == [len(VOCABULARY[token]) for token in tokens]
    codes = {}  # no token's decisions are another one's, or begin them
    for token, start, end in zip(tokens, walk.first, walk.first[1:], strict=False):
        code = tuple(zip(walk.depth[start:end], walk.node[start:end], walk.bit[start:end], strict=True))
        assert codes.setdefault(int(token), code) == code
    seen = list(codes.values())
    assert not any(one == other[: len(one)] for one in seen for other in seen if one is not other)
    assert ((walk.low <= walk.middle) & (walk.middle < walk.high)).all()


def test_a_token_that_another_one_begins_with_has_a_flag():
    trie = Trie([b"a", b"ab", b"c"])
    walk = trie.walk(np.array([0, 1, 2]))
    flags = walk.node == END
    assert walk.bit[flags].tolist() == [
        1,
        0,
    ]  # `a` ends, `ab` goes on; after that, and after `c`, there is no choice
    assert (np.diff(walk.first) == [2, 2, 1]).all()


def test_a_vocabulary_of_one_token_leaves_nothing_to_decide():
    assert not len(Trie([b"x"]).walk(np.zeros(5, np.uint16)).bit)


@pytest.mark.parametrize(
    ("vocabulary", "says"), [([b"a", b"b", b"a"], "twice"), ([b"a", b""], "without bytes")]
)
def test_what_can_not_be_walked_through_is_refused(vocabulary, says):
    with pytest.raises(TrieError, match=says):
        Trie(vocabulary)
