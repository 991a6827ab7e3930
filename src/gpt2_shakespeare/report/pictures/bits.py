"""bits_per_char.png: what a character of val costs under every kind of model, static or adapting."""

from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gpt2_shakespeare.report.losses import Losses, Result
from gpt2_shakespeare.report.pictures import style
from gpt2_shakespeare.report.registry import ADAPTING


def adapts(result: Result) -> bool:
    """Whether a row goes on learning from val while it is measured on it."""
    return result.row.kind == "adapting" or result.row.cached or result.name in ADAPTING


def draw(losses: Losses) -> Figure:
    """A mark per row, the best one at the bottom: filled for a static model, open for one that adapts."""
    looks = style.looks(losses.params.rows)
    there = [result for result in losses.results if not result.problem]
    there.sort(
        key=lambda result: -result.figures["bits_per_char"]
    )  # rows of one value stay in the table's order
    figure = style.canvas(
        "What a character of val costs", losses.title, height=max(style.HEIGHT, 1.2 + 0.26 * len(there))
    )
    axes = style.panel(figure.add_subplot(), grid="x")
    for place, result in enumerate(there):
        bits, colour = result.figures["bits_per_char"], looks[result.name].colour
        axes.plot([0, bits], [place, place], color=colour, linewidth=1, alpha=0.4)
        axes.plot(
            bits,
            place,
            "o",
            markersize=8,
            color=colour,
            markerfacecolor="white" if adapts(result) else colour,
        )
        axes.annotate(
            f"{bits:.3f}",
            (bits, place),
            (8, 0),
            textcoords="offset points",
            va="center_baseline",
            fontsize=10,
        )
    axes.set_yticks(range(len(there)), [result.name for result in there], fontsize=10)
    axes.set_ylim(len(there) - 0.4, -0.6)
    axes.set_xlim(0, 1.12 * max(result.figures["bits_per_char"] for result in there))
    axes.set_xlabel("val, bits per character: lower is better")
    dot: dict[str, Any] = {"color": style.BASE, "marker": "o", "linestyle": "", "markersize": 8}
    figure.legend(
        [Line2D([], [], **dot), Line2D([], [], **dot, markerfacecolor="white")],
        ["learns nothing from val", "adapts: learns from each part of val once it is predicted"],
        loc="outside lower left", ncols=2, **style.LEGEND,
    )  # fmt: skip
    return figure
