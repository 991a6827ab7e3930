"""Trainers and DVC killed for real, at any moment: what is on disk then, and what a rerun makes of it."""

import signal
import subprocess
import time

import kills
import micro
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return kills.prepare(tmp_path_factory.mktemp("kills"))


@pytest.fixture(scope="module")
def wanted(project):
    """What a run that was never stopped makes."""
    return kills.undisturbed(project)


def started(project):
    """A trainer that has taken a step."""
    trainer, begun = kills.start(project), kills.newest(project)
    while kills.newest(project) == begun and trainer.poll() is None:
        time.sleep(0.005)
    return trainer


def test_killed_at_random_moments_it_ends_as_if_never_stopped(project, wanted):
    found, steps = kills.killed(project, kills=3, seed=1)
    assert found == wanted
    assert steps == sorted(steps) and steps[0] > 0
    assert not (project / kills.CHECKPOINTS).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_the_step_with_its_state_saved(project, wanted, number):
    with started(project) as trainer:
        trainer.send_signal(number)
        output = trainer.communicate()[0]
    assert trainer.returncode == 128 + number, output
    assert "its state is saved" in output and "Traceback" not in output
    assert kills.newest(project) > 0 and not (project / kills.MODEL / "model.safetensors").exists()
    done = micro.run(project, "python", *kills.ROW)
    assert done.returncode == 0 and "goes on after step" in done.stdout
    assert kills.digest(project) == wanted


def test_other_settings_are_refused_while_a_run_waits_to_go_on(project, wanted):
    saved = (project / "params.yaml").read_text()
    with started(project) as trainer:
        trainer.kill()
    micro.edit(project, lambda p: p["scales"]["demo"]["rows"]["scratch"].update(learning_rate=0.5))
    done = micro.run(project, "python", *kills.ROW)
    (project / "params.yaml").write_text(saved)
    assert done.returncode == 1 and "Traceback" not in done.stdout
    assert "learning_rate is 0.003 there and 0.5 here" in done.stdout and "delete" in done.stdout
    assert kills.undisturbed(project) == wanted


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_killing_dvc_ends_the_trainer_and_the_next_repro_goes_on(project, wanted, number):
    repro = subprocess.Popen(
        ["dvc", "repro", "scratch@scratch-1337"], cwd=project, env=micro.environment(project),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not kills.newest(project) and repro.poll() is None:
        time.sleep(0.01)
    assert trainers(project)
    repro.send_signal(number)
    repro.wait()
    deadline = time.monotonic() + 30
    while trainers(project) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not trainers(project)
    assert kills.newest(project)
    done = micro.run(project, "dvc", "repro", "scratch@scratch-1337")  # past the lock files that DVC has left
    assert done.returncode == 0, done.stdout
    assert "goes on after step" in done.stdout
    assert kills.digest(project) == wanted
    (project / "dvc.lock").unlink()
    subprocess.run(["rm", "-rf", project / ".dvc/cache", project / "models"], check=True)


def trainers(project):
    """Process ids of trainers that work in the project's folder."""
    found = subprocess.run(
        ["pgrep", "-f", " ".join(kills.ROW)], capture_output=True, text=True
    ).stdout.split()
    return [pid for pid in found if _cwd(pid) == project]


def _cwd(pid):
    from pathlib import Path

    try:
        return Path(f"/proc/{pid}/cwd").resolve(strict=True)
    except OSError:
        return None
