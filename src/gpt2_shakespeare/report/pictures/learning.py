"""learning_curves.png: val loss over the amount of training text."""

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from gpt2_shakespeare.report.learning import LearningCurves
from gpt2_shakespeare.report.pictures import style


def draw(learned: LearningCurves, rows: dict[str, style.Look], title: str) -> Figure:
    """A line for each row, over train tokens on a log scale; baselines are grey."""
    figure = style.canvas("Val loss by the amount of training text", title)
    axes = style.panel(figure.add_subplot())
    if not learned.curves:
        style.not_measured(axes)
        return figure
    axes.set_xscale("log")
    ends = []
    for curve in learned.curves:
        look = rows[curve.row.name]
        axes.plot(
            curve.tokens, curve.losses, look.line, marker=look.marker, color=look.colour, linewidth=1.6, markersize=5
        )  # fmt: skip
        last = curve.losses[-1]
        ends.append(style.End(curve.tokens[-1], last, f"{curve.row.name} {last:.2f}", look.colour))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tokens, _: f"{tokens:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("tokens trained on: the end of train (log scale)")
    axes.set_ylabel("val loss (exact), nats per token")
    style.label_ends(figure, axes, ends)
    return figure
