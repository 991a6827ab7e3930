"""The mixture is a distribution, looks at nothing before it is predicted, and learns."""

import numpy as np
import pytest
from toy import VOCABULARY, distributions, text

from gpt2_shakespeare.adapting.mixture import TRUSTS, Mixture
from gpt2_shakespeare.adapting.state import last_weights

TRAIN, DEV, VAL = text(600), text(400, seed=1), text(200, seed=2)
N_BYTES = 4000


def shares_of(mixture: Mixture, tokens: np.ndarray, p: np.ndarray) -> np.ndarray:
    walk = mixture.trie.walk(tokens)
    return np.stack([mixture.trie.shares(walk, 0, each[:, mixture.trie.order]) for each in p])


def learned(models: int = 2) -> Mixture:
    """A mixture that has read train, and dev with its models."""
    mixture = Mixture(VOCABULARY, N_BYTES)
    mixture.read(TRAIN)
    mixture.read(DEV, shares_of(mixture, DEV, distributions(len(DEV), models)))
    return mixture


@pytest.mark.parametrize("models", [0, 1, 2])
def test_the_probabilities_of_the_whole_vocabulary_sum_to_one(models):
    mixture = Mixture(VOCABULARY, N_BYTES)
    mixture.read(TRAIN)
    p = distributions(1, models, seed=5) if models else np.empty((0, 1, len(VOCABULARY)))
    if models:
        mixture.read(DEV, shares_of(mixture, DEV, distributions(len(DEV), models)))
    for tokens in (VAL[:1], VAL[:2]):  # after each of these too
        sums = []
        for token in range(len(VOCABULARY)):
            one, each = mixture.copy(), np.array([token], dtype=np.uint16)
            sums.append(np.exp(-one.read(each, shares_of(one, each, p) if models else None)).item())
        assert sum(sums) == pytest.approx(1, abs=1e-9)
        mixture.read(tokens)


def test_the_code_length_of_a_text_is_the_sum_of_its_steps():
    whole, parts = learned(), learned()
    p = distributions(len(VAL), 2, seed=7)
    at_once = whole.read(VAL, shares_of(whole, VAL, p))
    steps = [
        parts.read(VAL[i : i + 1], shares_of(parts, VAL[i : i + 1], p[:, i : i + 1])) for i in range(len(VAL))
    ]
    assert at_once.tolist() == np.concatenate(steps).tolist()


def test_the_future_changes_nothing_before_it():
    one, other = learned(), learned()
    changed, p = VAL.copy(), distributions(len(VAL), 2, seed=7)
    changed[120:] = (changed[120:] + 1) % len(VOCABULARY)
    first, second = one.read(VAL, shares_of(one, VAL, p)), other.read(changed, shares_of(other, changed, p))
    assert first[:120].tolist() == second[:120].tolist()
    assert (first[120:] != second[120:]).any()


def test_two_runs_have_the_same_bits():
    assert all((a == b).all() for a, b in zip(learned().state, learned().state, strict=True))


def test_counting_learns_a_repeated_text():
    mixture = Mixture(VOCABULARY, N_BYTES)
    first, again = mixture.read(TRAIN).mean(), mixture.read(TRAIN).mean()
    assert first < np.log(len(VOCABULARY)) and again < 0.3 * first


def test_a_good_model_is_followed_and_a_bad_one_is_not():
    knows = np.full((1, len(VAL), len(VOCABULARY)), 0.05 / len(VOCABULARY))
    np.put_along_axis(knows[0], VAL[:, None].astype(int), 0.95, axis=1)
    losses = {}
    for name, p in {"good": knows, "bad": distributions(len(VAL))}.items():
        mixture = Mixture(VOCABULARY, N_BYTES)
        mixture.read(TRAIN)
        losses[name] = mixture.read(VAL, shares_of(mixture, VAL, p)).mean()
    mixture = Mixture(VOCABULARY, N_BYTES)
    mixture.read(TRAIN)
    alone = mixture.read(VAL).mean()
    assert losses["good"] < 0.4 * alone
    assert losses["bad"] < 2 * alone


@pytest.mark.parametrize(
    "tokens", [np.zeros(300, np.uint16), np.arange(0), VAL[:1]], ids=["one letter", "none", "one token"]
)
def test_poor_texts_have_finite_losses(tokens):
    mixture = Mixture(VOCABULARY, 1)
    for _ in range(2):
        losses = mixture.read(tokens.astype(np.uint16))
        assert len(losses) == len(tokens) and np.isfinite(losses).all() and (losses >= 0).all()


def test_a_model_that_is_sure_and_wrong_costs_no_infinity():
    mixture = Mixture(VOCABULARY, N_BYTES)
    wrong = 1 - mixture.trie.walk(VAL).bit.astype(float)[None]
    assert np.isfinite(mixture.read(VAL, wrong)).all()


def test_shares_of_another_text_are_refused():
    mixture = Mixture(VOCABULARY, N_BYTES)
    with pytest.raises(ValueError, match="decisions"):
        mixture.read(VAL, np.full((1, 3), 0.5))


def test_trust_in_the_models_is_what_gives_dev_the_lowest_loss():
    mixture, p = Mixture(VOCABULARY, N_BYTES), distributions(len(DEV))
    mixture.read(TRAIN)
    shares, found = shares_of(mixture, DEV, p), {}
    chosen, losses, trust = mixture.mixed_with(DEV, shares)
    for each in TRUSTS:
        one = mixture.copy()
        one.state = one.state._replace(last=last_weights(1, each))
        found[each] = one.read(DEV, shares).sum()
    assert losses.sum() == found[trust] == min(found.values())
    assert chosen.models == 1 and mixture.models == 0
