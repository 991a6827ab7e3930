"""The results of a scale as a table, figures and pages: what is committed under metrics/. No torch."""

import json
import logging
import math
import re
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from gpt2_shakespeare import paths
from gpt2_shakespeare.errors import UserError
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.paths import Paths

log = logging.getLogger(__name__)

RESULTS, TABLE_CSV, TABLE_MD, CURVES = "results.json", "table.csv", "table.md", "curves.csv"
LOSS_CURVES, VAL_LOSS, FORGETTING_PNG = "loss_curves.png", "val_loss.png", "forgetting.png"
NAMES_PNG = "names.png"
SAMPLES = "samples.md"

DECIMALS = 4  # of every figure in results.json and table.csv
OVERFIT = 0.01  # nats per token that dev must rise after its best step to be called so
MAX_LOSS = 700.0  # nats per token; exp() of more overflows

# What an evaluation must hold; max_steps, the planned ones, may be there too.
EVERY_ROW = ("dev_loss", "val_loss", "bits_per_char")
MODEL = ("train_loss", "val_loss_reference", "parameters")
TRAINED = (
    "val_loss_last", "val_loss_reference_last", "dev_loss_last", "running_train_loss",
    "tokens_seen", "passes", "steps", "best_step",
)  # fmt: skip
FIGURES = (
    "train_loss", "dev_loss", "val_loss", "val_loss_std", "val_loss_last", "val_loss_reference",
    "val_loss_reference_last", "perplexity", "bits_per_char", "running_train_loss", "tokens_seen", "passes",
    "steps", "best_step", "parameters", "seeds",
)  # fmt: skip
# Where the loss is: optional, as a text may have no headings and a base no text of its own.
KINDS = ("heading", "body", "known_speaker", "new_speaker", "seen_type", "new_type")
OTHER = ("base_corpus", "wikitext")  # texts of other kinds, in data/<scale>/other/
P_NAME = "p_name"
PROBED = (*(f"{what}_{text}" for text in OTHER for what in ("other_loss", "kl")), P_NAME)  # in histories too
SPLITS = (
    *(f"val_loss_{kind}" for kind in KINDS), *(f"val_tokens_{kind}" for kind in KINDS), *PROBED,
)  # fmt: skip
HISTORY = ("step", "passes", "train_loss", "dev_loss")
EPOCHS = "epochs"  # of a fine-tuning, in the lines of its history that have what was probed

REFERENCE_CORPUS = "tinyshakespeare"
REFERENCE = {"scratch": "4.75", "finetune": "3.3424", "finetune_long": "3.20"}  # val loss, as published
NANOGPT_ZERO_SHOT = "nanoGPT reports 4.03 for GPT-2 124M"  # its issue 210; split by characters
GPT2_REPOS = ("openai-community/gpt2", "gpt2")

CORPORA = {
    "plays": "built-in text, not Shakespeare",
    "tinyshakespeare": "Tiny Shakespeare",
    "path": "own text",
}
PRETRAINED_ON = {"prose": "built-in prose", "novels": "96 English novels"}  # 100 less the 4 held out

LEGEND = """\
All losses are nats per token, of the weights that are best on dev. Several seeds: their mean, and ± the
standard deviation of the sample.

- **Train**: in eval mode (no dropout), on as many tokens of train as val has.
- **Dev**: the first 4.5 % of the text. It chooses the best step and stops training early; val, its last 10 %,
  does neither.
- **Val (exact)**: every token of val but the first, scored once, with at least half a block of context where
  the text has it.
- **Val at the last step**: the same, of the weights that training ended with.
- **Val (reference's protocol)**: mean of batch means over overlapping windows, to compare with *Reference*.
  The reference keeps its last weights; ours by that protocol are `val_loss_reference_last` in results.json.
- **Reference**: published val loss of GPT-2 124M on Tiny Shakespeare; finetune is its 1 epoch, finetune_long
  its ≈6.
- **Perplexity**: exp of the mean val (exact). **Bits/char**: val (exact) per character, which compares across
  tokenizers.
- **Trigram rows**: what counting the same train tokens reaches, alone and with a cache of the text so far.
- **Ensemble rows**: the probabilities of all seeds' models, averaged.
- **Passes**: how often each train token was seen. An epoch is a walk over the windows; where these overlap,
  it is several passes: one epoch of the reference is about 8.
"""

SPLITS_LEGEND = """\
Val (exact) by kind of token, with the number of tokens of each kind; several seeds: their mean. A heading is a
line of its own that ends with a colon. A *new speaker* has no heading in train, a *new type* no token.
"""

FORGETTING_LEGEND = """\
Loss on texts of other kinds, which no row has seen, and KL(base || row) of the next token's distribution there, in
nats per token: what a fine-tuned row loses against the base, it has forgotten. *Base's corpus* is text of the kind
that our own base was pretrained on, kept from it; WikiText-2 is its tokenised test part, with `<unk>` as it stands
there. The KL of the base to itself is 0. A dash: not measured, as the row's blocks are shorter than the base's.
*P(name)*: the probability that one of train's speakers begins to speak after a piece of those texts and an empty line,
where nothing asks for any; mean over four pieces of each text.
"""

DIFFERENCES_LEGEND = """\
Val (exact) of the row above less that of the row at the left: the mean over the seeds of the difference with the same
seed, and ± its standard deviation. **\\*** marks a difference of more than two standard deviations.
"""

# Okabe and Ito's palette, which colour-blind readers can tell apart; greys for what isn't trained here
COLOURS = {
    **dict.fromkeys(schema.BASELINES, "#a6a6a6"),
    "base": "#666666",
    "scratch": "#D55E00",
    "scratch_tuned": "#E69F00",
    "finetune": "#56B4E9",
    "finetune_long": "#0072B2",
    "finetune_tuned": "#009E73",
    "finetune_lora": "#CC79A7",
    "scratch_ensemble": "#E69F00",
    "scratch_ensemble_cache": "#E69F00",
    "finetune_ensemble": "#009E73",
}
OTHER_COLOUR = "#000000"
GRID: dict[str, Any] = {"color": "#e6e6e6", "linewidth": 0.8}
FIGSIZE, DPI = (8, 5), 120


class ReportError(UserError, ValueError):
    """Something that the report needs is missing or broken; the message names the file."""


@dataclass(frozen=True)
class Row:
    """What is known of one row: evaluations and histories by seed, or why it is missing."""

    name: str
    evaluations: pd.DataFrame = field(default_factory=pd.DataFrame)  # one line per seed
    histories: dict[int, pd.DataFrame] = field(default_factory=dict)
    problem: str = ""  # why the row is missing
    notes: tuple[str, ...] = ()

    @cached_property
    def figures(self) -> dict[str, int | float]:
        """Means over the seeds, rounded, in the order of FIGURES; empty if the row is missing."""
        if self.problem:
            return {}
        table = self.evaluations
        values = table.mean().to_dict() | {"seeds": len(table)}
        values["perplexity"] = math.exp(values["val_loss"])
        if len(table) > 1:
            values["val_loss_std"] = table["val_loss"].std()  # of the sample: n - 1
        figures = {name: _rounded(values[name]) for name in (*FIGURES, *SPLITS) if name in values}
        if P_NAME in figures:  # where a thousandth and a millionth are far apart
            figures[P_NAME] = float(f"{values[P_NAME]:.3g}")
        return figures


@dataclass(frozen=True)
class Report:
    """All that goes into metrics/<scale>/, read and checked."""

    params: schema.Params
    corpus: str
    tokens: dict[str, int]
    rows: list[Row]

    @property
    def title(self) -> str:
        return scale_title(self.params, self.corpus)

    @property
    def base(self) -> dict[str, int | float]:
        """The base's figures; empty if it is missing."""
        return next((row.figures for row in self.rows if row.name == "base"), {})

    def reference(self, row: str) -> str:
        """The reference's published val loss for a row; empty if it has none for this corpus."""
        return REFERENCE.get(row, "") if self.corpus == REFERENCE_CORPUS else ""


def corpus_name(params: schema.Params, corpus: str) -> str:
    name = CORPORA.get(corpus, corpus)
    return f"{name} ({params.corpus_path})" if corpus == "path" else name


def base_name(params: schema.Params) -> str:
    base = params.at_scale.base
    if base.source == "pretrain":
        return _stand_in(base)
    return base.repo if base.source == "hub" else params.base_path


def scale_title(params: schema.Params, corpus: str) -> str:
    """What every table, page and picture says of its figures: scale, text and base."""
    return f"{params.scale}: {corpus_name(params, corpus)}; base: {base_name(params)}"


def write(params: schema.Params) -> Path:
    """Write every file of metrics/<scale>/ and return that folder.

    Raises:
        ReportError: no row has a complete evaluation, or the corpus's facts can't be read.
    """
    report = read(params)
    out = Paths(params.scale).metrics
    out.mkdir(parents=True, exist_ok=True)
    results = {
        row.name: {name: value for name, value in row.figures.items() if name not in SPLITS}
        for row in report.rows
        if not row.problem
    }
    _write(out / RESULTS, json.dumps(results, indent=2) + "\n")
    _write(out / TABLE_CSV, _table_csv(report))
    _write(out / TABLE_MD, _table_md(report))
    _write(out / CURVES, _curves(report).to_csv(index=False, lineterminator="\n"))
    _write(out / SAMPLES, _samples_md(report))
    _write_figure(out / LOSS_CURVES, report, _draw_loss_curves)
    _write_figure(out / VAL_LOSS, report, _draw_val_loss)
    _write_figure(out / FORGETTING_PNG, report, _draw_forgetting)
    _write_figure(out / NAMES_PNG, report, _draw_names)
    return out


def summary(scale: str) -> str:
    """The table that `write` left, in plain text for a terminal, and where the figures lie.

    Raises:
        ReportError: there is no table yet.
    """
    columns = {
        "train": "train_loss", "dev": "dev_loss", "val": "val_loss", "last": "val_loss_last",
        "ref protocol": "val_loss_reference", "perplexity": "perplexity", "bits/char": "bits_per_char",
    }  # fmt: skip
    out = Paths(scale).metrics
    try:
        table = pd.read_csv(out / TABLE_CSV, dtype=str, keep_default_na=False)
        table = table[["row", *columns.values(), "notes"]]
        heading = (out / TABLE_MD).read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
    except (OSError, ValueError, LookupError):
        raise ReportError(f"{out}: no readable {TABLE_CSV} and {TABLE_MD} there; run `dvc repro`") from None
    width = max(len(name) for name in ("row", *table["row"]))
    lines = [textwrap.fill(heading, 110), "", f"{'row':{width}}" + "".join(f"{name:>12}" for name in columns)]
    for row in table.to_dict("records"):
        if row["val_loss"]:
            cells = (f"{float(row[key]):12.4f}" if row[key] else f"{'–':>12}" for key in columns.values())
            lines.append(f"{row['row']:{width}}" + "".join(cells))
        else:
            notes = textwrap.shorten(row["notes"], 107 - width, placeholder=" …")
            lines.append(f"{row['row']:{width}}   {notes}")
    lines += [
        "",
        f"table:   {out / TABLE_MD}",
        f"figures: {out / LOSS_CURVES}, {out / VAL_LOSS}, {out / FORGETTING_PNG}",
    ]
    return "\n".join([*lines, f"samples: {out / SAMPLES}"])


# --- reading ---------------------------------------------------------------------------------------------


def read(params: schema.Params) -> Report:
    """Everything that the report is about.

    Raises:
        ReportError: no row has a complete evaluation, or the corpus's facts can't be read.
    """
    at = Paths(params.scale)
    facts = read_json(at.corpus_facts)
    try:
        corpus = str(facts["corpus"])
        tokens = {part: int(facts["tokens"][part]) for part in ("train", "dev", "val")}
    except (KeyError, TypeError, ValueError):
        raise ReportError(f"{at.corpus_facts}: no corpus and tokens in it; run `dvc repro prepare`") from None
    rows = [_read_row(name, params, corpus) for name in schema.ROWS]
    problems = [row.problem for row in rows if row.problem and row.name in schema.MODEL_ROWS]
    if len(problems) == len(schema.MODEL_ROWS):
        raise ReportError(f"no row of scale {params.scale} can be reported: {problems[0]}; run `dvc repro`")
    for row in rows:
        if row.problem:
            log.warning("%s is missing: %s", row.name, row.problem)
    return Report(params, corpus, tokens, rows)


def _read_row(name: str, params: schema.Params, corpus: str) -> Row:
    """One row with all its seeds; without one of them it is missing: a mean over fewer would mislead."""
    at, seeds = Paths(params.scale), sorted(params.seeds)
    if name in schema.ENSEMBLES and len(seeds) < 2:
        return Row(name, problem="one seed only: an ensemble needs two (seeds in params.yaml)")
    if name not in schema.TRAINED_ROWS:  # one model for all seeds
        seeds = seeds[:1]
    tables, problems, missing = {}, [], []
    for seed in seeds:
        try:
            tables[seed] = _read_evaluation(at.evaluation(name, seed), name)
        except ReportError as error:
            problems.append(str(error))
            missing.append(str(seed))
    if problems:
        which = f"seed {', '.join(missing)} of {', '.join(map(str, seeds))}: " if len(seeds) > 1 else ""
        return Row(name, problem=which + "; ".join(problems))
    evaluations = pd.DataFrame.from_dict(tables, orient="index")
    notes, histories = _notes(name, evaluations, params, corpus), {}
    if name in schema.TRAINED_ROWS:  # a base of our own has a history too, but of another corpus
        for seed in seeds:
            try:
                histories[seed] = _read_history(at.model(name, seed) / paths.HISTORY)
            except ReportError as error:
                notes.append(f"no curve: {error}")
    return Row(name, evaluations, histories, notes=tuple(notes))


def _read_evaluation(path: Path, row: str) -> dict[str, float]:
    """The figures of one model, each a finite number, or a ReportError that names file and key."""
    facts, trained = read_json(path), row in schema.TRAINED_ROWS
    if trained:
        facts = {"max_steps": facts.get("steps")} | facts
    wanted: tuple[str, ...] = EVERY_ROW
    if row in schema.BASELINES or row in schema.ENSEMBLES:
        wanted += tuple(key for key in ("train_loss", "cache_weight", "cache_size") if key in facts)
    else:
        wanted += (*MODEL, *TRAINED, "max_steps") if trained else MODEL
    wanted += tuple(key for key in SPLITS if key in facts)
    for key in wanted:
        if key not in facts:
            raise ReportError(f"{path}: no {key} in it")
        value, limit = facts[key], MAX_LOSS if "loss" in key else 1e15
        low = -1e-6 if key.startswith("kl_") else 0  # rounding of a row that is the base
        if (
            isinstance(value, bool) or not isinstance(value, int | float) or not low <= value < limit
        ):  # nan too
            raise ReportError(f"{path}: {key} is {value!r:.40}")
    return {key: facts[key] for key in wanted}


def _read_history(path: Path) -> pd.DataFrame:
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


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, or a ReportError that names the file."""
    try:
        facts = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ReportError(f"{path}: not there") from None
    except OSError as error:
        raise ReportError(f"{path}: can't be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ReportError(f"{path}: broken, not valid JSON") from None
    if not isinstance(facts, dict):
        raise ReportError(f"{path}: broken, not a JSON object")
    return facts


def _notes(name: str, evaluations: pd.DataFrame, params: schema.Params, corpus: str) -> list[str]:
    """What a reader must know of a row, in a few words, from its own figures."""
    if name in schema.BASELINES:
        notes = _baseline_notes(name, evaluations)
    elif name in schema.ENSEMBLES:
        notes = _ensemble_notes(name, evaluations, params)
    else:
        notes = _base_notes(params, corpus) if name == "base" else _training_notes(evaluations)
    return notes + ([CORPORA[corpus]] if corpus == "plays" else [])


def _baseline_notes(name: str, evaluations: pd.DataFrame) -> list[str]:
    facts = evaluations.iloc[0]
    return {
        "unigram": ["counts of the train tokens, each one up"],
        "trigram": ["interpolated Kneser-Ney on the train tokens"],
        "trigram_cache": [f"the same, {_cache_note(facts)}"],
    }[name]


def _ensemble_notes(name: str, evaluations: pd.DataFrame, params: schema.Params) -> list[str]:
    member, cached = schema.ENSEMBLES[name]
    note = f"{len(params.seeds)} seeds of {member}, probabilities averaged"
    return [note + (f", {_cache_note(evaluations.iloc[0])}" if cached else "")]


def _cache_note(facts: pd.Series) -> str:
    return (
        f"with a unigram of the last {facts.get('cache_size', 0):g} tokens at {facts.get('cache_weight', 0):g}, "
        "chosen on dev"
    )


def _base_notes(params: schema.Params, corpus: str) -> list[str]:
    base = params.at_scale.base
    if base.source == "pretrain":
        return ["zero-shot", _stand_in(base)]
    if base.source == "path":
        return ["zero-shot", params.base_path]
    compare = base.repo in GPT2_REPOS and corpus == REFERENCE_CORPUS
    return ["zero-shot", base.repo, *([NANOGPT_ZERO_SHOT] if compare else [])]


def _stand_in(base: schema.Base) -> str:
    return f"a stand-in pretrained on {PRETRAINED_ON[base.pretrain.corpus]}, not GPT-2"


def _training_notes(evaluations: pd.DataFrame) -> list[str]:
    notes = []
    steps, best, planned = (_span(evaluations[key]) for key in ("steps", "best_step", "max_steps"))
    if (evaluations["steps"] < evaluations["max_steps"]).any():
        notes.append(f"stopped early at step {steps} of {planned}")
    if (evaluations["best_step"] < evaluations["steps"]).any():
        rise = (evaluations["dev_loss_last"] - evaluations["dev_loss"]).mean()
        notes.append(f"best at step {best} of {steps}" + (": overfits after it" if rise > OVERFIT else ""))
    return notes


def _span(values: pd.Series) -> str:
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low}–{high}"


# --- the table -------------------------------------------------------------------------------------------


def _table_csv(report: Report) -> str:
    lines = [
        {"row": row.name, **row.figures, "reference": _reference(report, row), "notes": _all_notes(row)}
        for row in report.rows
    ]
    table = pd.DataFrame(lines, columns=["row", *FIGURES, *SPLITS, "reference", "notes"], dtype=object)
    return table.to_csv(index=False, lineterminator="\n")


def _table_md(report: Report) -> str:
    """Heading, table and legend."""
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "Train": lambda f: f"{f['train_loss']:.4f}",
        "Dev": lambda f: f"{f['dev_loss']:.4f}",
        "Val (exact)": lambda f: (
            f"{f['val_loss']:.4f}" + (f" ± {f['val_loss_std']:.4f}" if "val_loss_std" in f else "")
        ),
        "Val at the last step": lambda f: f"{f['val_loss_last']:.4f}",
        "Val (reference's protocol)": lambda f: f"{f['val_loss_reference']:.4f}",
        "Reference": lambda f: f["reference"] or "–",
        "Perplexity": lambda f: f"{f['perplexity']:,.2f}",
        "Bits/char": lambda f: f"{f['bits_per_char']:.3f}",
        "Passes": lambda f: f"{f['passes']:.2f}",
        "Parameters": lambda f: f"{f['parameters']:,}",
    }
    main = _markdown(report, columns, notes=True)
    parts = (_splits_md(report), _forgetting_md(report), _differences_md(report))
    return "\n".join([f"# {_heading(report)}\n\n{main}\n\n{LEGEND}", *filter(None, parts)])


def _splits_md(report: Report) -> str:
    """Val loss by kind of token."""
    counts: dict[str, int | float] = {}
    for row in report.rows:
        counts |= {key: value for key, value in row.figures.items() if key.startswith("val_tokens_")}
    if not counts:
        return ""
    names = {
        "heading": "Headings", "body": "Body", "known_speaker": "Headings, speaker in train",
        "new_speaker": "Headings, new speaker", "seen_type": "Token types in train", "new_type": "New token types",
    }  # fmt: skip

    def of(kind: str) -> Callable[[dict[str, Any]], str]:
        return lambda f: f"{f[f'val_loss_{kind}']:.3f}"

    columns = {f"{name} ({counts[f'val_tokens_{kind}']:,})": of(kind) for kind, name in names.items()}
    return f"# Where the loss is\n\n{_markdown(report, columns)}\n\n{SPLITS_LEGEND}"


def _forgetting_md(report: Report) -> str:
    """Loss on other texts and distance from the base there."""
    names = {"base_corpus": "Base's corpus", "wikitext": "WikiText-2"}
    columns: dict[str, Callable[[dict[str, Any]], str]] = {}
    for text, name in names.items():
        base = report.base.get(f"other_loss_{text}")
        if base is None:
            continue

        def loss(f: dict[str, Any], text: str = text) -> str:
            return f"{f[f'other_loss_{text}']:.3f}"

        def change(f: dict[str, Any], text: str = text, base: float = base) -> str:
            return f"{f[f'other_loss_{text}'] - base:+.3f}"

        def kl(f: dict[str, Any], text: str = text) -> str:
            return f"{f[f'kl_{text}']:.3f}"

        columns |= {f"{name}: loss": loss, f"{name}: less the base's": change, f"{name}: KL": kl}
    if not columns:
        return "# Forgetting\n\nNot measured: the base was not measured on a text of another kind.\n"
    if any(P_NAME in row.figures for row in report.rows):
        columns["P(name)"] = lambda f: f"{100 * f[P_NAME]:.3g} %"
    models = [row for row in report.rows if row.name in schema.MODEL_ROWS]
    matched = "\n".join(
        _matched(report, text, name) for text, name in names.items() if f"{name}: loss" in columns
    )
    return f"# Forgetting\n\n{_markdown(report, columns, rows=models)}\n\n{FORGETTING_LEGEND}\n{matched}\n"


def _matched(report: Report, text: str, name: str) -> str:
    """What LoRA and full fine-tuning have forgotten where both have learned as much: a line."""
    key, gains = f"other_loss_{text}", []
    histories = {row.name: row.histories for row in report.rows}
    for seed, lora in histories["finetune_lora"].items():
        full = [histories[row][seed] for row in ("finetune", "finetune_long") if seed in histories[row]]
        if key not in lora or not full or any(key not in history for history in full):
            return f"- LoRA and full fine-tuning at equal dev loss, {name}: not measured."
        ends = pd.concat(full).dropna(subset=[key]).sort_values("dev_loss")
        points = lora.dropna(subset=[key]).sort_values("dev_loss")
        if ends.empty or points.empty:
            return f"- LoRA and full fine-tuning at equal dev loss, {name}: not measured."
        best = points.iloc[0]
        low, high = ends["dev_loss"].iloc[0], ends["dev_loss"].iloc[-1]
        if not low <= best["dev_loss"] <= high:
            return (
                f"- LoRA and full fine-tuning at equal dev loss, {name}: no match. LoRA's best is {best['dev_loss']:.3f}, "
                f"full fine-tuning stands between {high:.3f} and {low:.3f} where it was measured."
            )
        gains.append((best["dev_loss"], best[key], np.interp(best["dev_loss"], ends["dev_loss"], ends[key])))
    if not gains:
        return f"- LoRA and full fine-tuning at equal dev loss, {name}: not measured."
    dev, lora_loss, full_loss = np.mean(gains, axis=0)
    return (
        f"- LoRA and full fine-tuning at equal dev loss ({dev:.3f}, LoRA's best; between the points of finetune and "
        f"finetune_long), {name}: {lora_loss:.3f} and {full_loss:.3f}."
    )


def _differences_md(report: Report) -> str:
    """Which rows differ by more than their seeds do."""
    rows = [row for row in report.rows if row.name in schema.TRAINED_ROWS and not row.problem]
    if len(report.params.seeds) < 2:
        return "# Differences and their spread\n\nOne seed only: nothing can be said of the spread.\n"
    lines = ["| | " + " | ".join(row.name for row in rows[1:]) + " |", "|---|" + "---:|" * (len(rows) - 1)]
    for i, row in enumerate(rows[:-1]):
        cells = ["" for _ in rows[1 : i + 1]]
        for other in rows[i + 1 :]:
            gaps = other.evaluations["val_loss"] - row.evaluations["val_loss"]  # seed by seed
            larger = abs(gaps.mean()) > 2 * gaps.std()
            cells.append(f"{gaps.mean():+.3f} ± {gaps.std():.3f}" + (" **\\***" if larger else ""))
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
    return "# Differences and their spread\n\n" + "\n".join(lines) + "\n\n" + DIFFERENCES_LEGEND


def _markdown(
    report: Report,
    columns: dict[str, Callable[[dict[str, Any]], str]],
    notes: bool = False,
    rows: Sequence[Row] | None = None,
) -> str:
    """A table of all rows, or of some; a figure that a row doesn't have is a dash."""
    names = [*columns, *(["Notes"] if notes else [])]
    lines = ["| Row | " + " | ".join(names) + " |", "|---|" + "---:|" * len(columns) + "---|" * notes]
    for row in report.rows if rows is None else rows:
        figures = row.figures | {"reference": _reference(report, row)}
        cells = [row.name]
        for show in columns.values():
            try:
                cells.append(show(figures))
            except KeyError:  # the base was not trained, and a missing row has no figures
                cells.append("–")
        if notes:
            cells.append(_all_notes(row).replace("|", r"\|"))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _heading(report: Report) -> str:
    """Scale, corpus, base, sizes and seeds, in a line."""
    tokens = ", ".join(f"{count:,} {part}" for part, count in report.tokens.items())
    sizes: dict[str, list[str]] = {}
    for row in report.rows:
        if "parameters" in row.figures:
            sizes.setdefault(f"{row.figures['parameters'] / 1e6:.3g}M parameters", []).append(row.name)
    models = "; ".join(f"{_listed(names)} {size}" for size, names in sizes.items())
    if len(sizes) == 1:
        models = f"models of {next(iter(sizes))}"
    seeds = sorted(report.params.seeds)
    named = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    return (
        f"Scale {report.params.scale}: {corpus_name(report.params, report.corpus)} ({tokens} tokens); base: {base_name(report.params)}; "
        f"{models}; {named}"
    )


def _reference(report: Report, row: Row) -> str:
    return "" if row.problem else report.reference(row.name)


def _all_notes(row: Row) -> str:
    notes = f"missing: {row.problem}" if row.problem else "; ".join(row.notes)
    return " ".join(notes.split())


def _curves(report: Report) -> pd.DataFrame:
    """Losses during training in long form: row, seed, step, passes, train_loss, dev_loss."""
    parts = [
        history.assign(row=row.name, seed=seed)
        for row in report.rows
        for seed, history in row.histories.items()
    ]
    columns = ["row", "seed", *HISTORY]
    if not parts:
        return pd.DataFrame(columns=columns)
    table = pd.concat(parts)
    return table[[*columns, *(name for name in (EPOCHS, *PROBED) if name in table)]]


# --- the figures -----------------------------------------------------------------------------------------


def _write_figure(path: Path, report: Report, draw: Callable[[Report, Axes], None]) -> None:
    with matplotlib.style.context("default"):  # whatever the user's matplotlibrc says
        figure = Figure(figsize=FIGSIZE, dpi=DPI, layout="constrained")
        title = textwrap.fill(report.title, 95)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, parse_math=False)  # a path may have a $
        axes = figure.add_subplot()
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        draw(report, axes)
        figure.savefig(path, metadata={"Software": None})  # it would name matplotlib's version


def _draw_loss_curves(report: Report, axes: Axes) -> None:
    """Dev and train loss against passes; passes on a log scale, so that one epoch is visible beside many."""
    labels: list[tuple[float, str, str]] = []  # y, text, colour
    for row in report.rows:
        colour = COLOURS.get(row.name, OTHER_COLOUR)
        if row.name == "base" and not row.problem:
            zero_shot = float(row.figures["dev_loss"])
            axes.axhline(zero_shot, color=colour, linewidth=1.2, linestyle=":")
            labels.append((zero_shot, f"base {zero_shot:.2f}", colour))
        best, width = [], 1.6 if len(row.histories) == 1 else 0.9
        for seed, history in row.histories.items():
            axes.plot(
                history["passes"], history["train_loss"], "--", color=colour, linewidth=0.6 * width, alpha=0.5
            )
            axes.plot(history["passes"], history["dev_loss"], "-", color=colour, linewidth=width)
            at = history[history["step"] == row.evaluations.loc[seed, "best_step"]]
            axes.plot(at["passes"], at["dev_loss"], "o", color=colour, markersize=3 * width + 0.5)
            best += list(at["dev_loss"])
        if best:
            mean = sum(best) / len(best)
            labels.append((mean, f"{row.name} {mean:.2f}", colour))
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda passes, _: f"{passes:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("passes over the training text (log scale)")
    _label_at_right(axes, labels)
    key = [
        Line2D([], [], color="black", linewidth=1.5, label="dev loss"),
        Line2D([], [], color="black", linewidth=1, linestyle="--", alpha=0.5, label="train loss, eval mode"),
        Line2D([], [], color="black", linestyle="", marker="o", markersize=5, label="best on dev"),
        Line2D([], [], color=COLOURS["base"], linewidth=1.2, linestyle=":", label="base, zero-shot dev loss"),
    ]
    axes.legend(handles=key, fontsize=9, loc="upper right", framealpha=0.9, edgecolor="none")
    axes.set_ylabel("nats per token")
    axes.grid(**GRID)


def _draw_forgetting(report: Report, axes: Axes) -> None:
    """Loss on the base's own kind of text against dev loss, while training: learning goes left, forgetting up."""
    text = next(
        (text for text in OTHER if any(f"other_loss_{text}" in row.figures for row in report.rows)), None
    )
    base = report.base
    key = f"other_loss_{text}"
    for row in report.rows:
        colour = COLOURS.get(row.name, OTHER_COLOUR)
        for number, history in enumerate(row.histories.values()):
            if key not in history or key not in base:
                continue
            points = history[history[key].notna()]
            axes.plot(
                points["dev_loss"], points[key], "-o", color=colour, linewidth=1.4, markersize=4,
                label="" if number else row.name,
            )  # fmt: skip
            if number or EPOCHS not in points:
                continue
            whole = points[points[EPOCHS].round(1) >= 1]
            for end in sorted({*whole.index[:1], *whole.index[-1:]}):
                point = whole.loc[end]
                axes.annotate(
                    f"{point[EPOCHS]:.0f}", (point["dev_loss"], point[key]), xytext=(5, 4),
                    textcoords="offset points", color=colour, fontsize=9,
                )  # fmt: skip
    if key in base:
        axes.plot(
            base["dev_loss"], base[key], "s", color=COLOURS["base"], markersize=7, label="base, zero-shot"
        )
        axes.legend(fontsize=9, framealpha=0.9, edgecolor="none", title="numbers: epochs", title_fontsize=9)
    else:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", style="italic")
    axes.set_xlabel(
        "dev loss after each epoch and the first one's quarters (the square: exact): learning goes to the left"
    )
    axes.set_ylabel(f"loss on {str(text).replace('_', ' ')}, nats per token:\nforgetting goes up")
    axes.grid(**GRID)


def _draw_names(report: Report, axes: Axes) -> None:
    """P(name) while training, from the base's on."""
    base = report.base.get(P_NAME)
    drawn = False
    for row in report.rows:
        colour = COLOURS.get(row.name, OTHER_COLOUR)
        for number, history in enumerate(row.histories.values()):
            if P_NAME not in history or base is None:
                continue
            points = history[history[P_NAME].notna()]
            axes.plot(
                [0, *points["passes"]], [base, *points[P_NAME]], "-o", color=colour, linewidth=1.4, markersize=4,
                label="" if number else row.name,
            )  # fmt: skip
            drawn = True
        if P_NAME in row.figures and schema.TRAINED_ROWS.get(row.name, ("", "epochs"))[1] is None:
            axes.axhline(
                row.figures[P_NAME],
                color=colour,
                linewidth=1.2,
                linestyle="--",
                label=f"{row.name}, at its end",
            )
    if drawn:
        axes.set_yscale("log")
        axes.legend(fontsize=9, framealpha=0.9, edgecolor="none", loc="lower right")
    else:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", style="italic")
    axes.set_xlabel("passes over the training text; 0: the base")
    axes.set_ylabel("P(name): a speaker of train begins after a neutral prompt")
    axes.grid(**GRID)


def _label_at_right(axes: Axes, labels: Iterable[tuple[float, str, str]]) -> None:
    """Names beside the axes at their curves' heights, pushed up where they would overlap."""
    low, high = axes.get_ylim()
    gap, floor = 0.055 * (high - low), low
    for y, text, colour in sorted(labels):
        y = max(y, floor)
        axes.text(
            1.015, y, text, color=colour, va="center", weight="bold", fontsize=9.5,
            transform=axes.get_yaxis_transform(),
        )  # fmt: skip
        floor = y + gap


def _draw_val_loss(report: Report, axes: Axes) -> None:
    """A bar per row from zero, its value inside, and the reference's figure as a mark below it."""
    longest = 0.0
    for place, row in enumerate(report.rows):
        if row.problem:
            axes.text(0.06, place, "missing", va="center", style="italic", color="#666666")
            continue
        val_loss, std = row.figures["val_loss"], row.figures.get("val_loss_std")
        reference = report.reference(row.name)
        longest = max(longest, val_loss, float(reference or 0))
        axes.barh(place, val_loss, 0.6, color=COLOURS.get(row.name, OTHER_COLOUR))
        shown = f"{val_loss:.3f}"
        if std is not None:
            axes.errorbar(val_loss, place, xerr=std, color="black", capsize=4, linewidth=1.2)
            shown += f" ± {std:.3f}"
        axes.text(0.06, place, shown, va="center", color="white", weight="bold", fontsize=11)
        if reference:
            axes.plot(float(reference), place + 0.4, "^", color="black", markersize=6, clip_on=False)
            axes.text(
                val_loss + 0.06 if std is None else val_loss + std + 0.1,
                place,
                f"▲ reference {reference}",
                va="center",
                fontsize=9,
            )
    axes.set_yticks(range(len(report.rows)), [row.name for row in report.rows], fontsize=11)
    axes.set_ylim(len(report.rows) - 0.4, -0.5)
    axes.set_xlim(0, 1.18 * longest)
    label = "val loss (exact), nats per token: lower is better"
    if report.corpus == REFERENCE_CORPUS:
        label += "\n▲ published for GPT-2 124M, by the reference's own protocol"
    axes.set_xlabel(label)
    axes.grid(axis="x", **GRID)


# --- the samples -----------------------------------------------------------------------------------------


def _samples_md(report: Report) -> str:
    """Every sample, by prompt and then by row; one that can't be read is named."""
    path, first_seed = Paths(report.params.scale).samples, report.params.seeds[0]
    lines = [f"# Samples at scale {report.title}", ""]
    if report.corpus == "plays":
        lines += ["The models of this scale saw built-in, made-up text: nothing here is Shakespeare.", ""]
    try:
        facts = read_json(path)
        settings = ", ".join(f"{name} {value}" for name, value in facts["settings"].items())
        lines += [f"{settings}. Trained rows: the models of seed {first_seed}. None is selected by hand.", ""]
        rows: dict[str, list[dict[str, Any]]] = facts["rows"]
        prompts = dict.fromkeys(sample["prompt"] for row in schema.MODEL_ROWS for sample in rows.get(row, ()))
        for number, prompt in enumerate(prompts, 1):
            lines += [f"## Prompt {number}", "", _fenced(prompt), ""]
            for row in schema.MODEL_ROWS:
                samples = [sample for sample in rows.get(row, ()) if sample["prompt"] == prompt]
                lines += [f"### {row}", ""] + ([] if samples else ["No samples.", ""])
                for sample in samples:
                    lines += [f"seed {sample['seed']}", "", _fenced(sample["text"]), ""]
    except ReportError as error:
        lines += [f"Missing: {error}", ""]
    except (KeyError, TypeError, AttributeError):
        lines += [f"Missing: {path}: not as stages/sample.py writes it", ""]
    return "\n".join(lines)


def _fenced(text: str) -> str:
    """A Markdown code block that no backticks inside can close; control characters become U+FFFD."""
    text = "".join(
        char if char in "\n\t" or unicodedata.category(char)[0] != "C" else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    end = "" if text.endswith("\n") else "\n"
    return f"{fence}text\n{text}{end}{fence}"


# --- small things ----------------------------------------------------------------------------------------


def _listed(names: list[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def _rounded(value: float) -> int | float:
    value = round(float(value), DECIMALS) + 0.0  # no -0.0
    return int(value) if value.is_integer() else value


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
