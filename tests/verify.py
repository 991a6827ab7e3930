"""Regenerate the committed figures in a scratch clone, from nothing, and say row by row what came out.

    make verify                            # of the scale that params.yaml names
    python tests/verify.py --scale laptop

Verdicts: same bits, within tolerance, or different. Only what is committed counts; nothing of this folder is
touched, and neither are its caches, so everything is trained again.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from compare_metrics import print_comparison

ROOT = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", help="another than params.yaml names")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, clone], check=True)
        scale = args.scale or yaml.safe_load((clone / "params.yaml").read_text())["scale"]
        metrics = clone / "metrics" / scale
        if not (metrics / "results.json").exists():
            sys.exit(f"metrics/{scale}/results.json: not committed; there is nothing to verify")
        committed = metrics.rename(Path(folder) / "committed")
        environment = {**os.environ, "PYTHONPATH": str(clone / "src")}
        command = ["dvc", "exp", "run", "--set-param", f"scale={scale}"] if args.scale else ["dvc", "repro"]
        subprocess.run(command, cwd=clone, env=environment, check=True)
        sys.exit(print_comparison(committed, metrics))


if __name__ == "__main__":
    main()
