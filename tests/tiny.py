"""A tiny GPT, texts and settings that the tests share; nothing here looks at the code under test's results."""

import numpy as np
import torch
from hypothesis import settings

from gpt2_shakespeare.model import GPT, GPTConfig
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.runtime import Runtime

VOCAB_SIZE = 61
MACHINE = Runtime(torch.device("cpu"), torch.float32, threads=1, compile=False)
# The same examples on every run and no clock, so that a busy machine fails no test.
fuzz = settings(max_examples=200, deadline=None, derandomize=True, database=None)


def gpt(seed=0, noise=0.2, **changes):
    """A model in eval mode; `noise` moves its weights away from zero, so that every one of them matters."""
    torch.manual_seed(seed)
    shape = {"block_size": 16, "vocab_size": VOCAB_SIZE, "n_layer": 2, "n_head": 2, "n_embd": 16}
    model = GPT(GPTConfig(**(shape | changes))).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(noise * torch.randn_like(parameter))
    return model


def tokens(n, seed=0):
    """Random token ids as `data` keeps them."""
    return np.random.default_rng(seed).integers(VOCAB_SIZE, size=n).astype(np.uint16)


def training(kind=schema.Training, **changes):
    """Settings of a short run without dropout."""
    plain = {
        "learning_rate": 1e-2, "min_lr": 0.0, "warmup_steps": 0, "beta1": 0.9, "beta2": 0.99,
        "weight_decay": 0.1, "decay": "matrices", "grad_clip": 1.0,
        "share": 1.0, "stride": None, "batch_size": 4, "grad_accum_steps": 1,
        "dropout": 0.0, "attn_dropout": 0.0, "random_offsets": False, "renaming": None, "spelling": False,
        "sampled_types": None, "muon_learning_rate": None,
        "eval_interval": 1, "eval_tokens": 64, "patience": None,
    }  # fmt: skip
    return kind(**(plain | changes))
