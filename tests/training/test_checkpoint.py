"""Checkpoints against truncation, flipped bits, full disks, other settings; resumed runs against straight ones."""

import filecmp
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from test_trainer import DEV, TEXT, trainer
from tiny import VOCAB_SIZE, gpt

from gpt2_shakespeare.errors import Interrupted
from gpt2_shakespeare.training import checkpoint
from gpt2_shakespeare.training.checkpoint import CheckpointError, Checkpoints

OURS = {"learning_rate": 0.1, "seed": 7}
STATE = {"progress": {"step": 3}}


def tensors(value=1.0):
    return {"model.a": torch.full((2, 3), value), "best.a": torch.zeros(4)}


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "run", OURS, interval=1)


def steps(checkpoints):
    return sorted(path.name for path in checkpoints.folder.iterdir())


# --- what lies on disk ---------------------------------------------------------------------------


def test_what_is_saved_comes_back(checkpoints):
    assert checkpoints.load() is None
    checkpoints.save(3, tensors(), STATE)
    found, state = checkpoints.load()
    assert state == STATE
    assert found.keys() == tensors().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors().items())


def test_the_last_two_are_kept_and_the_newest_is_read(checkpoints):
    for step in (9, 10, 200):
        checkpoints.save(step, tensors(step), STATE)
    assert steps(checkpoints) == ["step-000000010", "step-000000200"]
    assert checkpoints.load()[0]["model.a"][0, 0] == 200
    checkpoints.clear()
    assert not checkpoints.folder.exists()
    assert checkpoints.load() is None


FILES = (checkpoint.TENSORS, checkpoint.STATE, checkpoint.MANIFEST)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["cut", "flip", "remove"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_read(checkpoints, caplog, name, damage):
    """Every place of every file: a bit flipped there, and the file cut off there."""
    checkpoints.save(1, tensors(1), STATE)
    checkpoints.save(2, tensors(2), STATE)
    file = checkpoints.folder / "step-000000002" / name
    whole = file.read_bytes()
    for place in range(len(whole)) if damage != "remove" else [0]:
        if damage == "cut":
            file.write_bytes(whole[:place])
        elif damage == "flip":
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        else:
            file.unlink()
        caplog.clear()
        found, _ = checkpoints.load()
        if name == checkpoint.MANIFEST and not caplog.messages:
            continue  # its line end
        assert found["model.a"][0, 0] == 1, place
        assert "step-000000002" in caplog.text and "damaged" in caplog.text


def test_when_all_are_damaged_training_begins_anew(checkpoints, caplog):
    checkpoints.save(1, tensors(), STATE)
    (checkpoints.folder / "step-000000001" / checkpoint.TENSORS).write_bytes(b"")
    assert checkpoints.load() is None
    assert "damaged" in caplog.text


def test_what_a_kill_in_a_save_leaves_is_cleaned(checkpoints):
    checkpoints.save(1, tensors(), STATE)
    (checkpoints.folder / "temp-000000002").mkdir()
    (checkpoints.folder / "temp-000000002" / checkpoint.TENSORS).write_bytes(b"half")
    assert checkpoints.load()[1] == STATE
    assert steps(checkpoints) == ["step-000000001"]


def test_anothers_checkpoint_is_refused_with_the_differences(checkpoints):
    checkpoints.save(1, tensors(), STATE)
    other = Checkpoints(checkpoints.folder, {"learning_rate": 0.2, "seed": 7, "new": 1}, interval=1)
    with pytest.raises(CheckpointError) as error:
        other.load()
    message = str(error.value)
    assert "learning_rate is 0.1 there and 0.2 here" in message and "new is missing there" in message
    assert "seed" not in message and "\n" not in message and str(checkpoints.folder) in message
    assert checkpoints.load() is not None  # it is still there


def test_a_full_disk_fails_in_one_line_and_keeps_the_last(tmp_path):
    """On a file system of 1 MB, in a mount namespace of our own."""
    script = f"""
import sys, torch
sys.path.insert(0, {str(Path(checkpoint.__file__).parents[2])!r})
from pathlib import Path
from gpt2_shakespeare.training.checkpoint import CheckpointError, Checkpoints
checkpoints = Checkpoints(Path({str(tmp_path)!r}) / "small" / "run", {{}}, 1)
checkpoints.save(1, {{"a": torch.ones(50_000)}}, {{}})
try:
    checkpoints.save(2, {{"a": torch.ones(500_000)}}, {{}})
except CheckpointError as error:
    print(error)
print(sorted(path.name for path in checkpoints.folder.iterdir()), float(checkpoints.load()[0]["a"].sum()))
"""
    (tmp_path / "small").mkdir()
    mount = f"mount -t tmpfs -o size=1m none '{tmp_path}/small' && exec '{sys.executable}' -c \"$0\""
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", mount, script], capture_output=True, text=True
    )
    if done.returncode and "mount" in done.stderr:
        pytest.skip(f"no mount namespaces here: {done.stderr.strip()}")
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stdout + done.stderr
    assert "can't be written" in lines[0] and "space" in lines[0].lower()
    assert lines[1] == "['step-000000001'] 50000.0"


def test_a_second_trainer_waits_and_then_gives_up(checkpoints, monkeypatch):
    monkeypatch.setattr(checkpoint, "WAIT", 0.3)
    code = (
        "import sys; from pathlib import Path; from gpt2_shakespeare.training.checkpoint import Checkpoints\n"
        "with Checkpoints(Path(sys.argv[1]), {}, 1).lock(): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, checkpoints.folder],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout.readline() == "held\n"
        with pytest.raises(CheckpointError, match="another process trains this"), checkpoints.lock():
            pass
        other.kill()
        other.wait()
        with checkpoints.lock():  # a lock of the dead is free
            pass


def test_files_reach_the_disk_before_their_names_do(checkpoints, monkeypatch):
    """fsync of every file and of both folders, in that order around the rename."""
    seen = []
    monkeypatch.setattr(checkpoint, "_fsync", lambda path: seen.append(path.name))
    rename = Path.rename
    monkeypatch.setattr(Path, "rename", lambda a, b: (seen.append("rename"), rename(a, b))[1])
    checkpoints.save(5, tensors(), STATE)
    assert sorted(seen[:3]) == sorted(FILES)
    assert seen[3:] == ["temp-000000005", "rename", "run"]


# --- resumed training ----------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"learning_rate": 0.02}, "learning_rate"),
        ({"seed": 8}, "seed"),
        ({"phases": [(8, 2)]}, "context"),
        ({"text": TEXT[::-1]}, "train tokens"),
        ({"dev": DEV[::-1]}, "dev tokens"),
        ({"model": gpt(seed=1)}, "initial weights"),
    ],
)
def test_a_run_with_another_outcome_has_another_fingerprint(change, named):
    ours, theirs = trainer().fingerprint(), trainer(**change).fingerprint()
    assert [key for key in ours if ours[key] != theirs[key]] == [named]


def test_the_fingerprint_names_the_code():
    names = trainer().fingerprint()
    stage = yaml.safe_load((Path(__file__).parents[2] / "dvc.yaml").read_text())["stages"]["scratch"]["do"]
    code = {Path(dep).name for dep in stage["deps"] if dep.startswith("src/")}
    assert {name.removeprefix("code of ") for name in names if name.startswith("code of ")} == code
    assert json.loads(json.dumps(names)) == names


def test_a_run_that_is_told_to_stop_without_checkpoints_says_that_nothing_is_kept(tmp_path):
    with pytest.raises(Interrupted, match="nothing is kept"):
        trainer(phases=[(8, 3)]).run(tmp_path, interrupted=lambda: 2)
    assert not os.listdir(tmp_path)
