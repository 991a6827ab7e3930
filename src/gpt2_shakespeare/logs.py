"""What the stages that compute have written of their last run here: commit, machine, versions and wall time."""

from typing import Any

from gpt2_shakespeare import disk
from gpt2_shakespeare.params import Params
from gpt2_shakespeare.paths import BASE_SEED, Paths


def read(settings: Params) -> dict[str, dict[str, Any]]:
    """Facts by stage, in alphabetical order; those of rows, seeds and scales that the settings don't have are left out."""
    at = Paths(settings.scale)
    files = ((name, at.log(name)) for name in sorted(names(settings)))
    return {name: disk.read_json(file) for name, file in files if file.exists()}


def names(settings: Params) -> set[str]:
    """Those of the stages that compute, each of one model, row or share."""
    trained = [(row.name, seed) for row in settings.trained_rows for seed in settings.seeds]
    models = [("base", BASE_SEED), *trained]
    curves = settings.learning_curves
    return {
        "base",
        *(f"{row}-{seed}" for row, seed in trained),
        *(f"{step}-{row}-{seed}" for step in ("evaluate", "texts") for row, seed in models),
        *(f"decode-{row}" for row, _ in models),
        *(f"evaluate_adapting-{row.of}-{row.way}" for row in settings.adapting),
        *(f"learning_curve-{row}-{share}" for row in curves.rows for share in curves.shares),
    }
