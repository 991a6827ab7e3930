"""Tables beside the main one: val loss by kind of token, and which rows differ by more than their seeds do."""

import pandas as pd

from gpt2_shakespeare.report.losses import Losses
from gpt2_shakespeare.report.markdown import shown
from gpt2_shakespeare.report.registry import KINDS
from gpt2_shakespeare.report.table import by_row

MARK = r" **\***"  # of a difference of more than two standard deviations


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


def differences(losses: Losses) -> pd.DataFrame | None:
    """Val loss of the row that names the column less that of the row at the left, seed by seed; None with a single seed."""
    if len(losses.params.seeds) < 2:
        return None
    trained = [result for result in losses.results if result.row.trained and not result.problem]
    table = pd.DataFrame(
        "", index=[result.name for result in trained[:-1]], columns=[result.name for result in trained[1:]]
    )
    for number, left in enumerate(trained[:-1]):
        for above in trained[number + 1 :]:
            gaps = above.evaluations["val_loss"] - left.evaluations["val_loss"]  # seed by seed
            marked = MARK if abs(gaps.mean()) > 2 * gaps.std() else ""
            table.loc[left.name, above.name] = f"{gaps.mean():+.3f} ± {gaps.std():.3f}{marked}"
    return table
