"""What models say while they go on learning: the same as `exact_losses` where they don't, and nothing of the future."""

import numpy as np
import pytest
import torch
from tiny import VOCAB_SIZE, gpt, tokens

from gpt2_shakespeare.adapting.adapt import adapted
from gpt2_shakespeare.adapting.distributions import (
    Dynamic,
    Statistics,
    best_dynamic,
    dynamic_losses,
    log_probabilities,
    shares,
)
from gpt2_shakespeare.adapting.trie import Trie
from gpt2_shakespeare.measure.losses import exact_losses
from gpt2_shakespeare.model import ModelError
from gpt2_shakespeare.tokens.files import DataError

TRAIN = tokens(200)
HABIT = np.tile(tokens(7, seed=3), 30)
VOCABULARY = [bytes([65 + n // 8, 65 + n % 8])[: 1 + n % 2] + bytes([n]) for n in range(VOCAB_SIZE)]


def still(model):
    return [(Dynamic(0.0, 0.0), Statistics(model, TRAIN))]


@pytest.mark.parametrize("n", [2, 9, 16, 17, 18, 60])
def test_without_learning_the_losses_are_the_exact_ones(n):
    model, text = gpt(), tokens(n, seed=1)
    expected = exact_losses(model, text)
    assert dynamic_losses([model], text, [None]) == pytest.approx(expected, abs=1e-5)
    assert dynamic_losses([model], text, still(model)) == pytest.approx(expected, abs=1e-5)


def test_every_distribution_sums_to_one():
    for _, log_p in log_probabilities(gpt(), tokens(40)):
        assert np.exp(log_p.astype(float)).sum(1) == pytest.approx(1, abs=1e-5)


def test_learning_helps_on_a_text_with_habits_and_leaves_the_model_as_it_was():
    model = gpt()
    before = [parameter.clone() for parameter in model.parameters()]
    statistics = Statistics(model, TRAIN)
    best = best_dynamic(model, statistics, HABIT)
    learned = dynamic_losses([model], HABIT, [(best, statistics)])
    assert best.rate > 0 and learned[-50:].mean() < exact_losses(model, HABIT)[-50:].mean() - 0.05
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_in_bf16_the_weights_learn_as_in_fp32():
    model = gpt()
    learning = [(Dynamic(3e-3, 0.0), Statistics(model, TRAIN))]
    exact = dynamic_losses([model], HABIT, learning)
    assert exact[-50:].mean() < exact_losses(model, HABIT)[-50:].mean() - 0.2
    with torch.autocast("cpu", torch.bfloat16):
        assert dynamic_losses([model], HABIT, learning).mean() == pytest.approx(exact.mean(), abs=0.03)


def test_the_future_changes_nothing_before_it_and_two_runs_agree():
    model = gpt()
    learning = [(Dynamic(1e-3, 0.003), Statistics(model, TRAIN))]
    changed = HABIT.copy()
    changed[100:] = tokens(len(changed) - 100, seed=8)
    one, again, other = (dynamic_losses([model], text, learning) for text in (HABIT, HABIT, changed))
    assert one.tolist() == again.tolist() and one[:90] == pytest.approx(other[:90], abs=1e-6)
    assert one[:16] == pytest.approx(
        exact_losses(model, HABIT)[:16], abs=1e-5
    )  # nothing is learned before it


def test_a_large_decay_holds_the_weights_where_they_were():
    model = gpt()
    statistics = Statistics(model, TRAIN)
    free, held = (
        dynamic_losses([model], HABIT, [(Dynamic(1e-3, decay), statistics)]) for decay in (0.0, 1e6)
    )
    exact = exact_losses(model, HABIT)
    assert abs(held - exact).mean() < abs(free - exact).mean()


def test_several_models_are_averaged():
    models, text = [gpt(0), gpt(1)], tokens(40, seed=1)
    p = np.mean([np.exp(-exact_losses(model, text)) for model in models], axis=0)
    assert dynamic_losses(models, text, [None, None]) == pytest.approx(-np.log(p), abs=1e-5)


def test_shares_multiply_to_the_models_probabilities():
    models, text, trie = [gpt(0), gpt(1)], tokens(40, seed=1), Trie(VOCABULARY)
    walk = trie.walk(text)
    found = shares(models, trie, walk, text, [None, None])
    assert found.shape == (3, len(walk.bit)) and (found[:, : walk.first[1]] == 0.5).all()
    logs = np.log(np.where(walk.bit == 1, found, 1 - found))
    losses = -np.add.reduceat(logs, walk.first[:-1], axis=1)[:, 1:]
    expected = [dynamic_losses(each, text, [None] * len(each)) for each in (models, models[:1], models[1:])]
    assert losses == pytest.approx(np.array(expected), abs=1e-4)


@pytest.mark.parametrize("way", ["dynamic", "mixed", "ensemble_both"])
def test_every_way_gives_a_loss_for_every_token_but_the_first(way):
    texts = {"train": TRAIN, "dev": tokens(30, seed=4), "val": HABIT}
    losses, facts = adapted([gpt(0), gpt(1)], VOCABULARY, texts, way)
    assert {part: len(each) for part, each in losses.items()} == {"dev": 29, "val": len(HABIT) - 1}
    assert all(np.isfinite(each).all() for each in losses.values())
    assert facts.keys() == ({"dynamic_rate", "dynamic_decay"} if way != "mixed" else set()) | (
        {"mixture_trust"} if way != "dynamic" else set()
    )


@pytest.mark.parametrize("way", ["dynamic", "mixed"])
@pytest.mark.parametrize(
    "dev", [HABIT[:2], np.zeros(5, np.uint16)], ids=["shorter than a step", "one letter"]
)
def test_poor_texts_have_finite_losses(way, dev):
    losses, _ = adapted([gpt()], VOCABULARY, {"train": np.zeros(40, np.uint16), "dev": dev, "val": dev}, way)
    assert np.isfinite(losses["val"]).all()


def test_what_can_not_be_measured_ends_in_a_line():
    with pytest.raises(DataError, match="1 tokens can't be scored"):
        dynamic_losses([gpt()], tokens(1), [None])
    with pytest.raises(DataError, match="train has 16 tokens, too few for one window of block_size 16"):
        Statistics(gpt(), tokens(16))
    broken = gpt()
    with torch.no_grad():
        broken.transformer.wpe.weight[3] = torch.nan
    with pytest.raises(ModelError, match="a log probability is nan"):
        dynamic_losses([broken], tokens(40), [None])
