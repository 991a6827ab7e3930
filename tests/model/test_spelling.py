"""Embeddings that types share by their spelling."""

import math

import numpy as np
import torch
from test_gpt import tiny

from gpt2_shakespeare.model import GPT
from gpt2_shakespeare.model.loss import Candidates

FEATURES, STARTS = np.array([0, 1, 1, 2]), np.array([0, 2, 3, *[4] * 59])  # of the first three types


def spelled(std):
    model = tiny()
    model.add_spelling(FEATURES, STARTS, std)
    return model


def test_types_that_are_spelled_alike_share_what_they_learn():
    model = spelled(std=1.0)
    shared, own = model.spelling.weight, model.transformer.wte.weight
    wanted = own.clone()
    wanted[0] += (shared[0] + shared[1]) / math.sqrt(2)
    wanted[1] += shared[1]
    wanted[2] += shared[2]
    torch.testing.assert_close(model.table(), wanted)
    some = torch.tensor([2, 40, 0])
    torch.testing.assert_close(model.table(some), wanted[some])
    model.train().loss(torch.tensor([[1, 5]]), torch.tensor([[5, 1]])).backward()
    assert model.spelling.weight.grad[1].abs().sum() > 0


def test_spelling_from_zero_changes_nothing_at_first():
    idx = torch.arange(10)[None]
    assert torch.equal(spelled(std=0.0)(idx)[0], tiny()(idx)[0])


def test_spelling_is_saved_in_the_embedding(tmp_path):
    model, idx = spelled(std=1.0).eval(), torch.arange(10)[None]
    model.save_pretrained(tmp_path)
    saved = GPT.from_pretrained(tmp_path)
    assert torch.equal(saved(idx)[0], model(idx)[0])
    assert saved.n_params() == tiny().n_params()


def test_in_eval_mode_the_table_is_made_once_and_again_after_training():
    model = spelled(std=1.0).eval()
    with torch.no_grad():
        before = model.table()
        assert model.table() is before
        model.spelling.weight += 1
        assert not torch.equal(model.train().eval().table(), before)
        assert torch.equal(model.table()[1], model.transformer.wte.weight[1] + model.spelling.weight[1])


def test_candidates_of_all_types_give_the_plain_training_loss():
    model, plain = spelled(std=1.0), spelled(std=1.0)
    plain.load_state_dict(model.state_dict())
    idx, targets = torch.arange(10)[None], torch.arange(1, 11)[None]
    model.candidates = Candidates(np.arange(3), model.config.vocab_size, model.config.vocab_size)
    ours, theirs = model.loss(idx, targets), plain.loss(idx, targets)
    ours.backward(), theirs.backward()
    torch.testing.assert_close(ours, theirs)
    for (name, mine), right in zip(model.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, right.grad, msg=name)
