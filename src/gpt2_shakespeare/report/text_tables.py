"""Tables of what the rows' texts are like beside human text: memorisation, style, variety, decoding."""

from typing import Any

import pandas as pd

from gpt2_shakespeare.params import Params
from gpt2_shakespeare.report.markdown import shown
from gpt2_shakespeare.report.registry import OTHER_TEXTS
from gpt2_shakespeare.report.texts import OFF, Figures, Texts

DECIMALS = 6  # of every figure in analysis.csv
NOVELTY = (4, 6, 8, 10)

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
    "Off human": (OFF, ".3f"),
}


def csv(rows: list[Texts]) -> str:
    """Every figure: a line for each row and seed, of human text for each draw, then for each cell of the grid; what is missing says why."""
    lines: list[dict[str, Any]] = []
    for row in rows:
        for seed, figures in row.figures.items():
            curves = {
                f"recalled_{part}_{k}": share
                for part, by_seed in row.recalled.items()
                for k, share in enumerate(by_seed[seed], 1)
            }
            known = {"seed": seed} if row.trained or row.human else {}
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


def figures(rows: list[Texts], columns: Columns) -> pd.DataFrame:
    """A table of figures as strings; a row without any says why in its first cell."""
    lines = [
        _missing(row.problem, list(columns))
        if row.problem
        else [row.shown(figure, form) for figure, form in columns.values()]
        for row in rows
    ]
    return _by_row(lines, list(columns), rows)


def known_by_heart(rows: list[Texts]) -> pd.DataFrame | None:
    """How far the untouched base goes on as each text does; None where it was asked about the corpus only."""
    names = {"train": "train", "val": "val"} | OTHER_TEXTS
    base = next((row for row in rows if row.name == "base"), None)
    known = [text for text in names if base and not base.values(f"mean_matched_{text}").empty]
    if base is None or not set(known) & set(OTHER_TEXTS):
        return None
    lines = [
        [base.shown(f"mean_matched_{text}", ".2f"), base.shown(f"recalled_{text}", ".2%")] for text in known
    ]
    heads = ["Tokens recalled, mean", "All recalled"]
    return pd.DataFrame(lines, columns=heads, index=pd.Index([names[text] for text in known], name="Text"))


def decoding(rows: list[Texts], params: Params) -> pd.DataFrame:
    """Distance from human text: at the samples' setting over all seeds, else of the first seed's model in some cells."""
    sampled = named(params.sample.temperature, params.sample.top_p)
    heads = ["greedy", "pure sampling", sampled, "best", "at"]
    lines, models = [], [row for row in rows if not row.human]
    for row in models:
        if row.no_cells:
            lines.append(_missing(row.no_cells, heads))
            continue
        best = row.nearest
        lines.append(
            [
                off(row.cells.get((0.0, 1.0), {})),
                off(row.cells.get((1.0, 1.0), {})),
                row.shown(OFF, ".3f"),
                off(row.cells[best] if best else {}),
                named(*best) if best else shown(None),
            ]
        )
    return _by_row(lines, heads, models)


def off(figures: Figures) -> str:
    return shown(figures.get(OFF), ".3f")


def named(temperature: float, top_p: float) -> str:
    return f"temperature {temperature:g}, top-p {top_p:g}" if temperature else "greedy"


def _missing(problem: str, heads: list[str]) -> list[str]:
    return [f"missing: {problem}", *[""] * (len(heads) - 1)]


def _by_row(lines: list[list[str]], heads: list[str], rows: list[Texts]) -> pd.DataFrame:
    return pd.DataFrame(lines, columns=heads, index=pd.Index([row.name for row in rows], name="Row"))
