"""Resumed runs against ones that never stopped."""

import filecmp
import os

import numpy as np
import pytest
from runs import trainer
from tiny import VOCAB_SIZE, gpt

from gpt2_shakespeare.errors import Interrupted
from gpt2_shakespeare.training.checkpoint import Checkpoints


def three_phases(tuned=False):
    """Dropout, early stopping, accumulation and phases: all that a resumed run must carry on.

    Args:
        tuned: two optimizers, an embedding in two parts, and random candidates besides.
    """
    model, further = gpt(noise=0.02, dropout=0.2), {}
    if tuned:
        model.add_spelling(np.array([0, 1, 1, 2]), np.array([0, 2, 3, *[4] * (VOCAB_SIZE - 2)]), std=0.02)
        further = {"muon_learning_rate": 0.02, "sampled_types": 5}
    return trainer(
        model, phases=[(4, 1), (8, 2), (16, 3)], batch_size=2, grad_accum_steps=2, eval_interval=3, patience=2,
        warmup_steps=3, **further,
    )  # fmt: skip


@pytest.mark.parametrize("tuned", [False, True], ids=["plain", "tuned"])
def test_a_run_stopped_after_every_step_ends_as_one_that_never_stopped(tmp_path, tuned):
    three_phases(tuned).run(tmp_path / "straight")
    stops = 0
    while True:
        run = three_phases(tuned)  # as a new process would
        ours = Checkpoints(tmp_path / "run", run.fingerprint(), interval=10**9)
        try:
            run.run(tmp_path / "stopped", ours, interrupted=lambda: 15)
            break
        except Interrupted as error:
            stops += 1
            assert error.signal == 15 and "its state is saved" in str(error)
    assert stops > 10
    names = [path.relative_to(tmp_path / "straight") for path in (tmp_path / "straight").rglob("*.*")]
    assert len(names) >= 4
    for name in names:
        assert filecmp.cmp(tmp_path / "straight" / name, tmp_path / "stopped" / name, shallow=False), name
    assert not ours.folder.exists()


@pytest.mark.parametrize("interval", [1, 3])
def test_checkpoints_change_nothing(tmp_path, interval):
    three_phases().run(tmp_path / "without")
    run = three_phases()
    run.run(tmp_path / "with", Checkpoints(tmp_path / "run", run.fingerprint(), interval))
    for name in ("model.safetensors", "history.csv", "training.json"):
        assert filecmp.cmp(tmp_path / "without" / name, tmp_path / "with" / name, shallow=False), name


def test_checkpoints_are_written_at_the_interval(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(Checkpoints, "save", lambda self, step, *_: saved.append(step))
    run = trainer(phases=[(8, 3)])  # 9 steps
    run.run(tmp_path / "out", Checkpoints(tmp_path / "run", run.fingerprint(), 4))
    assert saved == [4, 8]


def test_a_run_that_is_told_to_stop_without_checkpoints_says_that_nothing_is_kept(tmp_path):
    with pytest.raises(Interrupted, match="nothing is kept"):
        trainer(phases=[(8, 3)]).run(tmp_path, interrupted=lambda: 2)
    assert not os.listdir(tmp_path)
