"""Reads the figures of the rows' texts and their samples, and why some are missing."""

import logging
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from gpt2_shakespeare.params import Params, Row
from gpt2_shakespeare.paths import Paths
from gpt2_shakespeare.report.files import ReportError, is_number, read_json
from gpt2_shakespeare.report.markdown import DASH
from gpt2_shakespeare.report.registry import OTHER_TEXTS

log = logging.getLogger(__name__)

HUMAN = "human"
RECALLED = ("train", "val")  # parts whose prefixes were continued
# What the distance from human text is taken over: one figure of likeness, by a scorer that no row has trained on
# the text of, and four of variety. None of them is ever 0.
COMPARED = ("bits_per_char_dev", "distinct_2", "self_bleu", "compression_ratio", "zipf")
OFF = "off"

Decoding = tuple[float, float]  # temperature, top_p
Figures = dict[str, float]


@dataclass(frozen=True)
class Texts:
    """What is known of one row's texts, or why it is missing."""

    name: str
    trained: bool = False  # once with each seed
    # by seed, of human text by draw; by 0 where there is one for all
    figures: dict[int, Figures] = field(default_factory=dict)
    # by part and seed, for at least 1, 2, ... tokens
    recalled: dict[str, dict[int, list[float]]] = field(default_factory=dict)
    problem: str = ""  # why there are no figures
    cells: dict[Decoding, Figures] = field(default_factory=dict)
    no_cells: str = ""
    samples: list[dict[str, Any]] = field(default_factory=list)  # prompt, seed, text and copied
    others: list[dict[str, Any]] = field(default_factory=list)  # the same at other temperatures
    no_samples: str = ""

    @property
    def human(self) -> bool:
        return self.name == HUMAN

    @property
    def nearest(self) -> Decoding | None:
        """The decoding setting nearest to human text."""
        known = {decoding: figures[OFF] for decoding, figures in self.cells.items() if OFF in figures}
        return min(known, key=lambda decoding: known[decoding]) if known else None

    def values(self, figure: str) -> pd.Series:
        """A figure by seed; empty where the texts of a seed have no such figure: a mean over fewer would mislead."""
        found = pd.Series([figures.get(figure, math.nan) for figures in self.figures.values()], dtype=float)
        return found.iloc[:0] if found.isna().any() else found

    @property
    def mean(self) -> Figures:
        """Mean over the seeds or draws of every figure that all of them have."""
        return _mean([*self.figures.values()])

    def shown(self, figure: str, form: str) -> str:
        """Mean over the seeds or draws, ± the sample's standard deviation; a dash where there is no such figure."""
        values = self.values(figure)
        if values.empty:
            return DASH
        least = 3 if self.human and figure == OFF else 2  # two draws are equally far from each other
        spread = f" ± {format(values.std(), form)}" if len(values) >= least else ""
        return format(values.mean(), form) + spread


def read(params: Params) -> list[Texts]:
    """Every row that has a model in order, human text first.

    Raises:
        ReportError: no row's texts have figures.
    """
    human = _human(params)
    rows = [human, *(_texts(row, params, human.mean) for row in params.rows if row.has_model)]
    if all(row.problem for row in rows):
        raise ReportError(
            f"no texts of scale {params.scale} have been analysed: {human.problem}; run `dvc repro`"
        )
    for row in rows:
        for problem in dict.fromkeys(filter(None, (row.problem, row.no_cells, row.no_samples))):
            log.warning("%s is missing: %s", row.name, problem)
    return rows


def _human(params: Params) -> Texts:
    path = Paths(params.scale).texts(HUMAN)
    try:
        draws = read_json(path).get("draws")
        if not isinstance(draws, list) or len(draws) < 2:
            raise ReportError(f"{path}: no draws in it")
        figures = [_figures(path, {"figures": draw}, {}) for draw in draws]
        # how far each draw of human text is from the others
        others = [_mean(figures[:n] + figures[n + 1 :]) for n in range(len(figures))]
        known = {
            n: _figures(path, {"figures": draw}, other)
            for n, (draw, other) in enumerate(zip(figures, others, strict=True))
        }
    except ReportError as error:
        return Texts(HUMAN, problem=str(error))
    return Texts(HUMAN, figures=known)


def _mean(all_figures: list[Figures]) -> Figures:
    """Mean of every figure that all have."""
    names = (
        [name for name in all_figures[0] if all(name in each for each in all_figures)] if all_figures else []
    )
    return {name: statistics.mean(each[name] for each in all_figures) for name in names}


def _texts(row: Row, params: Params, human: Figures) -> Texts:
    """One row with all its seeds; without one of them it is missing: a mean over fewer would mislead."""
    at = Paths(params.scale)
    figures: dict[int, Figures] = {}
    recalled: dict[str, dict[int, list[float]]] = {part: {} for part in RECALLED}
    problems = []
    for seed in sorted(params.seeds) if row.trained else [None]:
        path = at.texts(row.name, seed)
        try:
            facts = read_json(path)
            found = _figures(path, facts, human)
            for part in (*RECALLED, *(text for text in OTHER_TEXTS if f"recall_{text}" in facts)):
                shares, mean = _recall(path, facts, part)
                if part in RECALLED:
                    recalled[part][seed or 0] = shares
                found |= {f"recalled_{part}": shares[-1], f"mean_matched_{part}": mean}
            figures[seed or 0] = found
        except ReportError as error:
            problems.append(str(error))
    known: dict[str, Any] = {"problem": "; ".join(problems)}
    if not problems:
        known |= {"figures": figures, "recalled": recalled}
    try:
        known["cells"] = _cells(at.decoding(row.name), params, human)
    except ReportError as error:
        known["no_cells"] = str(error)
    try:
        path = at.texts(row.name, params.seeds[0] if row.trained else None)
        known["samples"] = _samples(path, "samples", "prompt", "seed", "text")
        known["others"] = _samples(path, "other_temperatures", "prompt", "seed", "text", "temperature")
    except ReportError as error:
        known["no_samples"] = str(error)
    return Texts(row.name, row.trained, **known)


def _figures(path: Path, facts: Mapping[str, Any], human: Figures) -> Figures:
    """The figures of a set of texts, each a finite number, and their distance from human text where that is known."""
    figures = facts.get("figures")
    if not isinstance(figures, dict) or not figures:
        raise ReportError(f"{path}: no figures in it")
    for name, value in figures.items():
        if not is_number(value):
            raise ReportError(f"{path}: {name} is {value!r:.40}")
    figures = dict(figures)
    if human and all(figures.get(name, 0) > 0 and human.get(name, 0) > 0 for name in COMPARED):
        figures[OFF] = statistics.mean(abs(math.log(figures[name] / human[name])) for name in COMPARED)
    return figures


def _recall(path: Path, facts: Mapping[str, Any], part: str) -> tuple[list[float], float]:
    """Shares recalled for at least 1, 2, ... tokens, and the mean number of tokens."""
    try:
        found = facts[f"recall_{part}"]
        shares, mean = found["recalled"], found["mean_matched"]
        good = isinstance(shares, list) and shares and all(map(is_number, [*shares, mean]))
    except (KeyError, TypeError):
        good = False
    if not good:
        raise ReportError(f"{path}: no recall of {part} in it")
    return shares, mean


def _cells(path: Path, params: Params, human: Figures) -> dict[Decoding, Figures]:
    facts = read_json(path)
    try:
        found = {(float(cell["temperature"]), float(cell["top_p"])): cell for cell in facts["cells"]}
    except (KeyError, TypeError, ValueError):
        raise ReportError(f"{path}: no cells of a temperature and a top_p in it") from None
    cells = {decoding: _figures(path, cell, human) for decoding, cell in found.items()}
    if set(cells) != set(params.analysis.decodings()):
        raise ReportError(f"{path}: of other temperatures or top_ps than params.yaml's")
    return cells


def _samples(path: Path, key: str, *wanted: str) -> list[dict[str, Any]]:
    """Texts with all that is wanted of them, and the places in them that are copied from train."""
    samples = read_json(path).get(key, [] if key == "other_temperatures" else None)
    try:
        good = isinstance(samples, list) and all(
            isinstance(sample["prompt"], str)
            and isinstance(sample["text"], str)
            and all(name in sample for name in wanted)
            and all(0 <= start < end <= len(sample["text"]) for start, end in sample.get("copied", []))
            for sample in samples
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        good = False
    if not isinstance(samples, list) or not good:
        raise ReportError(f"{path}: no samples of a prompt, a seed and a text in it")
    return samples
