"""decoding.png: how far texts are from human text, by temperature and top-p."""

import math
import textwrap

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from gpt2_shakespeare.params import Params
from gpt2_shakespeare.report.pictures import style
from gpt2_shakespeare.report.text_tables import named, off
from gpt2_shakespeare.report.texts import OFF, Figures, Texts

PANELS = 4  # side by side


def draw(texts: list[Texts], params: Params, title: str) -> Figure:
    """A panel a row: temperature by top-p, coloured by the distance from human text; greedy is one wide cell."""
    human, models = texts[0], texts[1:]
    columns = min(PANELS, len(models))
    lines = -(-len(models) // columns)
    if not human.problem:
        figures = human.mean
        title += (
            f"\nbold: mean |log(figure / human figure)|, {off(figures)} from a draw of human text to the others; "
            f"small: bits/char (scorer of dev) and distinct-2, of human text {_small(figures, ' and ')}"
        )
    figure = style.canvas(
        "How far texts are from human text, by temperature and top-p (darker: nearer)",
        title,
        width=3.3 * columns,
        height=3.6 * lines + 1.1,
    )
    looks = style.looks(params.rows)
    known = [max(cell[OFF], 1e-3) for row in models for cell in row.cells.values() if OFF in cell]
    # logarithmic, as greedy text is far out
    scale = LogNorm(min(known, default=0.1), max(known, default=0.1) + 1e-9, clip=True)
    for number, row in enumerate(models, 1):
        axes = figure.add_subplot(lines, columns, number)
        axes.set_title(row.name, fontsize=11, weight="bold", color=looks[row.name].colour)
        if row.no_cells:
            reason = textwrap.fill(f"missing: {row.no_cells}", 30)
            axes.text(
                0.5, 0.5, reason, ha="center", va="center", fontsize=9, style="italic", parse_math=False
            )
            axes.set_axis_off()
        else:
            _draw_grid(axes, params, row, scale)
    marks = [
        Line2D(
            [], [], linestyle="", marker="s", markersize=12, markerfacecolor="none", markeredgecolor=style.MARK,
            markeredgewidth=2.2, label=named(params.sample.temperature, params.sample.top_p),
        ),
        Line2D([], [], linestyle="", marker="*", markersize=13, color=style.MARK, label="nearest to human text"),
    ]  # fmt: skip
    figure.legend(handles=marks, loc="outside lower left", ncols=2, **style.LEGEND)
    return figure


def _draw_grid(axes: Axes, params: Params, row: Texts, scale: LogNorm) -> None:
    temperatures, top_ps = sorted(params.analysis.temperatures), sorted(params.analysis.top_ps)
    colours = matplotlib.colormaps["Blues_r"]
    sampled = params.sample.temperature, params.sample.top_p if params.sample.temperature else 1.0
    for (temperature, top_p), figures in row.cells.items():
        y, wide = temperatures.index(temperature), len(top_ps) if temperature == 0 else 1
        x = 0 if temperature == 0 else top_ps.index(top_p)
        shade = 0.1 + 0.75 * float(scale(figures[OFF])) if OFF in figures else 1.0
        axes.add_patch(Rectangle((x, y), wide, 1, facecolor=colours(shade), edgecolor="white", linewidth=1.5))
        ink = "white" if shade < 0.45 else "black"
        middle = x + wide / 2
        bold = off(figures) + (" (greedy)" if temperature == 0 else "")
        axes.text(middle, y + 0.62, bold, ha="center", va="center", color=ink, fontsize=11, weight="bold")
        axes.text(middle, y + 0.25, _small(figures, "  "), ha="center", va="center", color=ink, fontsize=8.5)
        if (temperature, top_p) == row.nearest:
            axes.plot(
                x + wide - 0.13, y + 0.85, "*", color=style.MARK, markeredgecolor="white", markersize=14
            )
        if (temperature, top_p) == sampled:
            inside = Rectangle(
                (x + 0.03, y + 0.03), wide - 0.06, 0.94, fill=False, edgecolor=style.MARK, linewidth=2.2
            )
            axes.add_patch(inside)
    axes.set_xlim(0, len(top_ps))
    axes.set_ylim(0, len(temperatures))
    axes.set_xticks([x + 0.5 for x in range(len(top_ps))], [f"{top_p:g}" for top_p in top_ps])
    axes.set_yticks([y + 0.5 for y in range(len(temperatures))], [f"{each:g}" for each in temperatures])
    axes.set_xlabel("top-p")
    axes.set_ylabel("temperature")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _small(figures: Figures, between: str) -> str:
    return between.join(f"{figures.get(name, math.nan):.2f}" for name in ("bits_per_char_dev", "distinct_2"))
