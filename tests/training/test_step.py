"""Steps against ones written out by hand, and what stops a step."""

import dataclasses
import math

import pytest
import torch
from runs import DEV, TEXT, context, history, same, summary, trainer, watch, weights
from tiny import MACHINE, gpt, training

from gpt2_shakespeare.errors import UserError
from gpt2_shakespeare.tokens.batches import Batches
from gpt2_shakespeare.training.step import TrainingError
from gpt2_shakespeare.training.trainer import Trainer


@pytest.mark.parametrize("decay", ["matrices", "all"])
def test_steps_are_those_written_out_by_hand(tmp_path, decay):
    """Three steps of clipped AdamW (Loshchilov & Hutter 2019, algorithm 2) with warmup."""
    settings = {
        "learning_rate": 0.02, "warmup_steps": 2, "beta1": 0.8, "beta2": 0.95, "weight_decay": 0.3,
        "decay": decay, "grad_clip": 0.05, "eval_interval": 99,
    }  # fmt: skip
    run = trainer(**settings)
    model = gpt(noise=0.02)
    batches = Batches(TEXT, 8, 8, 4, seed=7)
    moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in model.named_parameters()}
    for step, rate in enumerate((0.01, 0.02, 0.02)):
        model.zero_grad()
        idx, targets = map(torch.from_numpy, batches.batch(step))
        model.loss(idx, targets).backward()
        norm = math.sqrt(sum((p.grad.double() ** 2).sum().item() for p in model.parameters()))
        assert norm > 0.05
        for name, parameter in model.named_parameters():
            grad = parameter.grad * 0.05 / norm
            first, second = moments[name]
            first.mul_(0.8).add_(0.2 * grad)
            second.mul_(0.95).add_(0.05 * grad**2)
            unbiased = first / (1 - 0.8 ** (step + 1)), second / (1 - 0.95 ** (step + 1))
            with torch.no_grad():
                if decay == "all" or parameter.dim() == 2:
                    parameter.mul_(1 - rate * 0.3)
                parameter.sub_(rate * unbiased[0] / (unbiased[1].sqrt() + 1e-8))
    run.run(tmp_path)
    found = weights(run.model)
    for name, wanted in model.named_parameters():
        # the bias of the keys has no gradient but for rounding, which Adam enlarges
        places = slice(None) if not name.endswith("c_attn.bias") else slice(32, None)
        torch.testing.assert_close(found[name][places], wanted[places].detach(), rtol=0, atol=2e-4)


def test_accumulated_micro_batches_equal_the_large_batch(tmp_path):
    large = trainer(batch_size=8, grad_accum_steps=1, phases=[(8, 3)])
    small = trainer(batch_size=2, grad_accum_steps=4, phases=[(8, 3)])
    assert large.max_steps == small.max_steps == 5  # 36 windows
    shapes = watch(small)
    large.run(tmp_path / "large")
    small.run(tmp_path / "small")
    assert [shape for _, shape in shapes] == [(2, 8)] * 20
    for one, other in zip(history(tmp_path / "large"), history(tmp_path / "small"), strict=True):
        for key in one:
            assert float(one[key]) == pytest.approx(float(other[key]), abs=1e-4), key


def test_a_steps_dropout_does_not_depend_on_what_was_drawn_before(tmp_path):
    def dropped():
        return gpt(noise=0.02, dropout=0.2)

    straight, disturbed = trainer(dropped()), trainer(dropped())
    loss = disturbed.model.loss

    def disturbing(idx, targets):
        result = loss(idx, targets)
        torch.rand(3)
        return result

    disturbed.model.loss = disturbing
    straight.run(tmp_path / "a")
    disturbed.run(tmp_path / "b")
    assert same(weights(straight.model), weights(disturbed.model))


def test_dropout_acts_in_training(tmp_path):
    for name, dropout in (("none", 0.0), ("some", 0.2)):
        trainer(gpt(noise=0.02, dropout=dropout)).run(tmp_path / name)
    assert (
        history(tmp_path / "none")[0]["running_train_loss"]
        != (history(tmp_path / "some")[0]["running_train_loss"])
    )


def test_weights_cast_once_a_step_give_the_gradients_of_micro_batches_by_themselves(monkeypatch):
    """bf16: autocast's copies of the weights are shared by a step's micro-batches."""
    machine = dataclasses.replace(MACHINE, dtype=torch.bfloat16)
    run = Trainer(
        gpt(noise=0.02),
        TEXT,
        DEV,
        training(grad_accum_steps=3, grad_clip=1e9),
        context((8, 1)),
        seed=7,
        machine=machine,
    )
    found = {}
    monkeypatch.setattr(
        run.step.optimizers[0],
        "step",
        lambda: found.update({n: p.grad.clone() for n, p in run.model.named_parameters()}),
    )
    idx, targets = (torch.from_numpy(part) for part in run.phases[0].batches.batch(0))
    run.step(0, idx, targets, 1e-3, where="here")

    alone = gpt(noise=0.02).train()
    for part, wanted in zip(idx.split(4), targets.split(4), strict=True):
        with machine.autocast():
            loss = alone.loss(part, wanted)
        (loss / 3).backward()
    for name, parameter in alone.named_parameters():
        assert torch.equal(found[name], parameter.grad), name


# --- faults --------------------------------------------------------------------------------------


def test_a_nan_in_the_weights_stops_the_first_step(tmp_path):
    model = gpt(noise=0.02)
    with torch.no_grad():
        model.transformer.h[0].mlp.c_fc.weight[3, 3] = math.nan
    others = {name: tensor for name, tensor in weights(model).items() if "h.0.mlp.c_fc.weight" not in name}
    with pytest.raises(TrainingError, match=r"train: step 1: the loss is nan .* lower learning_rate"):
        trainer(model).run(tmp_path / "out")
    assert same(others, weights(model))
    assert not (tmp_path / "out").exists()


def test_a_huge_learning_rate_stops_before_the_weights_are_spoilt(tmp_path):
    run = trainer(learning_rate=1e30, eval_interval=99, phases=[(8, 5)])
    with pytest.raises(TrainingError, match=r"step 2: the loss is"):
        run.run(tmp_path / "out")
    assert all(torch.isfinite(parameter).all() for parameter in run.model.parameters())
    assert not (tmp_path / "out").exists()


def test_a_gradient_that_is_not_finite_stops_even_if_the_loss_is(tmp_path):
    run = trainer()
    before, loss = weights(run.model), run.model.loss
    run.model.loss = lambda idx, targets: (
        loss(idx, targets) + (0 * run.model.transformer.wte.weight).sum().sqrt()
    )
    with pytest.raises(TrainingError, match=r"step 1: the loss is 4\.\d+ and the gradient's norm nan"):
        run.run(tmp_path / "out")
    assert same(before, weights(run.model))


# --- fp16 ----------------------------------------------------------------------------------------


def in_fp16(overflows, **changes):
    """A run in fp16 on a text of 12 windows, three to a step; its gradient is NaN in steps that `overflows` is true of."""
    run = Trainer(
        gpt(noise=0.02), TEXT, DEV, training(batch_size=3, eval_interval=99, **changes), context((8, 10)),
        seed=7, machine=dataclasses.replace(MACHINE, dtype=torch.float16),
    )  # fmt: skip
    loss = run.model.loss

    def overflowing(idx, targets):
        factor = (0 * run.model.transformer.wte.weight).sum().sqrt() if overflows(run.progress.step) else 0
        return loss(idx, targets) + factor

    run.model.loss = overflowing
    return run


def test_skipped_steps_are_counted(tmp_path):
    run = in_fp16(lambda step: step in (0, 1, 7))
    run.run(tmp_path)
    assert run.step.scaler.get_scale() == 2**13
    assert summary(tmp_path)["skipped_steps"] == 3
    assert summary(tmp_path)["step"] == 40


@pytest.mark.parametrize("muon", [None, 0.02])
def test_a_skipped_step_leaves_the_weights_as_they_were(muon):
    run = in_fp16(lambda step: True, muon_learning_rate=muon)
    before = weights(run.model)
    idx, targets = (torch.from_numpy(part) for part in run.phases[0].batches.batch(0))
    _, skipped = run.step(0, idx, targets, 1e-3, where="here")
    assert skipped and same(before, weights(run.model))


def test_without_fp16_no_count_is_written(tmp_path):
    trainer().run(tmp_path)
    assert "skipped_steps" not in summary(tmp_path)


def test_gradients_that_overflow_at_any_scale_stop_the_run(tmp_path):
    run = in_fp16(lambda step: step >= 3)
    with pytest.raises(TrainingError, match=r"step 20: .* the gradient's norm nan; .* use fp32"):
        run.run(tmp_path / "out")  # scales from 2**16 to 1 are tried
    assert run.progress.skipped_steps == 16
    assert not (tmp_path / "out").exists()


def test_a_run_of_skipped_steps_alone_is_an_error(tmp_path):
    run = in_fp16(lambda step: True)
    run.phases = [dataclasses.replace(run.phases[0], steps=5)]
    with pytest.raises(TrainingError, match="all 5 steps were skipped"):
        run.run(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_training_errors_are_ones_that_a_user_can_mend():
    assert issubclass(TrainingError, UserError)
