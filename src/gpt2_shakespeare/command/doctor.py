"""`gpt2-shakespeare doctor`: what will run here, and how fast."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import typer

from gpt2_shakespeare.command import project
from gpt2_shakespeare.errors import UserError
from gpt2_shakespeare.params import Params

GOOD, NOTE, BAD = "ok  ", "note", "BAD "
ROOM = {"demo": 2}  # GB that a scale needs
ROOM_OF_OTHERS = 20  # their models have 0.5 GB each, and lie in DVC's cache too
STEPS = 3  # of training, timed

Finding = tuple[str, str, str]  # one of the above, what was looked at, what is there


def doctor(
    speed: bool = typer.Option(True, help="Time a few steps of training of the scale's model."),
) -> None:
    """What is here, what is missing, and what will run how fast. Ends with code 1 if something is missing.

    \b
    gpt2-shakespeare doctor
    gpt2-shakespeare doctor --no-speed
    """
    bad = 0
    for mark, name, said in findings(speed):
        typer.echo(f"{mark}  {name:11}{said}")
        bad += mark == BAD
    if bad:
        typer.echo(f"{bad} of these must be mended first: docs/troubleshooting.md")
        raise typer.Exit(1)


def findings(speed: bool) -> Iterator[Finding]:
    """What is found, one by one: importing torch takes a while."""
    version = platform.python_version()
    yield (
        (GOOD, "Python", version)
        if sys.version_info >= (3, 11)
        else (BAD, "Python", f"{version}; 3.11 or newer is needed")
    )
    found = None
    try:
        found = project.settings()
        yield (GOOD, "project", f"{Path.cwd()}, scale {found.scale}") if found else (
            NOTE, "project", "none here: the pipeline and its rows need a clone of it, and models in folders don't",
        )  # fmt: skip
    except UserError as error:
        yield BAD, "project", str(error).splitlines()[0]
    yield from _tools(found is not None)
    yield from _machine(found, speed)
    yield from _places(found)


def _tools(needed: bool) -> Iterator[Finding]:
    missing = BAD if needed else NOTE
    git = _said("git", "--version")
    if not git:
        yield missing, "git", "not there; DVC needs it"
    elif needed and not _said("git", "rev-parse", "--is-inside-work-tree"):
        yield (
            BAD,
            "git",
            "this folder is no git checkout; use git clone, or: git init && git add . && git commit -m start",
        )
    else:
        yield GOOD, "git", git.removeprefix("git version ")
    try:
        yield GOOD, "DVC", importlib.metadata.version("dvc")
    except importlib.metadata.PackageNotFoundError:
        yield missing, "DVC", 'not there; `make repro` installs it, and so does: pip install "dvc==3.67.1"'


def _said(*command: str) -> str:
    """What a program prints; empty if it isn't there or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _machine(found: Params | None, speed: bool) -> Iterator[Finding]:
    try:
        import torch

        from gpt2_shakespeare import runtime
    except ImportError as error:
        yield BAD, "torch", f"can't be imported: {error}; `make repro` installs it"
        return
    yield GOOD, "torch", str(torch.__version__)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    bf16 = runtime.cpu_has_bf16()
    features = f"{torch.backends.cpu.get_cpu_capability()}, {'with' if bf16 else 'no'} bf16"
    yield GOOD, "CPU", f"{cores} cores, {features}"
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    yield (
        (GOOD if gpu != "none" else NOTE),
        "GPU",
        gpu if gpu != "none" else "none: the scale paper is too slow without one",
    )
    if not found:
        return
    wanted = found.at_scale.runtime
    threads = f"{wanted.threads} (runtime.threads), {wanted.processes} at a time"
    yield (GOOD if wanted.threads <= cores else NOTE), "threads", threads
    try:
        machine = runtime.start(wanted)
    except UserError as error:
        yield BAD, "runtime", str(error)
        return
    for note in machine.notes:
        yield NOTE, "runtime", note
    if speed:
        try:
            yield GOOD, "speed", _speed(found, machine)
        except torch.OutOfMemoryError:
            yield (
                BAD,
                "speed",
                f"the scale's model doesn't fit into the free memory of the {machine.device.type}",
            )


def _speed(found: Params, machine: object) -> str:
    """Tokens a second of training, and what that makes of the scale's text."""
    import torch

    from gpt2_shakespeare import runtime
    from gpt2_shakespeare.model import GPT, GPTConfig

    assert isinstance(machine, runtime.Runtime)
    scale = found.at_scale
    size = scale.model.model_dump()
    if scale.tokenizer.vocab_size:  # a base's own tokenizer has a size of its own, near GPT-2's
        size["vocab_size"] = scale.tokenizer.vocab_size
    model = GPT(GPTConfig(**size)).to(machine.device)
    shape = max(1, 1024 // scale.model.block_size), scale.model.block_size
    idx = torch.zeros(shape, dtype=torch.long, device=machine.device)
    times = []
    for _ in range(STEPS + 1):
        started = time.perf_counter()
        with machine.autocast():
            loss = model(idx, idx)[1]
        assert loss is not None
        loss.backward()
        model.zero_grad()
        float(loss.detach())
        times.append(time.perf_counter() - started)
    rate = idx.numel() / min(times[1:])
    million = 1e6 / rate / 60
    return (
        f"{rate:,.0f} tokens a second in training {model.n_params() / 1e6:.3g} M parameters on {machine.device.type}: "
        f"{million:.1f} minutes for a million tokens"
    )


def _places(found: Params | None) -> Iterator[Finding]:
    free = shutil.disk_usage(".").free / 1e9
    room = ROOM.get(found.scale if found else "demo", ROOM_OF_OTHERS)
    yield (
        (GOOD if free > room else BAD),
        "disk",
        f"{free:,.0f} GB free here" + ("" if free > room else f"; {room} are needed"),
    )
    if not os.access(".", os.W_OK):
        yield (BAD if found else NOTE), "folder", f"{Path.cwd()}: can't be written"
    from gpt2_shakespeare.corpora.fetch import MIRROR_VARIABLE

    if not (named := os.environ.get(MIRROR_VARIABLE, "").strip()):
        yield GOOD, "mirror", f"none ({MIRROR_VARIABLE}): downloads come from their public addresses"
    for mirror in filter(None, map(str.strip, named.split(";"))):
        there = "://" in mirror or Path(mirror).is_dir()
        yield (
            (GOOD if there else BAD),
            "mirror",
            mirror + ("" if there else f": no such folder; mend {MIRROR_VARIABLE}"),
        )
