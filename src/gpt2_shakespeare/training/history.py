"""What a run writes beside its weights: a row for each evaluation, and how it ended."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from gpt2_shakespeare import disk
from gpt2_shakespeare.training.state import Progress


def write_history(file: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write the rows as CSV, with a column for every name that a row has."""
    names = dict.fromkeys(name for row in rows for name in row)
    with disk.aside(file) as temp, open(temp, "w", newline="") as out:
        writer = csv.DictWriter(out, fieldnames=list(names), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_summary(file: Path, progress: Progress, *, max_steps: int, parameters: int, fp16: bool) -> None:
    """Write where the run ended as JSON, with its planned steps and the size of its model.

    Args:
        fp16: whether steps may have been skipped; their number then stands there too.
    """
    passing = {"history", "phase", "phase_step"} | (set() if fp16 else {"skipped_steps"})
    summary = {key: value for key, value in asdict(progress).items() if key not in passing}
    summary |= {key: progress.history[-1][key] for key in ("passes", "running_train_loss")}
    summary |= {"max_steps": max_steps, "parameters": parameters}
    disk.write_json(file, summary, indent=2, sort_keys=True)
