"""What DVC and the stages' start-up cost at the built-in scale, in a clone of the last commit.

    python benchmarks/pipeline.py      # three minutes on two cores

The rows base, scratch, finetune and finetune_long with one seed, with their evaluation, from nothing; then, all stages
done, `dvc repro` with nothing to do, beside `dvc repro` in a project of one stage. Writes benchmarks/pipeline.csv.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from gpt2_shakespeare import config, runtime

ROOT = Path(__file__).parents[1]
OUT = Path(__file__).with_suffix(".csv")
ROWS = ("scratch", "finetune", "finetune_long")
ROUNDS = 5


def main() -> None:
    with tempfile.TemporaryDirectory() as temp:
        ours, empty = Path(temp, "clone"), Path(temp, "empty")
        run(ROOT, "git", "clone", "--quiet", str(ROOT), str(ours))
        params = ours / "params.yaml"
        seed = config.load(params).seeds[0]
        lines = params.read_text().splitlines(keepends=True)
        params.write_text("".join(f"seeds: [{seed}]\n" if x.startswith("seeds:") else x for x in lines))
        stages = [f"{row}@{seed}" for row in ROWS] + [f"evaluate@{row}-{seed}" for row in ROWS]
        result = {"four rows, evaluated, one seed": run(ours, "dvc", "repro", "evaluate_base", *stages)}

        run(ours, "dvc", "repro")
        empty.mkdir()
        (empty / "dvc.yaml").write_text("stages:\n  only:\n    cmd: touch out\n    outs: [out]\n")
        for command in (("git", "init", "--quiet"), ("dvc", "init", "--quiet"), ("dvc", "repro")):
            run(empty, *command)
        idle = [(run(ours, "dvc", "repro"), run(empty, "dvc", "repro")) for _ in range(ROUNDS)]
        for name, times in zip(
            ("dvc repro, nothing to do", "the same in a project of one stage"),
            zip(*idle, strict=True),
            strict=True,
        ):
            result[name] = min(times)

    machine = runtime.start(config.load(ROOT / "params.yaml").at_scale.runtime).facts()
    table = pd.DataFrame({"work": list(result), "seconds": [round(s, 2) for s in result.values()]})
    table["machine"] = f"{machine['cpu']}, {machine['cores']} cores, {machine['cpu_capability']}"
    print(table.to_string(index=False))
    table.to_csv(OUT, index=False, lineterminator="\n")


def run(folder: Path, *command: str) -> float:
    """Seconds; the environment's own programs, and the code in the folder."""
    path = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder / "src"),
    }
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=os.environ | path, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
