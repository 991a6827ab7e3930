"""Two folders of metrics row by row: same bits, within tolerance, or different. Used by CI.

python tests/compare_metrics.py <committed> <regenerated>
"""

import json
import sys
from pathlib import Path

# Nats per token; a thousand times what was measured between instruction sets: docs/reproducibility.md.
TOLERANCE = 0.002
LOSSES = ("train_loss", "dev_loss", "val_loss", "val_loss_last", "val_loss_reference")


def compare(committed: Path, regenerated: Path) -> list[tuple[str, str]]:
    """(row, verdict) for every row of either folder."""
    old, new = (json.loads((folder / "results.json").read_text()) for folder in (committed, regenerated))
    verdicts = []
    for row in sorted(old.keys() | new.keys()):
        if row not in old or row not in new:
            verdicts.append((row, "different: it is in one of them only"))
        elif old[row] == new[row]:
            verdicts.append((row, "same bits"))
        else:
            gap = max(abs(old[row].get(name, 0.0) - new[row].get(name, 0.0)) for name in LOSSES)
            verdict = "within tolerance" if gap <= TOLERANCE else "different"
            verdicts.append((row, f"{verdict}: losses differ by up to {gap:.4f} nats per token"))
    return verdicts


def print_comparison(committed: Path, regenerated: Path) -> bool:
    """Print a line a row; whether any is different."""
    verdicts = compare(committed, regenerated)
    for row, verdict in verdicts:
        print(f"{row:16} {verdict}")
    return any(verdict.startswith("different") for _, verdict in verdicts) or not verdicts


if __name__ == "__main__":
    sys.exit(print_comparison(Path(sys.argv[1]), Path(sys.argv[2])))
