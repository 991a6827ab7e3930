"""How far the built-in scale's losses move with what a machine chooses: threads, instruction set, precision.

    python benchmarks/tolerance.py --seeds 1337 1 2

Runs base, scratch, scratch_tuned and finetune under each condition, from one prepared text, and writes
benchmarks/tolerance.csv: a line per condition, seed and row with its exact val loss and the gap to the first
condition, which is the committed one. docs/reproducibility.md takes its tolerance from here.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from ruamel.yaml import YAML

from gpt2_shakespeare import runtime
from gpt2_shakespeare.paths import Paths

ROOT = Path(__file__).parent.parent
OUT = Path(__file__).with_suffix(".csv")
ROWS = ("scratch", "scratch_tuned", "finetune")
# name -> (changes of the scale's runtime, variables that limit the instructions torch and MKL use)
CONDITIONS: dict[str, tuple[dict, dict[str, str]]] = {
    "committed": ({}, {}),
    "2 threads": ({"threads": 2}, {}),
    "SSE instead of AVX": ({}, {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}),
    "AVX2 instead of AVX-512": (
        {},
        {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    ),
    "bf16": ({"precision": "bf16"}, {}),
}


def available() -> list[str]:
    """The conditions that differ from the committed one on this machine, and that it has hardware for."""
    avx512 = "AVX512" in torch.backends.cpu.get_cpu_capability()
    without = set() if avx512 else {"AVX2 instead of AVX-512"}
    if not runtime.cpu_has_bf16():
        without.add("bf16")
    return [name for name in CONDITIONS if name not in without]


def stage(project: Path, *command: str, **variables: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(project / "src"), **variables}
    subprocess.run(
        [sys.executable, *command], cwd=project, env=environment, check=True, stderr=subprocess.DEVNULL
    )


def losses(project: Path, name: str, seeds: list[int]) -> dict[tuple[str, int], float]:
    """Exact val loss of every row and seed under one condition."""
    changes, variables = CONDITIONS[name]
    file = project / "params.yaml"
    params = YAML(typ="safe").load(file.read_text())
    params |= {"scale": "demo", "seeds": seeds}
    params["scales"]["demo"]["runtime"] |= changes
    with open(file, "w", encoding="utf-8") as stream:
        YAML().dump(params, stream)
    stage(project, "stages/base.py", **variables)
    stage(project, "stages/evaluate.py", "--row", "base", "--seed", "0", **variables)
    found, at = {}, Paths("demo")
    for seed in seeds:
        for row in ROWS:
            for script in ("train", "evaluate"):
                stage(project, f"stages/{script}.py", "--row", row, "--seed", str(seed), **variables)
            found[row, seed] = json.loads((project / at.evaluation(row, seed)).read_text())["val_loss"]
    return {
        ("base", seeds[0]): json.loads((project / at.evaluation("base", 0)).read_text())["val_loss"]
    } | found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1337, 1, 2])
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=available())
    args = parser.parse_args()
    lines: list[dict] = []
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        subprocess.run(["git", "clone", "--quiet", ROOT, project], check=True)
        for name in ("download", "prepare"):
            stage(project, f"stages/{name}.py")
        first: dict[tuple[str, int], float] = {}
        for name in args.conditions:
            copy = Path(folder) / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(project, copy)
            found = losses(copy, name, args.seeds)
            first = first or found
            for (row, seed), value in found.items():
                gap = round(value - first[row, seed], 6)
                lines.append(
                    {"condition": name, "row": row, "seed": seed, "val_loss": round(value, 6), "gap": gap}
                )
                print(f"{name:24} {row:14} {seed:5} {value:.4f} {gap:+.6f}", flush=True)
    with open(OUT, "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    print(f"largest gap: {max(abs(line['gap']) for line in lines):.6f} nats per token; {OUT.name} is written")


if __name__ == "__main__":
    main()
