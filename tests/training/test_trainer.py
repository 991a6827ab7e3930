"""The loop: the same again, early stopping, phases, and faults."""

import dataclasses
import filecmp
import functools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from architectures import saved
from runs import DEV, TEXT, context, history, same, script, summary, trainer, watch, weights
from tiny import MACHINE, gpt, tokens, training

from gpt2_shakespeare import runtime
from gpt2_shakespeare.errors import Interrupted
from gpt2_shakespeare.measure.losses import quick_loss
from gpt2_shakespeare.model import GPT, ModelError, load_model
from gpt2_shakespeare.model.lora import add_lora
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.tokens.files import DataError
from gpt2_shakespeare.training import optimizers
from gpt2_shakespeare.training.checkpoint import Checkpoints
from gpt2_shakespeare.training.step import TrainingError
from gpt2_shakespeare.training.trainer import Trainer


def test_all_batches_have_one_shape(tmp_path):
    run = trainer(phases=[(8, 2.3)], batch_size=5)  # 28 of 24 windows, 6 steps
    shapes = watch(run)
    run.run(tmp_path)
    assert [shape for _, shape in shapes] == [(5, 8)] * 6


def test_a_tiny_model_learns_a_short_text_by_heart(tmp_path):
    text = tokens(200)
    run = trainer(
        gpt(noise=0.02, n_embd=32), text, text, [(16, 50)],
        learning_rate=0.02, batch_size=12, eval_interval=99, eval_tokens=200,
    )  # fmt: skip
    progress = run.run(tmp_path)
    assert progress.history[-1]["train_loss"] < 0.3 < 4 < math.log(61)


# --- the same again ------------------------------------------------------------------------------


def files(folder):
    return sorted(path.relative_to(folder) for path in Path(folder).rglob("*") if path.is_file())


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run = trainer(
            gpt(noise=0.02, dropout=0.1), phases=[(8, 1), (16, 2)], seed=seed, patience=1, learning_rate=0.1
        )
        run.run(tmp_path / name)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    for name in files(tmp_path / "a"):
        assert filecmp.cmp(tmp_path / "a" / name, tmp_path / "b" / name, shallow=False), name
    assert not filecmp.cmp(
        tmp_path / "a" / "model.safetensors", tmp_path / "c" / "model.safetensors", shallow=False
    )


def test_on_a_cpu_the_fast_mode_gives_the_same_bits(tmp_path):
    results = []
    for deterministic in (True, False):
        torch.use_deterministic_algorithms(deterministic)
        run = trainer(gpt(noise=0.02, dropout=0.2), phases=[(8, 3)])
        run.run(tmp_path / str(deterministic))
        results.append(weights(run.model))
    assert same(*results)


def test_adapters_train_and_resume_like_any_model(tmp_path):
    def run(folder, stop=None):
        model = gpt()
        add_lora(model, rank=2, alpha=4)
        run = trainer(model)
        checkpoints = Checkpoints(tmp_path / "checkpoints", run.fingerprint(), 1)
        run.run(folder, checkpoints, lambda: 15 if run.progress.step == stop else None)
        return (folder / "model.safetensors").read_bytes()

    straight = run(tmp_path / "straight")
    with pytest.raises(Interrupted):
        run(tmp_path / "stopped", stop=2)
    assert run(tmp_path / "stopped") == straight
    gpt().save_pretrained(tmp_path / "base")
    assert (tmp_path / "base/model.safetensors").read_bytes() != straight


@pytest.mark.parametrize("kind", ["llama", "gpt_neox"])
def test_a_model_of_transformers_trains_and_resumes_like_ours(tmp_path, kind):
    saved(tmp_path / "base", kind)
    how = {"muon_learning_rate": 0.02} | ({"sampled_types": 8} if kind == "llama" else {})

    def run(folder, stop=None):
        run = trainer(load_model(tmp_path / "base", attn_dropout=0.1), phases=[(8, 2)], **how)
        checkpoints = Checkpoints(tmp_path / "checkpoints", run.fingerprint(), 1)
        run.run(folder, checkpoints, lambda: 15 if run.progress.step == stop else None)
        return (folder / "model.safetensors").read_bytes(), history(folder)

    straight, rows = run(tmp_path / "straight")
    with pytest.raises(Interrupted):
        run(tmp_path / "stopped", stop=3)
    assert run(tmp_path / "stopped") == (straight, rows)
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])


def test_a_share_of_the_text_is_its_end():
    run = trainer(share=0.5)
    assert np.array_equal(run.train_tokens, TEXT[-49:])
    assert max(run.phases[0].batches.starts) + 8 < 49
    with pytest.raises(DataError, match="5 training tokens are too few for one window of block_size 8"):
        trainer(share=0.05)


@pytest.mark.slow
def test_a_compiled_training_is_the_plain_one(tmp_path):
    """With all that changes shapes from step to step: sampled softmax, two context lengths."""
    try:
        runtime._find_compiler(MACHINE.device)
        backend = "inductor"
    except schema.ParamsError:  # all of torch.compile but the C++ that it writes
        backend = "aot_eager"
    found = {}
    text = tokens(970)
    for compiles in (False, True):
        model = gpt(noise=0.02, vocab_size=3000)
        model.add_spelling(np.arange(3000) % 50, np.arange(3001), 0.02)
        model.transformer.compile = functools.partial(model.transformer.compile, backend=backend)
        settings = training(sampled_types=100, muon_learning_rate=0.02, eval_interval=10, grad_accum_steps=2)
        run = Trainer(
            model, text, DEV, settings, context((8, 1), (16, 1)), seed=7,
            machine=dataclasses.replace(MACHINE, compile=compiles),
        )  # fmt: skip
        run.run(tmp_path / str(compiles))
        found[compiles] = pd.DataFrame(run.progress.history)
    pd.testing.assert_frame_equal(found[True], found[False], check_exact=False, atol=1e-3, rtol=0)
    assert found[True]["dev_loss"].iloc[-1] < found[True]["dev_loss"].iloc[0] - 0.3


# --- evaluations and early stopping --------------------------------------------------------------


def test_it_is_evaluated_at_every_interval_and_at_the_end(tmp_path):
    progress = trainer(phases=[(8, 3.5)], eval_interval=4).run(tmp_path)  # 11 steps
    assert [row["step"] for row in progress.history] == [4, 8, 11]


def test_the_probe_is_asked_after_every_epoch_and_the_quarters_of_the_first(tmp_path):
    asked = []

    def probe(model):
        asked.append(model)
        return {"kl_a": len(asked) / 3}

    text = tokens(8 * 33)  # 32 windows: eight steps an epoch
    run = Trainer(
        gpt(), text, DEV, training(eval_interval=3), context((8, 2)), seed=0, machine=MACHINE, probe=probe
    )
    run.run(tmp_path)
    history = pd.read_csv(tmp_path / "history.csv")
    assert list(history["step"]) == [2, 3, 4, 6, 8, 9, 12, 15, 16]
    assert list(history["kl_a"].dropna()) == [0.333333, 0.666667, 1.0, 1.33333, 1.66667]
    assert list(history["step"][history["kl_a"].notna()]) == [2, 4, 6, 8, 16]
    assert list(history["epochs"].dropna()) == [0.25, 0.5, 0.75, 1.0, 2.0]


def test_a_probes_figure_that_is_no_number_ends_the_run(tmp_path):
    run = trainer()
    run.probe = lambda model: {"kl_a": 1.0, "p_name": math.nan}
    with pytest.raises(TrainingError, match="train: step 1: p_name is nan"):
        run.run(tmp_path)
    assert not (tmp_path / "model.safetensors").exists()


def test_the_history_ends_with_the_epochs_that_were_asked_for(tmp_path):
    """12 windows, 5 a step: six epochs are 15 steps, and an epoch is 2.4."""
    run = trainer(phases=[(8, 6)], batch_size=5, eval_interval=99)
    run.probe = lambda model: {"kl_a": 1.0}
    run.run(tmp_path)
    assert [float(row["epochs"]) for row in history(tmp_path) if row["epochs"]][-2:] == [5.0, 6.0]


@pytest.mark.parametrize(
    ("dev_losses", "patience", "steps", "best_step"),
    [
        ([5, 4, 4.5, 4.6], 2, 4, 2),
        ([5, 4, 4.5, 3, 3.5, 3.6], 2, 6, 4),  # a gain starts the count anew
        ([5, 5, 5], 2, 3, 1),  # an equal loss is no gain
        ([5, 6], 1, 2, 1),
        ([9, 8, 7, 6, 5, 4, 3, 2, 1], 1, 9, 9),
        ([5, 6, 7, 8, 9, 10, 11, 12, 13], None, 9, 1),
        ([5, 6, 7, 8, 9, 10, 11, 12, 4], None, 9, 9),
    ],
)
def test_patience_counts_evaluations_without_a_lower_dev_loss(
    tmp_path, monkeypatch, dev_losses, patience, steps, best_step
):
    script(monkeypatch, *dev_losses)
    run = trainer(phases=[(8, 3)], patience=patience)  # 9 steps
    before = watch(run)
    progress = run.run(tmp_path)
    assert (progress.step, progress.best_step) == (steps, best_step)
    assert progress.best_dev_loss == dev_losses[best_step - 1]
    assert [row["step"] for row in progress.history] == list(range(1, steps + 1))
    assert (tmp_path / "last").is_dir() == (best_step != steps)
    if best_step != steps:  # before[i] are the weights after i steps
        assert same(weights(run.model), before[best_step][0])
        assert same(weights(GPT.from_pretrained(tmp_path)), before[best_step][0])
        last = weights(GPT.from_pretrained(tmp_path / "last"))
        assert not same(last, weights(run.model))


def test_patience_does_not_count_steps(tmp_path, monkeypatch):
    script(monkeypatch, 5, 6, 7)
    progress = trainer(phases=[(8, 9)], eval_interval=4, patience=2).run(tmp_path)
    assert (progress.step, progress.best_step) == (12, 4)


def test_the_saved_model_is_the_one_with_the_best_dev_loss(tmp_path):
    """On text that has nothing to do with dev, dev rises after a while."""
    text = np.tile(tokens(5), 20)
    run = trainer(text=text, phases=[(8, 20)], patience=3)
    progress = run.run(tmp_path)
    rows = history(tmp_path)
    losses = [float(row["dev_loss"]) for row in rows]
    assert progress.best_step < progress.step < run.max_steps
    assert losses.index(min(losses)) == len(losses) - 4
    best, last = (
        quick_loss(GPT.from_pretrained(folder), DEV, 8, 64) for folder in (tmp_path, tmp_path / "last")
    )
    assert best == summary(tmp_path)["best_dev_loss"] == progress.best_dev_loss
    assert last == pytest.approx(losses[-1], abs=1e-6)
    assert last > best


def test_the_model_ends_with_its_best_weights(tmp_path):
    run = trainer(phases=[(8, 2)])
    run.run(tmp_path)
    assert same(weights(run.model), weights(GPT.from_pretrained(tmp_path)))


def test_a_run_that_ends_at_its_best_has_no_last(tmp_path, monkeypatch):
    script(monkeypatch, 3, 2, 1)
    trainer().run(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json",
        "model.safetensors",
        "history.csv",
        "training.json",
    }


# --- phases --------------------------------------------------------------------------------------


def test_phases_walk_from_short_to_long_windows(tmp_path):
    run = trainer(phases=[(4, 1), (8, 0.5), (16, 1)])
    shapes = watch(run)
    progress = run.run(tmp_path)  # 24, 6 of 12, and 6 windows
    assert [shape for _, shape in shapes] == [(4, 4)] * 6 + [(4, 8)] * 2 + [(4, 16)] * 2
    assert [row["block_size"] for row in progress.history] == [4] * 6 + [8] * 2 + [16] * 2
    assert [row["step"] for row in progress.history] == list(range(1, 11))
    assert progress.tokens == 6 * 16 + 2 * 32 + 2 * 64


def test_a_phase_that_stops_early_hands_on_its_best_weights(tmp_path, monkeypatch):
    script(monkeypatch, 3, 4, 5, 9, 8, 10)
    run = trainer(phases=[(8, 3), (16, 2)], patience=2)  # 9 and 3 steps
    before = watch(run)
    progress = run.run(tmp_path)
    assert [row["block_size"] for row in progress.history] == [8, 8, 8, 16, 16, 16]
    assert same(before[3][0], before[1][0])
    assert not same(before[3][0], before[2][0])
    # the best of all was in the first phase, but it has not seen the later positions
    assert (progress.best_step, progress.best_dev_loss) == (5, 8)
    assert same(weights(GPT.from_pretrained(tmp_path)), before[5][0])
    assert (tmp_path / "last").is_dir()


def test_the_schedule_of_a_phase_does_not_move_when_one_before_stops_early(tmp_path, monkeypatch):
    script(monkeypatch, 3, 4, 9, 8, 7)
    run = trainer(phases=[(8, 3), (16, 2)], patience=1)
    progress = run.run(tmp_path)
    assert run.max_steps == 12
    planned = [optimizers.learning_rate(step, 12, run.settings) for step in (0, 1, 9, 10, 11)]
    assert [row["learning_rate"] for row in progress.history] == planned


# --- faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("warmup_steps", "warns"), [(2, False), (3, True), (40, True)])
def test_a_run_within_its_warmup_gets_a_warning(tmp_path, caplog, warmup_steps, warns):
    trainer(warmup_steps=warmup_steps).run(tmp_path)  # 3 steps
    found = [line for line in caplog.messages if "warmup_steps" in line]
    assert len(found) == warns
    if warmup_steps == 40:
        assert found[0].startswith(
            "train: warmup_steps: all 3 steps lie within the warmup of 40, so the learning rate only rises, to 0.00075 of 0.01"
        )


def test_a_dev_loss_that_is_not_finite_stops(tmp_path, monkeypatch):
    script(monkeypatch, 4, math.nan)
    with pytest.raises(TrainingError, match="step 2: the dev loss is nan"):
        trainer().run(tmp_path / "out")


def test_a_gpu_too_small_is_found_before_training(tmp_path):
    """The largest micro-batch of all phases is tried; torch's own error stands for the GPU's."""
    run = trainer(phases=[(4, 1), (8, 1)], batch_size=3)
    before, shapes = weights(run.model), watch(run)
    run.try_memory()
    assert shapes[0][1] == (3, 8)
    assert same(weights(run.model), before) and all(p.grad is None for p in run.model.parameters())

    def full(idx, targets):
        raise torch.OutOfMemoryError

    run.model.loss = full
    with pytest.raises(TrainingError, match="3 windows of 8 tokens .* halve batch_size"):
        run.try_memory()


def test_a_dev_text_shorter_than_a_window_is_refused_before_training(tmp_path):
    with pytest.raises(DataError, match="12 .*too few"):
        trainer(dev=tokens(12), phases=[(8, 1), (16, 1)])


def test_windows_above_the_models_block_are_refused_before_training():
    with pytest.raises(ModelError, match="32"):
        trainer(phases=[(8, 1), (32, 1)])
