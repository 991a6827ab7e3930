"""Short runs on a random text, and ways to look into them."""

import csv
import json

import torch
from tiny import MACHINE, gpt, tokens, training

from gpt2_shakespeare.params import schema
from gpt2_shakespeare.training import trainer as trainer_module
from gpt2_shakespeare.training.trainer import Trainer

TEXT, DEV = tokens(97), tokens(70, seed=1)  # 12 windows of 8


def context(*phases):
    return [schema.Context(block_size=block_size, epochs=epochs) for block_size, epochs in phases]


def trainer(model=None, text=TEXT, dev=DEV, phases=((8, 1),), seed=7, **changes):
    model = gpt(noise=0.02) if model is None else model
    return Trainer(model, text, dev, training(**changes), context(*phases), seed=seed, machine=MACHINE)


def weights(model):
    """Copies of all parameters, by name."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def history(out):
    """The rows of history.csv, as texts."""
    with open(out / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


def summary(out):
    """What training.json says."""
    return json.loads((out / "training.json").read_text())


def watch(run):
    """The weights before every micro-batch, and the batch's shape; filled while `run` trains."""
    seen, loss = [], run.model.loss

    def watched(idx, targets):
        seen.append((weights(run.model), tuple(idx.shape)))
        return loss(idx, targets)

    run.model.loss = watched
    return seen


def script(monkeypatch, *dev_losses):
    """Let dev be measured as these losses, one after the other."""
    left = iter(dev_losses)
    monkeypatch.setattr(
        trainer_module, "quick_loss", lambda model, text, *_: next(left) if text is DEV else 1.0
    )
