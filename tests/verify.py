"""Regenerate the committed figures in a scratch clone, from nothing, and say file by file what came out.

    make verify                            # of the scale that params.yaml names
    python tests/verify.py --scale laptop

Verdicts: same bits, within tolerance, or different (compare_metrics.py). Only what is committed counts. Nothing of this
folder is touched, and neither are its caches, so everything is trained again.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from compare_metrics import print_comparison
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", help="another one than params.yaml names")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, clone], check=True)
        scale = args.scale or YAML(typ="safe").load((clone / "params.yaml").read_text())["scale"]
        metrics = clone / "metrics" / scale
        if not metrics.is_dir():
            sys.exit(f"verify: metrics/{scale} is not committed; there is nothing to compare with")
        committed = metrics.rename(Path(folder) / "committed")
        chosen = ["--set-param", f"scale={scale}"] if args.scale else []
        for command in (["dvc", "exp", "run", *chosen], [sys.executable, "stages/record.py"]):
            done = subprocess.run(command, cwd=clone)
            if done.returncode:
                sys.exit(
                    f"verify: {' '.join(command)} ended with code {done.returncode}; nothing was compared"
                )
        sys.exit(print_comparison(committed, metrics))


if __name__ == "__main__":
    main()
