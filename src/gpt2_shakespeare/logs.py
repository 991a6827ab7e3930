"""What the stages that compute have written of their last run here: commit, machine, versions and wall time."""

from typing import Any

from gpt2_shakespeare import disk
from gpt2_shakespeare.params import Params
from gpt2_shakespeare.paths import BASE_SEED, Paths


def read(settings: Params) -> dict[str, dict[str, Any]]:
    """Facts by log, in alphabetical order; those of rows, seeds and scales that the settings don't have are left out."""
    at = Paths(settings.scale)
    files = ((name, at.log(name)) for name in sorted(stages(settings)))
    return {name: disk.read_json(file) for name, file in files if file.exists()}


def stages(settings: Params) -> dict[str, str]:
    """Name of a log -> name in dvc.lock of the stage that writes it."""
    found = {"base": "base"}
    groups = {("base", BASE_SEED): "base"}
    for trained in settings.trained_rows:
        group = "finetune" if trained.needs_base else "scratch"
        groups |= {(trained.name, seed): group for seed in settings.seeds}
    for (row, seed), group in groups.items():
        if group != "base":
            found[f"{row}-{seed}"] = f"{group}@{row}-{seed}"
        for step in ("evaluate", "texts"):
            found[f"{step}-{row}-{seed}"] = f"{step}_{group}@{row}-{seed}"
        found.setdefault(f"decode-{row}", f"decode_{group}@{row}-{seed}")  # of the first seed alone
    curves = settings.learning_curves
    keys = [("evaluate_adapting", f"{row.of}-{row.way}") for row in settings.adapting]
    keys += [("learning_curve", f"{row}-{share}") for row in curves.rows for share in curves.shares]
    return found | {f"{step}-{key}": f"{step}@{key}" for step, key in keys}
