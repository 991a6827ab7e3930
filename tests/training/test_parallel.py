"""Two processes on two cores, joined by gloo: the same training as one, and all end when one does."""

import json
import os
import shutil
import signal
import subprocess
import time

import kills
import micro
import pytest
import torch
from runs import trainer
from safetensors.torch import load_file
from tiny import gpt

from gpt2_shakespeare.params import schema
from gpt2_shakespeare.training import parallel

pytestmark = pytest.mark.slow
# nats per token and weights: the mean over ranks is added up in another order
LOSS_TOLERANCE, WEIGHT_TOLERANCE = 1e-4, 1e-3


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Steps of two micro-batches, for one or two processes."""
    project = kills.prepare(tmp_path_factory.mktemp("ranks"))
    micro.edit(
        project, lambda p: p["scales"]["demo"]["rows"]["scratch"].update(grad_accum_steps=2, batch_size=2)
    )
    return project


def processes(project, n):
    micro.edit(project, lambda p: p["scales"]["demo"]["runtime"].update(processes=n))


def trained(project, n):
    """Folder with copies of the model that n processes train and of its history."""
    processes(project, n)
    done = micro.run(project, "python", *kills.ROW)
    assert done.returncode == 0, done.stdout
    copy = project / f"trained-{n}-{time.monotonic_ns()}"
    shutil.copytree(project / kills.MODEL, copy)
    shutil.copy(project / kills.HISTORY, copy / "history.csv")
    return copy


@pytest.fixture(scope="module")
def alone(project):
    return trained(project, 1)


def assert_close(one, other):
    ours, theirs = (json.loads((folder / "training.json").read_text()) for folder in (one, other))
    for key in ("best_step", "step", "tokens", "max_steps"):
        assert ours[key] == theirs[key]
    for key in ("best_dev_loss", "running_train_loss"):
        assert ours[key] == pytest.approx(theirs[key], abs=LOSS_TOLERANCE)
    weights = [load_file(folder / "model.safetensors") for folder in (one, other)]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], rtol=0, atol=WEIGHT_TOLERANCE)


def test_two_processes_train_as_one_does_and_as_two_did(project, alone):
    two, again = trained(project, 2), trained(project, 2)
    assert_close(alone, two)
    for name in ("model.safetensors", "history.csv", "training.json"):
        assert (two / name).read_bytes() == (again / name).read_bytes()
    facts = json.loads((project / "logs/demo/scratch-1337.json").read_text())
    assert facts["world_size"] == 2


def test_two_processes_share_what_the_tuned_rows_add(project):
    added = {"muon_learning_rate": 0.01, "spelling": True, "sampled_types": 64, "attn_dropout": 0.1}
    before = {}

    def switch(params):
        before.update(params["scales"]["demo"]["rows"]["scratch"])
        params["scales"]["demo"]["rows"]["scratch"].update(added)

    micro.edit(project, switch)
    try:
        assert_close(trained(project, 1), trained(project, 2))
    finally:
        micro.edit(project, lambda p: p["scales"]["demo"]["rows"].update(scratch=before))


def ranks_of(launcher):
    """Process ids of the ranks, children of torchrun, child of the launcher."""

    def children(pid):
        found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout
        return [int(child) for child in found.split()]

    return [rank for torchrun in children(launcher.pid) for rank in children(torchrun)]


def interrupted(project, interrupt):
    """Start two processes, wait for a checkpoint, then do something to them; exit code, output and seconds."""
    processes(project, 2)
    with kills.start(project) as launcher:
        while not kills.newest(project) and launcher.poll() is None:
            time.sleep(0.01)
        ranks = ranks_of(launcher)
        assert len(ranks) == 2, launcher.communicate()[0]
        begun = time.monotonic()
        interrupt(launcher, ranks)
        output = launcher.communicate(timeout=60)[0]
        seconds = time.monotonic() - begun
    assert not [pid for pid in ranks if os.path.exists(f"/proc/{pid}")]
    return launcher.returncode, output, seconds


def test_a_signal_is_passed_on_and_one_process_goes_on(project, alone):
    code, output, _ = interrupted(project, lambda launcher, _: launcher.send_signal(signal.SIGINT))
    assert code == 130, output
    assert "its state is saved" in output
    assert kills.newest(project)
    assert_close(alone, trained(project, 1))


def test_when_one_dies_all_end_and_the_rest_is_not_lost(project):
    code, output, seconds = interrupted(project, lambda _, ranks: os.kill(ranks[1], signal.SIGKILL))
    assert code not in (0, None), output
    assert seconds < 45
    assert kills.newest(project)
    shutil.rmtree(project / kills.CHECKPOINTS)


# --- without processes ---------------------------------------------------------------------------


def test_micro_batches_that_cannot_be_shared_are_refused(monkeypatch):
    class Three(parallel.Processes):
        world_size = 3

    monkeypatch.setattr(parallel, "join", lambda device: Three())
    with pytest.raises(schema.ParamsError, match="grad_accum_steps: 4 .* by 3 processes"):
        trainer(gpt(), grad_accum_steps=4)


def test_one_process_launches_nothing(monkeypatch):
    assert parallel.launch(1, lambda: None) is None
    monkeypatch.setenv("RANK", "1")
    assert parallel.launch(2, lambda: None) is None
