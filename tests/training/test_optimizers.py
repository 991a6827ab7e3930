"""The learning rate of every step, and what weight decay acts on."""

import math

import pytest
import torch
from tiny import gpt, training

from gpt2_shakespeare import runtime
from gpt2_shakespeare.training.optimizers import Fp32Muon, learning_rate, optimizers

SETTINGS = training(learning_rate=1.0, min_lr=0.1, warmup_steps=4)


@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        (0, 0.25),
        (1, 0.5),
        (2, 0.75),
        (3, 1.0),
        (4, 1.0),
        (6, 0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2),
        (8, 0.55),
        (12, 0.1),
        (13, 0.1),
        (1000, 0.1),
    ],
)
def test_warmup_then_a_cosine(step, wanted):
    assert learning_rate(step, 12, SETTINGS) == pytest.approx(wanted, abs=1e-12)


def test_it_only_falls_after_the_peak():
    rates = [learning_rate(step, 12, SETTINGS) for step in range(3, 14)]
    assert rates == sorted(rates, reverse=True)


def test_the_references_epoch_ends_in_its_warmup():
    settings = training(learning_rate=1e-5, min_lr=0.0, warmup_steps=200)
    rates = [learning_rate(step, 149, settings) for step in range(149)]
    assert rates[0] == pytest.approx(5e-8)
    assert rates[-1] == max(rates) == pytest.approx(7.45e-6)


def test_without_warmup_the_first_step_has_the_full_rate():
    settings = training(learning_rate=1e-3, warmup_steps=0)
    assert learning_rate(0, 10, settings) == 1e-3
    assert learning_rate(0, 1, settings) == 1e-3


def test_as_many_steps_as_warmup():
    settings = training(learning_rate=1e-3, warmup_steps=5)
    assert learning_rate(4, 5, settings) == 1e-3


def names(model, group):
    chosen = {id(parameter) for parameter in group["params"]}
    return {name for name, parameter in model.named_parameters() if id(parameter) in chosen}


def test_decay_of_matrices_spares_biases_and_norms():
    model = gpt()
    (adamw,) = optimizers(model, training(decay="matrices", weight_decay=0.3))
    decayed, spared = adamw.param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.3, 0.0)
    everything = {name for name, _ in model.named_parameters()}
    vectors = {name for name in everything if name.endswith("bias") or ".ln_" in name}
    assert names(model, spared) == vectors
    assert names(model, decayed) == everything - vectors
    assert "transformer.wte.weight" in names(model, decayed)


def test_decay_of_all_reaches_every_parameter():
    model = gpt()
    (adamw,) = optimizers(model, training(decay="all", weight_decay=0.1))
    (group,) = adamw.param_groups
    assert group["weight_decay"] == 0.1
    assert names(model, group) == {name for name, _ in model.named_parameters()}


def test_adamw_has_the_settings_moments():
    (optimizer,) = optimizers(gpt(), training(beta1=0.8, beta2=0.95, learning_rate=0.5))
    assert optimizer.defaults["betas"] == (0.8, 0.95)
    assert optimizer.defaults["lr"] == 0.5
    assert optimizer.defaults["eps"] == 1e-8


def test_muon_takes_the_matrices_of_the_blocks_and_adamw_the_rest():
    model = gpt()
    muon, adamw = optimizers(model, training(learning_rate=0.5, muon_learning_rate=2.0, weight_decay=0.3))
    (matrices,) = muon.param_groups
    blocks = {f"transformer.h.{n}.{part}.weight" for n in range(2) for part in
              ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")}  # fmt: skip
    assert names(model, matrices) == blocks
    assert matrices["scale"] == 4.0 and matrices["weight_decay"] == 0.3
    decayed, spared = adamw.param_groups
    assert names(model, decayed) == {"transformer.wte.weight", "transformer.wpe.weight"}
    assert names(model, spared) == {name for name, p in model.named_parameters() if p.dim() == 1}


def moved(kind, grads, shape):
    """A matrix of ones after a step of Muon with each of the gradients."""
    matrix = torch.nn.Parameter(torch.ones(shape))
    muon = kind([matrix], lr=0.1, weight_decay=0.3)
    for grad in grads:
        matrix.grad = grad.clone()
        muon.step()
    return matrix.detach()


@pytest.mark.parametrize("shape", [(8, 24), (24, 8), (16, 16)])
def test_muon_in_fp32_is_torchs_but_for_rounding(shape, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    grads = [torch.randn(shape, generator=generator) for _ in range(3)]
    ours, theirs = moved(Fp32Muon, grads, shape), moved(torch.optim.Muon, grads, shape)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0.01)
    assert not torch.equal(ours, theirs)
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)  # torch's own, in fp32
    torch.testing.assert_close(ours, moved(torch.optim.Muon, grads, shape), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("has_bf16", "kind"), [(True, torch.optim.Muon), (False, Fp32Muon)])
def test_muon_is_torchs_own_where_the_machine_has_bf16(has_bf16, kind, monkeypatch):
    monkeypatch.setattr(runtime, "cpu_has_bf16", lambda: has_bf16)
    muon, _ = optimizers(gpt(), training(learning_rate=0.5, muon_learning_rate=2.0))
    assert type(muon) is kind


def test_a_matrix_without_a_gradient_stays():
    matrix = torch.nn.Parameter(torch.ones(2, 3))
    Fp32Muon([matrix]).step()
    assert torch.equal(matrix, torch.ones(2, 3))
