"""What a reader must know of a row beside its figures, in a few words."""

import pandas as pd

from gpt2_shakespeare.params import Params, Row
from gpt2_shakespeare.report.registry import (
    ADAPTS,
    BASELINE_NOTES,
    CORPORA,
    GPT2_REPOS,
    MADE_UP,
    NANOGPT_ZERO_SHOT,
    PROJECT_CORPUS,
)
from gpt2_shakespeare.report.titles import base_name

OVERFIT = 0.01  # nats per token that dev must rise after its best step to be called so


def notes(row: Row, evaluations: pd.DataFrame, params: Params, corpus: str) -> list[str]:
    """Notes on one row, from its own figures: a line of `evaluations` for each seed."""
    if row.kind == "baseline":
        found = [BASELINE_NOTES.get(row.name, "").format(cache=_cache(evaluations))]
    elif row.kind == "ensemble":
        cache = f", {_cache(evaluations)}" if row.cached else ""
        found = [f"{len(params.seeds)} seeds of {row.of}, probabilities averaged{cache}"]
    elif row.kind == "adapting":
        found = [*_adapting(row, evaluations, params), ADAPTS]
    elif row.kind == "base":
        found = ["zero-shot", base_name(params)]
        base = params.at_scale.base
        if base.source == "hub" and base.repo in GPT2_REPOS and corpus == PROJECT_CORPUS:
            found.append(NANOGPT_ZERO_SHOT)
    else:
        found = _of_training(evaluations)
    return [note for note in (*found, CORPORA[corpus] if corpus == MADE_UP else "") if note]


def _cache(evaluations: pd.DataFrame) -> str:
    facts = evaluations.iloc[0]
    return (
        f"with a unigram of the last {facts.get('cache_size', 0):g} tokens at {facts.get('cache_weight', 0):g}, "
        "chosen on dev"
    )


def _adapting(row: Row, evaluations: pd.DataFrame, params: Params) -> list[str]:
    facts, words = evaluations.iloc[0], row.way.split("_")
    whole = "ensemble" in words and len(params.seeds) > 1
    found = [f"{len(params.seeds)} seeds of {row.of}" if whole else f"seed {min(params.seeds)} of {row.of}"]
    if words[-1] != "mixed":
        found.append(
            f"dynamic evaluation at rate {facts.get('dynamic_rate', 0):g}, decay {facts.get('dynamic_decay', 0):g}, "
            "chosen on dev"
        )
    return found + ["mixed with counting at the level of bytes"] * (words[-1] != "dynamic")


def _of_training(evaluations: pd.DataFrame) -> list[str]:
    found = []
    steps, best, planned = (_span(evaluations[key]) for key in ("steps", "best_step", "max_steps"))
    if (evaluations["steps"] < evaluations["max_steps"]).any():
        found.append(f"stopped early at step {steps} of {planned}")
    if (evaluations["best_step"] < evaluations["steps"]).any():
        rise = (evaluations["dev_loss_last"] - evaluations["dev_loss"]).mean()
        found.append(f"best at step {best} of {steps}" + (": overfits after it" if rise > OVERFIT else ""))
    return found


def _span(values: pd.Series) -> str:
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low}–{high}"
