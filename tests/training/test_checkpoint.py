"""Checkpoints against truncation, flipped bits, full disks and other settings."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny import gpt, training

from gpt2_shakespeare import disk
from gpt2_shakespeare.training import checkpoint
from gpt2_shakespeare.training.checkpoint import CheckpointError, Checkpoints
from gpt2_shakespeare.training.optimizers import optimizers
from gpt2_shakespeare.training.state import State

OURS = {"learning_rate": 0.1, "seed": 7}
STATE = {"progress": {"step": 3}}


def tensors(value=1.0):
    return {"model.a": torch.full((2, 3), value), "best.a": torch.zeros(4)}


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "run", OURS, interval=1)


def steps(checkpoints):
    return sorted(path.name for path in checkpoints.folder.iterdir())


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
    (checkpoints.folder / ".step-000000002.77").mkdir()
    (checkpoints.folder / ".step-000000002.77" / checkpoint.TENSORS).write_bytes(b"half")
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
    sync, replace = disk._sync, os.replace
    monkeypatch.setattr(disk, "_sync", lambda path: (seen.append(path.name), sync(path)))
    monkeypatch.setattr(os, "replace", lambda a, b: (seen.append(f"rename {Path(b).name}"), replace(a, b)))
    checkpoints.save(5, tensors(), STATE)
    aside = ".step-000000005.new"
    assert seen[-3:] == [aside, "rename step-000000005", "run"]
    assert {*FILES} <= {*seen[:-3]}


def saved(checkpoints, tensors, state):
    """A checkpoint whose manifest is right, whatever it holds."""
    checkpoints.save(1, tensors, state)
    return checkpoints.load()


@pytest.fixture
def trained():
    """A state after a step of each kind of optimizer, and what it packs."""
    model = gpt()
    made = optimizers(model, training(muon_learning_rate=0.02))
    idx = torch.randint(61, (2, 16))
    model.loss(idx[:, :-1], idx[:, 1:]).backward()
    for optimizer in made:
        optimizer.step()
    best = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = State(model, made, torch.amp.GradScaler("cpu", enabled=False), best=best)
    state.progress.history.append({"step": 1, "dev_loss": 4.0})
    state.running.append(torch.tensor(4.0))
    return state


def test_a_state_comes_back_through_a_checkpoint(checkpoints, trained):
    wanted, values = trained.pack()
    trained.unpack(*saved(checkpoints, wanted, values))
    again, again_values = trained.pack()
    assert again_values == values and again.keys() == wanted.keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in wanted.items())
    assert math.isinf(trained.progress.best_dev_loss)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda t, v: t.pop("model.transformer.wpe.weight"), "model.transformer.wpe.weight is missing"),
        (lambda t, v: t.pop("best.transformer.wpe.weight"), "best.transformer.wpe.weight is missing"),
        (lambda t, v: t.pop("optimizer1.0.exp_avg"), "optimizer1.0.exp_avg is missing"),
        (lambda t, v: t.pop("optimizer0.3.momentum_buffer"), "optimizer0.3.momentum_buffer is missing"),
        (lambda t, v: t.update({"optimizer1.x.exp_avg": torch.ones(1)}), "optimizer1.x.exp_avg is not known"),
        (lambda t, v: t.update({"evil\n\x1b[2J": torch.ones(1)}), r"evil\n\x1b[2J is not known"),
        (lambda t, v: t.update({"model.transformer.wpe.weight": torch.ones(2)}), "wpe.weight is torch.float32 (2,)"),
        (lambda t, v: t.update({"running": torch.ones(2, 2)}), "running is not known"),
        (lambda t, v: v.pop("progress"), "progress is not a table"),
        (lambda t, v: v.update(progress=[]), "progress is not a table"),
        (lambda t, v: v["progress"].pop("step"), "progress is not a table"),
        (lambda t, v: v["progress"].update(step="3"), "progress.step is '3'"),
        (lambda t, v: v["progress"].update(phase=-1), "progress.phase is -1"),
        (lambda t, v: v["progress"].update(history=[1]), "progress.history is [1]"),
        (lambda t, v: v["progress"].update(more=1), "progress is not a table"),
        (lambda t, v: v.update(scaler={"scale": 1}), "scaler is not a table"),
    ],
)  # fmt: skip
def test_a_state_that_is_not_this_runs_is_refused_in_a_line(checkpoints, trained, change, word):
    """Its manifest is right: forged, or half of another run."""
    forged, values = trained.pack()
    change(forged, values)
    before = {name: tensor.clone() for name, tensor in trained.model.state_dict().items()}
    with pytest.raises(CheckpointError) as error:
        trained.unpack(*saved(checkpoints, forged, values))
    assert word in str(error.value) and "\n" not in str(error.value)
    assert all(torch.equal(before[name], tensor) for name, tensor in trained.model.state_dict().items())


@pytest.mark.parametrize(
    "state", [b"", b"[]", b"{}", b"null", b"[" * 100_000, b'{"fingerprint": 3}', b"\xff"]
)
def test_a_state_file_that_is_none_counts_as_damaged(checkpoints, caplog, state):
    checkpoints.save(1, tensors(1), STATE)
    checkpoints.save(2, tensors(2), STATE)
    folder = checkpoints.folder / "step-000000002"
    (folder / checkpoint.STATE).write_bytes(state)
    manifest = {name: checkpoint._sha256(folder / name) for name in (checkpoint.TENSORS, checkpoint.STATE)}
    (folder / checkpoint.MANIFEST).write_text(json.dumps(manifest))
    assert checkpoints.load()[0]["model.a"][0, 0] == 1
    assert "step-000000002" in caplog.text and "damaged" in caplog.text
