"""Train a row under random SIGKILLs and compare it, byte for byte, with one that was never stopped.

python tests/kills.py --kills 50
"""

import argparse
import hashlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import micro

ROW = ["stages/train.py", "--row", "scratch", "--seed", "1337"]
MODEL, CHECKPOINTS = Path("models/demo/scratch/1337"), Path(".checkpoints/demo/scratch-1337")
HISTORY = Path("data/demo/histories/scratch-1337.csv")


def prepare(to: Path, epochs: int = 1) -> Path:
    """A micro project ready to train: two context lengths, dropout, early stopping, a checkpoint at every step.

    Some 130 steps for each of the epochs.
    """
    project = micro.copy(to)

    def more(params: dict) -> None:
        demo = params["scales"]["demo"]
        demo["checkpoint_interval"] = 1
        demo["rows"]["scratch"] |= {"context": {16: epochs, 32: 2 * epochs}, "eval_interval": 3}

    micro.edit(project, more)
    for name in ("download", "prepare"):
        done = micro.stage(project, name)
        assert done.returncode == 0, done.stdout
    return project


def digest(project: Path) -> str:
    """Of all files of the trained model, and its history."""
    result = hashlib.sha256()
    for file in [*sorted((project / MODEL).rglob("*.*")), project / HISTORY]:
        result.update(str(file.relative_to(project)).encode() + file.read_bytes())
    return result.hexdigest()


def undisturbed(project: Path) -> str:
    shutil.rmtree(project / CHECKPOINTS, ignore_errors=True)
    done = micro.run(project, sys.executable, *ROW)
    assert done.returncode == 0, done.stdout
    return digest(project)


def start(project: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *ROW], cwd=project, env=micro.environment(project),
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def killed(project: Path, kills: int, seed: int) -> tuple[str, list[int]]:
    """The digest after `kills` SIGKILLs at random moments, and the steps that were on disk at each."""
    chance, steps = random.Random(seed), []
    for _ in range(kills):
        begun = newest(project)
        with start(project) as trainer:
            while newest(project) == begun and trainer.poll() is None:
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.05))  # a step, an evaluation or a save, whatever runs now
            trainer.send_signal(signal.SIGKILL)
            output = trainer.communicate()[0]
        if trainer.returncode != -signal.SIGKILL:
            raise SystemExit(f"the run ended after {len(steps)} kills, with {trainer.returncode}:\n{output}")
        steps.append(newest(project))
    done = micro.run(project, sys.executable, *ROW)
    assert done.returncode == 0, done.stdout
    return digest(project), steps


def newest(project: Path) -> int:
    """The last step that is on disk."""
    return max((int(path.name[5:]) for path in (project / CHECKPOINTS).glob("step-*")), default=0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = prepare(Path(folder), epochs=1 + args.kills // 8)
        wanted = undisturbed(project)
        found, steps = killed(project, args.kills, args.seed)
    print(f"never stopped            {wanted}\nafter {args.kills} kills           {found}")
    print(f"on disk at the kills: steps {', '.join(map(str, steps))}")
    sys.exit(found != wanted)


if __name__ == "__main__":
    main()
