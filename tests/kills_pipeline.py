"""Send random signals to DVC while it runs a whole micro pipeline, and compare the end with an undisturbed run.

Half of the signals come at random moments, half just when DVC writes a file of its own. After each that ends DVC,
`stages/mend.py` and `dvc repro` follow at once, as `make repro` does. Each time that the pipeline ends, dvc.lock and
metrics/ are compared byte for byte, and it begins anew: with nothing, or without dvc.lock.

python tests/kills_pipeline.py --signals 100
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import micro

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
OWN = ("dvc.lock", ".dvc/tmp/rwlock", ".git/index.lock")  # what DVC writes, or has written
LOG = ".dvc/repro.log"
LEFT = ("data/demo", "models", "metrics", "logs", ".checkpoints", ".dvc/cache", ".dvc/tmp", "dvc.lock")


def prepare(to: Path) -> Path:
    """A micro project with one row of each kind and one seed."""

    def few_rows(params: dict) -> None:
        params["rows"] = {"scratch": ["scratch"], "finetune": ["finetune"]}
        params["ensembles"] = {}
        params["adapting"] = {"rows": ["scratch"], "ways": ["mixed"]}
        params["learning_curves"] = {"rows": ["scratch"], "shares": [0.5]}
        del params["defaults"]["rows"]
        for scale in params["scales"].values():
            scale["rows"] = {name: scale["rows"][name] for name in ("scratch", "finetune")}

    to.mkdir(exist_ok=True)
    project = micro.copy(to)
    micro.edit(project, few_rows)
    return project


def results(project: Path) -> dict[str, bytes]:
    """dvc.lock and all files of metrics/, by their names."""
    files = (path for path in sorted((project / "metrics").rglob("*")) if path.is_file())
    return {str(path.relative_to(project)): path.read_bytes() for path in (project / "dvc.lock", *files)}


def start(project: Path) -> subprocess.Popen[str]:
    """`dvc repro` as the head of a process group."""
    with open(project / LOG, "w") as log:
        return subprocess.Popen(
            ["dvc", "repro"], cwd=project, env=micro.environment(project), start_new_session=True,
            stdout=log, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip


def mend(project: Path) -> str:
    done = micro.stage(project, "mend")
    assert done.returncode == 0, done.stdout
    return done.stdout


def wait_for_a_write(project: Path, repro: subprocess.Popen[str]) -> None:
    """Until one of DVC's own files changes, or DVC ends."""

    def seen() -> list[tuple[int, int] | None]:
        found: list[tuple[int, int] | None] = []
        for name in OWN:
            try:
                stat = (project / name).stat()
                found.append((stat.st_mtime_ns, stat.st_size))
            except FileNotFoundError:
                found.append(None)
        return found

    begun = seen()
    while seen() == begun and repro.poll() is None:
        time.sleep(0.0005)


def disturbed(project: Path, signals: int, seed: int, longest: float, check: Callable[[], None]) -> Counter:
    """Send the signals, and call `check` each time that the pipeline ends, the last time undisturbed.

    Args:
        longest: seconds from the start of DVC, or from the last signal that it survived, to a signal.

    Returns:
        How often each thing happened.
    """
    chance, seen = random.Random(seed), Counter[str]()
    repro, survived = start(project), False
    for _ in range(signals):
        time.sleep(chance.uniform(0, longest))
        if chance.random() < 0.5:
            wait_for_a_write(project, repro)
            time.sleep(chance.choice((0, 0.002, 0.01, 0.05)))
        if repro.poll() is None:
            number, group = chance.choice(SIGNALS), chance.random() < 0.5
            (os.killpg if group else os.kill)(repro.pid, number)
            seen[f"{number.name} to {'the group' if group else 'dvc'}"] += 1
            if number is signal.SIGINT and not group:  # DVC leaves Ctrl-C to its stage
                try:
                    repro.wait(timeout=1)
                except subprocess.TimeoutExpired:
                    survived = True
                    continue
            repro.wait()
        elif repro.returncode and not survived:
            raise SystemExit(f"{dict(seen)}; then DVC failed by itself:\n{(project / LOG).read_text()}")
        if repro.returncode == 0:
            seen["the pipeline ended"] += 1
            check()
            for name in LEFT if chance.random() < 0.5 else ("dvc.lock",):
                path = project / name
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        output = mend(project)
        seen["mended"] += output.count("mend: ")
        repro, survived = start(project), False
    if repro.wait() and survived:
        mend(project)
        repro = start(project)
    assert repro.wait() == 0, (project / LOG).read_text()
    check()
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--signals", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = prepare(Path(folder))
        begun = time.monotonic()
        done = micro.run(project, "dvc", "repro")
        assert done.returncode == 0, done.stdout
        wanted = results(project)
        print(f"undisturbed: {len(wanted)} files in {time.monotonic() - begun:.0f} s", flush=True)
        different: set[str] = set()

        def check() -> None:
            found = results(project)
            different.update(
                name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)
            )

        for name in LEFT:
            path = project / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        seen = disturbed(project, args.signals, args.seed, 8, check)
    for what, times in sorted(seen.items()):
        print(f"{times:4} x {what}")
    print(f"different: {', '.join(sorted(different))}" if different else "all ended as the undisturbed run")
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
