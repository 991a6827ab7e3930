"""Compare two folders of metrics, every file and every number: same bits, within tolerance, or different.

    python tests/compare_metrics.py <committed> <regenerated>

Each folder is first compared with its own dvc.lock, then the two with each other. Exit code 0 without differences, 1
with, 2 for wrong arguments. What may differ, and by how much: docs/reproducibility.md.
"""

import argparse
import sys
from pathlib import Path

from comparison.finding import Verdict
from comparison.folders import Comparison, compare

SHOWN = 10  # differences of a file that are printed


def print_comparison(committed: Path, regenerated: Path) -> bool:
    """Print a line for each file, and what differs; whether anything is different."""
    found = compare(committed, regenerated)
    width = max((len(each.name) for each in found), default=0)
    for each in found:
        print(f"{each.name:{width}}  {each.verdict}{_worst(each)}")
        differences = [finding for finding in each.findings if finding.verdict == Verdict.DIFFERENT]
        for finding in differences[:SHOWN]:
            print(f"    {finding}")
        if len(differences) > SHOWN:
            print(f"    and {len(differences) - SHOWN} more")
    worst = max((each.verdict for each in found), default=Verdict.DIFFERENT)
    if not found:
        print("nothing to compare")
    elif worst == Verdict.OTHER_RUN:
        print("all of it: same bits; times and machines are those of another run")
    else:
        print(f"all of it: {worst}")
    return worst == Verdict.DIFFERENT


def _worst(comparison: Comparison) -> str:
    """What explains a verdict within tolerance: the figure that is nearest to its limit."""
    if comparison.verdict != Verdict.WITHIN_TOLERANCE:
        return ""
    finding = max(comparison.findings, key=lambda finding: finding.share)
    if not finding.share:
        return f": {finding.what}"
    return f": at most {finding.share:.0%} of what is allowed, {finding}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("committed", type=Path)
    parser.add_argument("regenerated", type=Path)
    args = parser.parse_args()
    for folder in (args.committed, args.regenerated):
        if not folder.is_dir():
            parser.error(f"{folder}: no such folder")
    sys.exit(print_comparison(args.committed, args.regenerated))


if __name__ == "__main__":
    main()
