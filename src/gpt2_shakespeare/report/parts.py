"""Tables beside the main one: val loss by kind of token, and by how much rows differ."""

import itertools

import pandas as pd

from gpt2_shakespeare.report import intervals
from gpt2_shakespeare.report.losses import Losses
from gpt2_shakespeare.report.markdown import shown
from gpt2_shakespeare.report.registry import KINDS
from gpt2_shakespeare.report.table import by_row

DIFFERENCE, SEEDS, TEXT = "Difference", "95 % over seeds", "95 % over text"
MARK = r" **\***"  # of a difference of which neither interval holds 0


def kinds(losses: Losses) -> pd.DataFrame | None:
    """Val loss by kind of token, as strings; None where no row has it."""
    counts: dict[str, int | float] = {}
    for result in losses.results:
        counts |= {name: value for name, value in result.figures.items() if name.startswith("val_tokens_")}
    if not counts:
        return None
    heads = {kind: f"{name} ({counts[f'val_tokens_{kind}']:,})" for kind, name in KINDS.items()}
    lines = [
        {head: shown(result.figures.get(f"val_loss_{kind}"), ".3f") for kind, head in heads.items()}
        for result in losses.results
    ]
    return by_row(lines, losses)


def differences(losses: Losses) -> pd.DataFrame:
    """Every two trained rows: the difference of their val losses, and its intervals over seeds and text, as strings."""
    trained = [result for result in losses.results if result.row.trained and not result.problem]
    pairs = list(itertools.combinations(trained, 2))
    lines = []
    for one, other in pairs:
        gaps = other.evaluations["val_loss"] - one.evaluations["val_loss"]  # seed by seed
        seeds, text = intervals.over_seeds(gaps), None
        if one.tokens is not None and other.tokens is not None and len(one.tokens) == len(other.tokens):
            text = intervals.over_text(other.tokens - one.tokens)
        spread = f" ± {gaps.std():.3f}" if len(gaps) > 1 else ""
        mark = MARK if _beyond_zero(seeds) and _beyond_zero(text) else ""
        lines.append(
            {DIFFERENCE: f"{gaps.mean():+.3f}{spread}{mark}", SEEDS: _interval(seeds), TEXT: _interval(text)}
        )
    names = [f"{other.name} less {one.name}" for one, other in pairs]
    return pd.DataFrame(lines, columns=[DIFFERENCE, SEEDS, TEXT], index=pd.Index(names, name="Rows"))


def _beyond_zero(interval: intervals.Interval | None) -> bool:
    return interval is not None and not interval[0] <= 0 <= interval[1]


def _interval(interval: intervals.Interval | None) -> str:
    return shown(None) if interval is None else f"{interval[0]:+.3f} to {interval[1]:+.3f}"
