"""What the rows' texts are like, as tables and figures beside human text: analysis.* under metrics/. No torch."""

import logging
import math
import statistics
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gpt2_shakespeare.params import schema
from gpt2_shakespeare.paths import Paths
from gpt2_shakespeare.report.table import (
    COLOURS,
    DPI,
    GRID,
    OTHER_COLOUR,
    ReportError,
    read_json,
    scale_title,
)

log = logging.getLogger(__name__)

TABLES, TABLE_CSV, DECODING, MEMORISATION = "analysis.md", "analysis.csv", "decoding.png", "memorisation.png"

DECIMALS = 6  # of every figure in analysis.csv
HUMAN = "human"
ROWS = (HUMAN, *schema.MODEL_ROWS)
NOVELTY = (4, 6, 8, 10)
# What the distance from human text is taken over: one figure of likeness, by a scorer that no row has trained on
# the text of, and four of variety. None of them is ever 0.
COMPARED = ("bits_per_char_dev", "distinct_2", "self_bleu", "compression_ratio", "zipf")

# Heading -> (figure, format); shares in percent
Columns = dict[str, tuple[str, str]]
MEMORISED: Columns = {
    **{f"{n}-grams in train": (f"in_train_{n}", ".2%") for n in NOVELTY},
    "Longest match": ("longest_match", ".0f"),
    "Longest match, mean of texts": ("mean_longest_match", ".2f"),
    "Recalled of train": ("mean_matched_train", ".2f"),
    "Recalled of val": ("mean_matched_val", ".2f"),
    "All recalled, train": ("recalled_train", ".2%"),
    "All recalled, val": ("recalled_val", ".2%"),
}
STYLE: Columns = {
    "Bits/char, scorer of train": ("bits_per_char_train", ".3f"),
    "Bits/char, scorer of dev": ("bits_per_char_dev", ".3f"),
    "Lines": ("line_distance", ".3f"),
    "Turns": ("turn_distance", ".3f"),
    "Headings' looks": ("heading_distance", ".3f"),
    "Headings": ("headings", ".0f"),
    "… of train": ("names_train", ".1%"),
    "… of the prompt": ("names_prompt", ".1%"),
    "… of neither": ("names_neither", ".1%"),
    "Names": ("name_distance", ".3f"),
}
VARIETY: Columns = {
    "Distinct-1": ("distinct_1", ".3f"),
    "Distinct-2": ("distinct_2", ".3f"),
    "Distinct-3": ("distinct_3", ".3f"),
    "Self-BLEU": ("self_bleu", ".3f"),
    "Compression": ("compression_ratio", ".3f"),
    "Repeated 4-grams": ("repeated", ".2%"),
    "Zipf": ("zipf", ".3f"),
    "Off human": ("off", ".3f"),
}

MEMORISED_LEGEND = """\
- **n-grams in train**: share of the texts' n-grams of tokens that stand in train; what is left is new.
- **Longest match**: the longest stretch of tokens that a text shares with train, exactly.
- **Recalled**: of {prefixes} prefixes of {prefix_tokens} tokens, continued greedily: how many tokens go on as the
  original does, on average; and the share where all {recall_tokens} do. Val, which no row was trained on, is the control: only
  what train has beyond it is memory.
"""
STYLE_LEGEND = """\
- **Bits/char**: what a Kneser-Ney trigram needs to write the texts down. One has counted train, as the rows have:
  it takes words copied from there for good style. One has counted dev, on which nothing was trained; it is small.
  Lower than human text isn't better: the text is then more predictable than what people wrote.
- **Lines, turns, headings' looks**: Jensen-Shannon distance of their lengths (characters in tens, lines) and of their
  words' capitals from all of val, from 0 (the same) to 1. For human texts, which are of val, it is the chance of the draw.
- **Headings**: speakers' headings in the texts, and the share whose name is a speaker of train, of the text's own prompt
  only, or of neither. **Names**: distance of the names' frequencies from train's; 1 is no name in common.
- MAUVE, the usual figure for style, needs a large pretrained model to compare texts by, and isn't computed here.
"""
VARIETY_LEGEND = """\
- **Distinct-n**: different n-grams over all n-grams. **Self-BLEU**: likeness of each text to the others.
  **Compression**: bytes over zlib's. **Repeated 4-grams**: share that its text has had before. **Zipf**: how steeply
  tokens' frequencies fall with their rank.
- **Off human**: mean of |log(figure / human figure)| over bits/char (scorer of dev), distinct-2, self-BLEU,
  compression and Zipf: 0.1 for figures that are a tenth off. For human text it is how far another draw of val is from
  this one: what is as near as that is as human as these figures can tell, which know nothing of sense.
"""
DECODING_LEGEND = """\
The distance **off human** (above) for every temperature and top-p, with the models of seed {seed}. Differences
smaller than two draws of human text have, or than the ± over the seeds, say nothing. All cells are in analysis.csv.
"""


@dataclass(frozen=True)
class Row:
    """What is known of one row's texts: figures by seed, and of each decoding setting, or why they are missing."""

    name: str
    figures: dict[int, dict[str, float]] = field(default_factory=dict)  # by seed
    # by part and seed, for at least 1, 2, ... tokens
    recalled: dict[str, dict[int, list[float]]] = field(default_factory=dict)
    problem: str = ""
    cells: dict[tuple[float, float], dict[str, float]] = field(default_factory=dict)  # by temperature, top_p
    no_cells: str = ""  # why there are none

    @property
    def nearest(self) -> tuple[float, float] | None:
        """The decoding setting nearest to human text."""
        known = {decoding: figures["off"] for decoding, figures in self.cells.items() if "off" in figures}
        return min(known, key=lambda decoding: known[decoding]) if known else None

    def shown(self, figure: str, form: str) -> str:
        """Mean over the seeds, ± the sample's standard deviation; a dash where a seed's texts have no such figure."""
        values = [figures[figure] for figures in self.figures.values() if figure in figures]
        if not values or len(values) < len(self.figures):
            return "–"
        text = format(statistics.mean(values), form)
        return text + (f" ± {format(statistics.stdev(values), form)}" if len(values) > 1 else "")


def write(params: schema.Params) -> Path:
    """Write the analysis's files into metrics/<scale>/ and return that folder.

    Raises:
        ReportError: there is nothing to report.
    """
    rows = read(params)
    out = Paths(params.scale).metrics
    out.mkdir(parents=True, exist_ok=True)
    (out / TABLES).write_text(_tables(params, rows), encoding="utf-8", newline="\n")
    (out / TABLE_CSV).write_text(_table_csv(rows), encoding="utf-8", newline="\n")
    with matplotlib.style.context("default"):  # whatever the user's matplotlibrc says
        for name, draw in ((DECODING, _draw_decoding), (MEMORISATION, _draw_memorisation)):
            draw(params, rows).savefig(out / name, metadata={"Software": None})
    return out


# --- reading ---------------------------------------------------------------------------------------------


def read(params: schema.Params) -> list[Row]:
    """Every row in order, human text first.

    Raises:
        ReportError: no row has been analysed.
    """
    human = _read_row(HUMAN, params, {})
    reference = human.figures.get(0, {})
    rows = [human, *(_read_row(name, params, reference) for name in schema.MODEL_ROWS)]
    if all(row.problem for row in rows):
        raise ReportError(
            f"no texts of scale {params.scale} have been analysed: {human.problem}; run `dvc repro`"
        )
    for row in rows:
        for problem in filter(None, (row.problem, row.no_cells)):
            log.warning("%s is missing: %s", row.name, problem)
    return rows


def _read_row(name: str, params: schema.Params, human: dict[str, float]) -> Row:
    """One row with all its seeds; without one of them it is missing: a mean over fewer would mislead."""
    at = Paths(params.scale)
    seeds = sorted(params.seeds) if name in schema.TRAINED_ROWS else [0]
    figures, problems = {}, []
    recalled: dict[str, dict[int, list[float]]] = {"train": {}, "val": {}}
    for seed in seeds:
        path = at.analysis(name, seed)
        try:
            facts = read_json(path)
            figures[seed] = _figures(path, facts, human)
            if name == HUMAN:  # how far another draw of human text is from this one
                other = _figures(path, {"figures": facts.get("other_draw")}, figures[seed])
                figures[seed] |= {"off": other["off"]} if "off" in other else {}
            for part in recalled if name != HUMAN else ():
                recalled[part][seed], mean = _recall(path, facts, part)
                figures[seed] |= {
                    f"recalled_{part}": recalled[part][seed][-1],
                    f"mean_matched_{part}": mean,
                }
        except ReportError as error:
            problems.append(str(error))
    cells, no_cells = {}, ""
    if name != HUMAN:
        try:
            cells = _read_cells(at.decoding(name), params, human)
        except ReportError as error:
            no_cells = str(error)
    if problems:
        return Row(name, problem="; ".join(problems), cells=cells, no_cells=no_cells)
    return Row(name, figures, recalled, cells=cells, no_cells=no_cells)


def _read_cells(
    path: Path, params: schema.Params, human: dict[str, float]
) -> dict[tuple[float, float], dict[str, float]]:
    facts = read_json(path)
    try:
        found = {(float(cell["temperature"]), float(cell["top_p"])): cell for cell in facts["cells"]}
    except (KeyError, TypeError, ValueError):
        raise ReportError(f"{path}: not as stages/decode.py writes it") from None
    cells = {decoding: _figures(path, cell, human) for decoding, cell in found.items()}
    if set(cells) != set(params.analysis.decodings()):
        raise ReportError(f"{path}: of other temperatures or top_ps than params.yaml's")
    return cells


def _figures(path: Path, facts: dict[str, Any], human: dict[str, float]) -> dict[str, float]:
    """The figures of a set of texts, each a finite number, and their distance from human text where that is known."""
    figures = facts.get("figures")
    if not isinstance(figures, dict) or not figures:
        raise ReportError(f"{path}: no figures in it")
    for name, value in figures.items():
        if not _is_number(value):
            raise ReportError(f"{path}: {name} is {value!r:.40}")
    figures = dict(figures)
    if human and all(figures.get(name, 0) > 0 and human.get(name, 0) > 0 for name in COMPARED):
        figures["off"] = statistics.mean(abs(math.log(figures[name] / human[name])) for name in COMPARED)
    return figures


def _recall(path: Path, facts: dict[str, Any], part: str) -> tuple[list[float], float]:
    """Shares recalled for at least 1, 2, ... tokens, and the mean number of tokens."""
    try:
        found = facts[f"recall_{part}"]
        shares, mean = found["recalled"], found["mean_matched"]
        good = isinstance(shares, list) and shares and all(map(_is_number, [*shares, mean]))
    except (KeyError, TypeError):
        good = False
    if not good:
        raise ReportError(f"{path}: no recall of {part} in it")
    return shares, mean


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and abs(value) < 1e15  # nan: no


# --- the tables ------------------------------------------------------------------------------------------


def _table_csv(rows: list[Row]) -> str:
    """Every figure: a line for each row and seed, then for each cell of the grid; what is missing says why."""
    lines: list[dict[str, Any]] = []
    for row in rows:
        for seed, figures in row.figures.items():
            curves = {
                f"recalled_{part}_{k}": share
                for part, by_seed in row.recalled.items()
                for k, share in enumerate(by_seed.get(seed, ()), 1)
            }
            known = {"seed": seed} if row.name in schema.TRAINED_ROWS else {}
            lines.append({"row": row.name, "part": "texts"} | known | figures | curves)
        if row.problem:
            lines.append({"row": row.name, "part": "texts", "notes": f"missing: {row.problem}"})
    for row in rows:
        for (temperature, top_p), figures in row.cells.items():
            setting = {"temperature": temperature, "top_p": top_p}
            lines.append({"row": row.name, "part": "grid"} | setting | figures)
        if row.no_cells:
            lines.append({"row": row.name, "part": "grid", "notes": f"missing: {row.no_cells}"})
    first = ["row", "part", "seed", "temperature", "top_p"]
    names = list(dict.fromkeys(name for line in lines for name in line if name not in (*first, "notes")))
    lines = [
        {name: round(value, DECIMALS) if isinstance(value, float) else value for name, value in line.items()}
        for line in lines
    ]
    table = pd.DataFrame(lines, columns=[*first, *names, "notes"], dtype=object)
    return table.to_csv(index=False, lineterminator="\n")


def _tables(params: schema.Params, rows: list[Row]) -> str:
    settings = params.analysis.model_dump()
    lines = [
        f"# The texts at scale {scale_title(params, params.at_scale.corpus)}",
        "",
        f"Of every row {params.analysis.samples} texts of {params.analysis.max_new_tokens} tokens, each going on from "
        f"{params.analysis.prompt_tokens} tokens of val; {_setting(params)}. **human** is what stands there in val. "
        "Several seeds: their mean, and ± the standard deviation of the sample. A dash: the texts have none of it.",
        "",
    ]
    parts = (
        ("Memorisation", MEMORISED, MEMORISED_LEGEND.format(**settings)),
        ("Style and names", STYLE, STYLE_LEGEND),
        ("Variety and degeneration", VARIETY, VARIETY_LEGEND),
    )
    for title, columns, legend in parts:
        lines += [f"## {title}", "", *_markdown(rows, columns), "", legend]
    lines += ["## Decoding", "", *_decoding_table(params, rows), ""]
    lines.append(DECODING_LEGEND.format(seed=params.seeds[0]))
    return "\n".join(lines)


def _markdown(rows: list[Row], columns: Columns) -> list[str]:
    lines = ["| Row | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for row in rows:
        if row.problem:
            cells = [_in_cell(f"missing: {row.problem}"), *[""] * (len(columns) - 1)]
        else:
            cells = [row.shown(figure, form) for figure, form in columns.values()]
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
    return lines


def _decoding_table(params: schema.Params, rows: list[Row]) -> list[str]:
    """Off human at the setting of the samples, over all seeds; then of the first seed's model in the grid's main cells."""
    wanted = {"greedy": (0.0, 1.0), "pure sampling": (1.0, 1.0)}
    names = [
        *wanted,
        f"temperature {params.sample.temperature:g}, top-p {params.sample.top_p:g}",
        "best",
        "at",
    ]
    lines = ["| Row | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for row in rows[1:]:
        if row.no_cells:
            lines.append(f"| {row.name} | " + _in_cell(f"missing: {row.no_cells}") + " |" * len(names))
            continue
        cells = [_off(row.cells.get(decoding)) for decoding in wanted.values()]
        cells.append(row.shown("off", ".3f"))
        best = row.nearest
        cells += [_off(row.cells[best]), _named(*best)] if best else ["–", "–"]
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
    return lines


def _off(figures: dict[str, float] | None) -> str:
    return f"{figures['off']:.3f}" if figures and "off" in figures else "–"


def _named(temperature: float, top_p: float) -> str:
    return f"temperature {temperature:g}, top-p {top_p:g}" if temperature else "greedy"


def _setting(params: schema.Params) -> str:
    return _named(params.sample.temperature, params.sample.top_p)


def _in_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


# --- the figures -----------------------------------------------------------------------------------------


def _draw_decoding(params: schema.Params, rows: list[Row]) -> Figure:
    """A panel a row: temperature by top-p, coloured by the distance from human text; greedy is one wide cell."""
    human, models = rows[0], rows[1:]
    columns = min(4, len(models))
    lines = -(-len(models) // columns)
    figure = Figure(figsize=(3.3 * columns, 3.6 * lines + 1.1), dpi=DPI, layout="constrained")
    title = f"{scale_title(params, params.at_scale.corpus)}\nhow far texts are from human text, by temperature and top-p (darker: nearer)"
    if not human.problem:
        figures = human.figures[0]
        title += (
            f"\nbold: mean |log(figure / human figure)|, {_off(figures)} between two draws of human text; "
            f"small: bits/char (scorer of dev) and distinct-2, of human text "
            f"{figures.get('bits_per_char_dev', math.nan):.2f} and {figures.get('distinct_2', math.nan):.2f}"
        )
    figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, parse_math=False)
    known = [max(cell["off"], 1e-3) for row in models for cell in row.cells.values() if "off" in cell]
    lowest = min(known, default=0.1)
    scale = LogNorm(lowest, max(known, default=0.1) + 1e-9, clip=True)  # greedy text is far out
    for number, row in enumerate(models, 1):
        axes = figure.add_subplot(lines, columns, number)
        axes.set_title(row.name, fontsize=11, weight="bold", color=COLOURS.get(row.name, OTHER_COLOUR))
        if row.no_cells:
            reason = textwrap.fill(f"missing: {row.no_cells}", 30)
            axes.text(
                0.5, 0.5, reason, ha="center", va="center", fontsize=9, style="italic", parse_math=False
            )
            axes.set_axis_off()
        else:
            _draw_grid(axes, params, row, scale)
    marks: list[Any] = [
        Line2D([], [], linestyle="", marker="s", markersize=12, markerfacecolor="none", markeredgecolor="#D55E00",
               markeredgewidth=2.2, label=_setting(params)),
        Line2D([], [], linestyle="", marker="*", markersize=13, color="#D55E00", label="nearest to human text"),
    ]  # fmt: skip
    figure.legend(handles=marks, loc="outside lower left", ncols=2, frameon=False, fontsize=9.5)
    return figure


def _draw_grid(axes: Axes, params: schema.Params, row: Row, scale: LogNorm) -> None:
    temperatures, top_ps = sorted(params.analysis.temperatures), sorted(params.analysis.top_ps)
    colours = matplotlib.colormaps["Blues_r"]
    for (temperature, top_p), figures in row.cells.items():
        y, wide = temperatures.index(temperature), len(top_ps) if temperature == 0 else 1
        x = 0 if temperature == 0 else top_ps.index(top_p)
        shade = 0.1 + 0.75 * float(scale(figures["off"])) if "off" in figures else 1.0
        axes.add_patch(Rectangle((x, y), wide, 1, facecolor=colours(shade), edgecolor="white", linewidth=1.5))
        ink = "white" if shade < 0.45 else "black"
        middle = x + wide / 2
        off = _off(figures) + (" (greedy)" if temperature == 0 else "")
        axes.text(middle, y + 0.62, off, ha="center", va="center", color=ink, fontsize=11, weight="bold")
        small = f"{figures.get('bits_per_char_dev', math.nan):.2f}  {figures.get('distinct_2', math.nan):.2f}"
        axes.text(middle, y + 0.25, small, ha="center", va="center", color=ink, fontsize=8.5)
        if (temperature, top_p) == row.nearest:
            axes.plot(x + wide - 0.13, y + 0.85, "*", color="#D55E00", markeredgecolor="white", markersize=14)
        if (temperature, top_p) == (params.sample.temperature, params.sample.top_p):
            axes.add_patch(
                Rectangle((x + 0.03, y + 0.03), wide - 0.06, 0.94, fill=False, edgecolor="#D55E00", linewidth=2.2)
            )  # fmt: skip
    axes.set_xlim(0, len(top_ps))
    axes.set_ylim(0, len(temperatures))
    axes.set_xticks([x + 0.5 for x in range(len(top_ps))], [f"{top_p:g}" for top_p in top_ps])
    axes.set_yticks([y + 0.5 for y in range(len(temperatures))], [f"{each:g}" for each in temperatures])
    axes.set_xlabel("top-p")
    axes.set_ylabel("temperature")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _draw_memorisation(params: schema.Params, rows: list[Row]) -> Figure:
    """Left: n-grams of the texts that stand in train. Right: tokens recalled after prefixes of train, and of val."""
    figure = Figure(figsize=(10, 5), dpi=DPI, layout="constrained")
    figure.suptitle(
        f"{scale_title(params, params.at_scale.corpus)}\nwhat texts take from train word for word, {_setting(params)}",
        x=0.01, ha="left", fontsize=10.5, parse_math=False,  # a path may have a $
    )  # fmt: skip
    novelty, recall = figure.subplots(1, 2)
    for row in rows:
        human = row.name == HUMAN
        colour = "black" if human else COLOURS.get(row.name, OTHER_COLOUR)
        if row.problem:
            novelty.plot([], [], " ", label=f"{row.name}: missing")
            continue
        shares = {n: _mean(row, f"in_train_{n}") for n in NOVELTY}
        there = {n: share for n, share in shares.items() if share is not None}
        style = "--" if human else "-"
        label = "human text (val)" if human else row.name
        novelty.plot(
            list(there), list(there.values()), style, marker="o", color=colour, markersize=4, label=label
        )
        for part, style in (("train", "-"), ("val", ":")):
            if by_seed := row.recalled.get(part):
                mean = [statistics.mean(column) for column in zip(*by_seed.values(), strict=False)]
                recall.plot(range(1, len(mean) + 1), mean, style, color=colour, linewidth=1.6)
    novelty.set_title("share of the texts' n-grams that stand in train", fontsize=10)
    novelty.set_xlabel("n, tokens")
    novelty.set_xticks(NOVELTY)
    recall.set_title("share of prefixes continued as the original, greedily", fontsize=10)
    recall.set_xlabel("for at least so many tokens")
    last = max((len(line.get_xdata()) for line in recall.lines), default=1)
    some = [k for line in recall.lines for k, share in enumerate(line.get_ydata(), 1) if share > 0]
    recall.set_xlim(1, min(last, max(some, default=1) + 1) + 0.2)
    recall.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (novelty, recall):
        axes.set_yscale("symlog", linthresh=0.01)
        axes.set_ylim(0, 1)
        axes.set_yticks([0, 0.01, 0.03, 0.1, 0.3, 1])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
        axes.minorticks_off()
        axes.grid(**GRID)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    novelty.legend(fontsize=9, frameon=False)
    recall.legend(
        handles=[
            Line2D([], [], color="black", label="prefixes of train"),
            Line2D([], [], color="black", linestyle=":", label="prefixes of val, the control"),
        ],
        fontsize=9, frameon=False,
    )  # fmt: skip
    return figure


def _mean(row: Row, figure: str) -> float | None:
    values = [figures[figure] for figures in row.figures.values() if figure in figures]
    return statistics.mean(values) if values and len(values) == len(row.figures) else None
