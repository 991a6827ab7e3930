"""What DVC and the stages' start-up cost at the built-in scale, in a clone of the last commit.

    python benchmarks/pipeline.py      # three minutes on two cores

The rows base, scratch, finetune and finetune_long with one seed, with their evaluation, from nothing; then, all stages
done, `dvc repro` with nothing to do, beside `dvc repro` in a project of as many stages that do nothing, and in one of
one stage. Writes benchmarks/pipeline.csv.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from ruamel.yaml import YAML

from gpt2_shakespeare import params as settings
from gpt2_shakespeare import runtime

ROOT = Path(__file__).parents[1]
OUT = Path(__file__).with_suffix(".csv")
ROWS = {"scratch": "scratch", "finetune": "finetune", "finetune_long": "finetune"}  # row -> its stage
ROUNDS = 5


def main() -> None:
    with tempfile.TemporaryDirectory() as temp:
        ours, many, one = (Path(temp, name) for name in ("clone", "many", "one"))
        run(ROOT, "git", "clone", "--quiet", str(ROOT), str(ours))
        params = ours / "params.yaml"
        seed = settings.load(params).seeds[0]
        yaml = YAML()
        changed = yaml.load(params.read_text()) | {"seeds": [seed]}
        with open(params, "w") as stream:
            yaml.dump(changed, stream)
        stages = [f"evaluate_{stage}@{row}-{seed}" for row, stage in ROWS.items()]
        result = {
            "four rows, evaluated, one seed": seconds(ours, "dvc", "repro", "evaluate_base@base-0", *stages)
        }

        run(ours, "dvc", "repro")
        count = len(run(ours, "dvc", "stage", "list", "--name-only").splitlines())
        idle(many, count)
        idle(one, 1)
        works = {
            "dvc repro, nothing to do": ours,
            f"the same in a project of {count} stages that do nothing": many,
            "the same in a project of one stage": one,
        }
        times = [[seconds(folder, "dvc", "repro") for folder in works.values()] for _ in range(ROUNDS)]
        result |= dict(zip(works, map(min, zip(*times, strict=True)), strict=True))

    machine = runtime.start(settings.load(ROOT / "params.yaml").at_scale.runtime).facts()
    table = pd.DataFrame({"work": list(result), "seconds": [round(s, 2) for s in result.values()]})
    table["machine"] = f"{machine['cpu']}, {machine['cores']} cores, {machine['cpu_capability']}"
    print(table.to_string(index=False))
    table.to_csv(OUT, index=False, lineterminator="\n")


def idle(folder: Path, stages: int) -> None:
    """A project whose stages depend on one another and on one param, all done."""
    folder.mkdir()
    (folder / "params.yaml").write_text("param: 1\n")
    lines = ["stages:"]
    for n in range(stages):
        lines += [f"  stage{n}:", f"    cmd: touch out{n}", "    params: [param]", f"    outs: [out{n}]"]
        lines += [f"    deps: [out{n - 1}]"] if n else []
    (folder / "dvc.yaml").write_text("\n".join(lines) + "\n")
    for command in (("git", "init", "--quiet"), ("dvc", "init", "--quiet"), ("dvc", "repro")):
        run(folder, *command)


def seconds(folder: Path, *command: str) -> float:
    """How long `run` takes."""
    started = time.perf_counter()
    run(folder, *command)
    return time.perf_counter() - started


def run(folder: Path, *command: str) -> str:
    """What the command prints; the environment's own programs."""
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, env=os.environ | path, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
