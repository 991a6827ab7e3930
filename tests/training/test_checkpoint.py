"""Checkpoints against truncation, flipped bits, full disks and other settings."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

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
