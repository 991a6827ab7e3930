"""Reads what the rows' evaluations and trainings left: losses of every row, and why a row is missing."""

import logging
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from gpt2_shakespeare.params import Params, Row
from gpt2_shakespeare.paths import Paths
from gpt2_shakespeare.report.files import ReportError, is_number, read_array, read_json
from gpt2_shakespeare.report.notes import notes
from gpt2_shakespeare.report.registry import KINDS, OTHER_TEXTS, PROJECT_CORPUS, PUBLISHED
from gpt2_shakespeare.report.titles import title

log = logging.getLogger(__name__)

DECIMALS = 4  # of every figure
MAX_LOSS = 700.0  # nats per token; exp() of more overflows

# What an evaluation must hold; max_steps, the planned ones, may be there too.
EVERY_ROW = ("dev_loss", "val_loss", "bits_per_char")
MODEL = ("train_loss", "parameters")
TRAINED = (
    "val_loss_last", "dev_loss_last", "running_train_loss",
    "tokens_seen", "passes", "steps", "best_step",
)  # fmt: skip
# By the reference's protocol: not measured where the tokens are others than the reference's.
BY_PROTOCOL = ("val_loss_reference", "val_loss_reference_last")
COUNTED = (
    "train_loss",
    "cache_weight",
    "cache_size",
    "dynamic_rate",
    "dynamic_decay",
    "mixture_trust",
)  # of a row without a model, where it has them
FIGURES = (
    "train_loss", "dev_loss", "val_loss", "val_loss_std", "val_loss_last", "val_loss_reference",
    "val_loss_reference_last", "perplexity", "bits_per_char", "running_train_loss", "tokens_seen", "passes",
    "steps", "best_step", "parameters", "seeds",
)  # fmt: skip
# Optional: a text may have no headings, and a base no text of its own.
P_NAME = "p_name"
PROBED = (*(f"{what}_{text}" for text in OTHER_TEXTS for what in ("other_loss", "kl")), P_NAME)
PARTS = (*(f"val_loss_{kind}" for kind in KINDS), *(f"val_tokens_{kind}" for kind in KINDS), *PROBED)

HISTORY = ("step", "passes", "train_loss", "dev_loss")
EPOCHS = "epochs"  # of a fine-tuning, in the lines of its history where PROBED was measured


@dataclass(frozen=True)
class Result:
    """What is known of one row: evaluations and histories by seed, or why it is missing."""

    row: Row
    evaluations: pd.DataFrame = field(default_factory=pd.DataFrame)  # one line per seed
    histories: dict[int, pd.DataFrame] = field(default_factory=dict)
    tokens: np.ndarray | None = None  # of a trained row: val loss of each token, mean over the seeds
    problem: str = ""  # why the row is missing
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.row.name

    @cached_property
    def figures(self) -> dict[str, int | float]:
        """Means over the seeds, rounded, in the order of FIGURES and PARTS; empty if the row is missing."""
        if self.problem:
            return {}
        table = self.evaluations
        values = table.mean().to_dict() | {"seeds": len(table)}
        values["perplexity"] = math.exp(values["val_loss"])
        if len(table) > 1:
            values["val_loss_std"] = table["val_loss"].std()  # of the sample: n - 1
        figures = {name: _rounded(values[name]) for name in (*FIGURES, *PARTS) if name in values}
        if P_NAME in figures:  # where a thousandth and a millionth are far apart
            figures[P_NAME] = float(f"{values[P_NAME]:.3g}")
        return figures


@dataclass(frozen=True)
class Losses:
    """The losses of all rows, read and checked, in the order of the table."""

    params: Params
    corpus: str
    tokens: dict[str, int]
    results: list[Result]

    @property
    def title(self) -> str:
        return title(self.params, self.corpus)

    @property
    def base(self) -> dict[str, int | float]:
        """The base's figures; empty if it is missing."""
        return next((result.figures for result in self.results if result.row.kind == "base"), {})

    def published(self, result: Result) -> str:
        """The reproduced project's val loss for a row; empty if it has none for this corpus."""
        if result.problem or result.name not in PUBLISHED or self.corpus != PROJECT_CORPUS:
            return ""
        return PUBLISHED[result.name].val_loss

    def curves(self) -> pd.DataFrame:
        """Losses during training in long form: row, seed, step, passes, train_loss, dev_loss, and what was probed."""
        parts = [
            history.assign(row=result.name, seed=seed)
            for result in self.results
            for seed, history in result.histories.items()
        ]
        columns = ["row", "seed", *HISTORY]
        if not parts:
            return pd.DataFrame(columns=columns)
        table = pd.concat(parts)
        return table[[*columns, *(name for name in (EPOCHS, *PROBED) if name in table)]]


def read(params: Params) -> Losses:
    """The losses of all rows.

    Raises:
        ReportError: no model has a complete evaluation, or the corpus's facts can't be read.
    """
    at = Paths(params.scale)
    try:
        facts = read_json(at.corpus_facts)
        corpus = str(facts["corpus"])
        tokens = {part: int(facts["tokens"][part]) for part in ("train", "dev", "val")}
    except ReportError as error:
        raise ReportError(f"{error}; run `dvc repro prepare`") from None
    except (KeyError, TypeError, ValueError):
        raise ReportError(f"{at.corpus_facts}: no corpus and tokens in it; run `dvc repro prepare`") from None
    results = [_result(row, params, corpus) for row in params.rows]
    problems = [result.problem for result in results if result.row.has_model]
    if all(problems):
        raise ReportError(f"no row of scale {params.scale} can be reported: {problems[0]}; run `dvc repro`")
    for result in results:
        if result.problem:
            log.warning("%s is missing: %s", result.name, result.problem)
    return Losses(params, corpus, tokens, results)


def _result(row: Row, params: Params, corpus: str) -> Result:
    """One row with all its seeds; without one of them it is missing: a mean over fewer would mislead."""
    at = Paths(params.scale)
    if row.kind == "ensemble" and len(params.seeds) < 2:
        return Result(row, problem="one seed only: an ensemble needs two (seeds in params.yaml)")
    seeds: list[int | None] = [*sorted(params.seeds)] if row.trained else [None]  # else one for all seeds
    tables, problems, missing = {}, [], []
    for seed in seeds:
        try:
            tables[seed] = _evaluation(_file(at, row, seed), row)
        except ReportError as error:
            problems.append(str(error))
            missing.append(str(seed))
    if problems:
        which = f"seed {', '.join(missing)} of {', '.join(map(str, seeds))}: " if len(seeds) > 1 else ""
        return Result(row, problem=which + "; ".join(problems))
    evaluations = pd.DataFrame(tables.values(), index=list(tables))
    found, histories, tokens = notes(row, evaluations, params, corpus), {}, None
    if row.trained:  # a base of our own has a history too, but of another corpus
        for seed in sorted(params.seeds):
            try:
                histories[seed] = _history(at.history(row.name, seed))
            except ReportError as error:
                found.append(f"no curve: {error}")
        try:
            tokens = _tokens(at, row, sorted(params.seeds))
        except ReportError as error:
            found.append(f"not compared by token: {error}")
    return Result(row, evaluations, histories, tokens, notes=tuple(found))


def _tokens(at: Paths, row: Row, seeds: list[int]) -> np.ndarray:
    each = [read_array(at.token_losses(row.name, seed), "val") for seed in seeds]
    if len({len(losses) for losses in each}) > 1:
        raise ReportError(f"{at.token_losses(row.name, seeds[0])}: of another text than the other seeds'")
    return np.mean(each, axis=0)


def _file(at: Paths, row: Row, seed: int | None) -> Path:
    if row.kind == "baseline":
        return at.baseline(row.name)
    if row.kind == "adapting":
        return at.adapted(row.of, row.way)
    return at.ensemble(row.name) if row.kind == "ensemble" else at.evaluation(row.name, seed)


def _evaluation(path: Path, row: Row) -> dict[str, float]:
    """The figures of one model, each a finite number, or a ReportError that names file and key."""
    facts = read_json(path)
    if row.trained:
        facts = {"max_steps": facts.get("steps")} | facts
    wanted: tuple[str, ...] = EVERY_ROW
    if row.has_model:
        wanted += (*MODEL, *TRAINED, "max_steps") if row.trained else MODEL
    else:
        wanted += tuple(key for key in COUNTED if key in facts)
    wanted += tuple(key for key in (*BY_PROTOCOL, *PARTS) if key in facts)
    for key in wanted:
        if key not in facts:
            raise ReportError(f"{path}: no {key} in it")
        value, limit = facts[key], MAX_LOSS if "loss" in key else math.inf
        low = -1e-6 if key.startswith("kl_") else 0  # rounding of a row that is the base
        if not is_number(value) or not low <= value < limit:
            raise ReportError(f"{path}: {key} is {value!r:.40}")
    return {key: facts[key] for key in wanted}


def _history(path: Path) -> pd.DataFrame:
    """Losses at each evaluation during training, or a ReportError that names the file."""
    try:
        table = pd.read_csv(path)
        wanted = [*HISTORY, *(name for name in (EPOCHS, *PROBED) if name in table)]
        table = table[wanted].astype(dict.fromkeys(wanted, float) | {"step": int})
        table = table.round(dict.fromkeys(HISTORY, 6))
        good = len(table) > 0 and table[list(HISTORY)].abs().lt(1e15).all(axis=None)
    except FileNotFoundError:
        raise ReportError(f"{path}: not there") from None
    except (OSError, KeyError, TypeError, ValueError):  # what pandas raises is a ValueError
        good = False
    if not good:
        raise ReportError(f"{path}: not a table of finite numbers with {', '.join(HISTORY)}")
    return table.sort_values("step")


def _rounded(value: float) -> int | float:
    value = round(float(value), DECIMALS) + 0.0  # no -0.0
    return int(value) if value.is_integer() else value
