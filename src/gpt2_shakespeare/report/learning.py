"""Learning curves: val loss over the share of train, and the share on which fine-tuning equals scratch on all of it."""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gpt2_shakespeare.params import Row
from gpt2_shakespeare.paths import Paths
from gpt2_shakespeare.report.files import ReportError, is_number, read_array, read_json
from gpt2_shakespeare.report.intervals import DRAWS, drawn_means
from gpt2_shakespeare.report.losses import DECIMALS, MAX_LOSS, Losses
from gpt2_shakespeare.report.markdown import shown
from gpt2_shakespeare.report.registry import LEARNING

log = logging.getLogger(__name__)

INTERVAL = 95  # per cent


@dataclass(frozen=True)
class Curve:
    """Val loss of one row over what it was trained on, shares ascending; the last one is 1, all of it.

    Args:
        tokens: as many were trained on, for each share.
        each: the loss of every token of val at each share, (shares, n); empty for a baseline.
    """

    row: Row
    shares: tuple[float, ...]
    tokens: tuple[int, ...]
    losses: tuple[float, ...]
    each: np.ndarray


@dataclass(frozen=True)
class Equal:
    """The share of train on which `tuned` has the val loss of `scratch` on all of it, and the ends of its interval.

    0 stands for less than the least share, infinity for more than all.
    """

    tuned: str
    scratch: str
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class LearningCurves:
    """All curves, baselines first; none where a result is missing.

    Args:
        base: val loss of the untouched base, if it is known.
    """

    curves: tuple[Curve, ...]
    base: float = math.inf

    @cached_property
    def equals(self) -> list[Equal]:
        """Of each row that starts from the base against each that doesn't and is lower than the untouched base."""
        return [
            _equal(tuned, scratch)
            for tuned in self._trained(from_base=True)
            for scratch in self._trained(from_base=False)
            if scratch.losses[-1] < self.base
        ]

    def _trained(self, from_base: bool) -> list[Curve]:
        return [curve for curve in self.curves if curve.row.trained and curve.row.from_base == from_base]

    def lines(self) -> pd.DataFrame:
        """A line for each row and share: row, share, tokens, val_loss."""
        lines = [
            (curve.row.name, share, tokens, round(loss, DECIMALS))
            for curve in self.curves
            for share, tokens, loss in zip(curve.shares, curve.tokens, curve.losses, strict=True)
        ]
        return pd.DataFrame(lines, columns=["row", "share", "tokens", "val_loss"])

    def table(self) -> pd.DataFrame | None:
        """Val loss by row and share, as strings; None where there are no curves."""
        if not self.curves:
            return None
        lines = [
            {
                percent(share): shown(loss, ".4f")
                for share, loss in zip(curve.shares, curve.losses, strict=True)
            }
            for curve in self.curves
        ]
        return pd.DataFrame(lines, index=pd.Index([curve.row.name for curve in self.curves], name="Row"))

    def sentences(self) -> list[str]:
        """What the curves say of the worth of pretraining, and under which conditions."""
        needless = [
            f"The untouched base is lower than {scratch.row.name} on all of train ({self.base:.3f} and "
            f"{scratch.losses[-1]:.3f}): fine-tuning needs nothing of train to be lower."
            for scratch in self._trained(from_base=False)
            if self.base <= scratch.losses[-1] and self._trained(from_base=True)
        ]
        return needless + [
            f"{equal.tuned} on {_within(equal.share, self._least)} of train equals {equal.scratch} on all of it "
            f"({INTERVAL} % interval: {_between(equal, self._least)})."
            for equal in self.equals
        ]

    @property
    def _least(self) -> float:
        return self.curves[0].shares[0]


def read(losses: Losses) -> LearningCurves:
    """The curves of all rows that params.yaml lists for them; none, and a warning, where a result can't be read."""
    try:
        return LearningCurves((*_baselines(losses), *_trained(losses)), losses.base.get("val_loss", math.inf))
    except ReportError as error:
        log.warning("learning curves are missing: %s; run `dvc repro`", error)
        return LearningCurves(())


def percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _baselines(losses: Losses) -> Iterator[Curve]:
    at, shares = Paths(losses.params.scale), losses.params.learning_curves.shares
    path = at.learned_baselines
    points = read_json(path).get("shares")
    if not isinstance(points, list) or [
        point.get("share") if isinstance(point, dict) else None for point in points
    ] != [*shares]:
        raise ReportError(f"{path}: not of the shares {shares}")
    rows = {row.name: row for row in losses.params.rows}
    for name in LEARNING:
        found = [_figures(path, point, "tokens", name) for point in points]
        whole = read_json(at.baseline(name))
        found.append((losses.tokens["train"], *_figures(at.baseline(name), whole, "val_loss")))
        tokens, values = zip(*found, strict=True)
        yield Curve(rows[name], (*shares, 1.0), tokens, values, np.empty((0, 0)))


def _trained(losses: Losses) -> Iterator[Curve]:
    params = losses.params
    at, seed, shares = Paths(params.scale), min(params.seeds), params.learning_curves.shares
    for row in (row for row in params.trained_rows if row.name in params.learning_curves.rows):
        points, each = [], []
        for share in shares:
            path = at.learned(row.name, share)
            points.append(_figures(path, read_json(path), "tokens", "val_loss"))
            each.append(_token_losses(at.learned(row.name, share, ".safetensors"), losses.tokens["val"] - 1))
        path = at.evaluation(row.name, seed)
        used = math.ceil(row.settings.share * losses.tokens["train"])
        points.append((used, *_figures(path, read_json(path), "val_loss")))
        each.append(_token_losses(at.token_losses(row.name, seed), losses.tokens["val"] - 1))
        tokens, values = zip(*points, strict=True)
        yield Curve(row, (*shares, 1.0), tokens, values, np.stack(each))


def _figures(path: Path, facts: dict, *keys: str) -> tuple:
    for key in keys:
        value: Any = facts.get(key)
        if not is_number(value) or value < 0 or key != "tokens" and value >= MAX_LOSS:
            raise ReportError(f"{path}: {key} is {value!r:.40}")
    return tuple(facts[key] for key in keys)


def _token_losses(path: Path, count: int) -> np.ndarray:
    """The loss of every token of val but the first, float64 (count,)."""
    losses = read_array(path, "val").astype(np.float64)
    if len(losses) != count:
        raise ReportError(f"{path}: {len(losses)} losses of val, not {count}")
    return losses


def _equal(tuned: Curve, scratch: Curve) -> Equal:
    """The interval is by a bootstrap over stretches of val."""
    share = crossing(tuned.shares, tuned.losses, scratch.losses[-1])
    means = drawn_means(np.vstack([tuned.each, scratch.each[-1:]]))
    found = np.sort([crossing(tuned.shares, mean[:-1], mean[-1]) for mean in means])
    outside = round(DRAWS * (1 - INTERVAL / 100) / 2)
    return Equal(
        tuned.row.name, scratch.row.name, share, float(found[outside]), float(found[DRAWS - 1 - outside])
    )


def crossing(shares: tuple[float, ...], losses: tuple[float, ...] | np.ndarray, target: float) -> float:
    """The least share at which a curve, straight in log share, is down at the target; 0 or infinity where it lies outside."""
    if losses[0] <= target:
        return 0.0
    for number in range(1, len(shares)):
        before, after = losses[number - 1], losses[number]
        if after <= target:
            way = (before - target) / (before - after)
            low, high = math.log(shares[number - 1]), math.log(shares[number])
            return math.exp(low + way * (high - low))
    return math.inf


def _within(share: float, least: float) -> str:
    if share == 0:
        return f"less than {percent(least)}"
    return "more than 100 %" if share == math.inf else f"{100 * share:.2g} %"


def _between(equal: Equal, least: float) -> str:
    low, high = (_within(share, least) for share in (equal.low, equal.high))
    return low if low == high else f"{low} to {high}"
