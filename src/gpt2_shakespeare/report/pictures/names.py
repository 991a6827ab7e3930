"""names.png: how likely a speaker of train becomes where nothing asks for one."""

from statistics import mean

from matplotlib.figure import Figure

from gpt2_shakespeare.report.losses import P_NAME, Losses
from gpt2_shakespeare.report.pictures import style


def draw(losses: Losses) -> Figure:
    """P(name) while training, from the base's on; of a row from random weights the value at its end."""
    looks, base = style.looks(losses.params.rows), losses.base.get(P_NAME)
    figure = style.canvas(
        "P(name): a speaker of train begins to speak after a piece of another text",
        losses.title,
        height=max(style.HEIGHT, 1.6 + 0.22 * len(losses.results)),
    )
    axes = style.panel(figure.add_subplot())
    axes.set_yscale("log")
    ends, flat = [], []
    for result in losses.results:
        look, last = looks[result.name], []
        for history in result.histories.values():
            if base is None or P_NAME not in history or history[P_NAME].isna().all():
                continue
            points = history[history[P_NAME].notna()]
            passes, values = [0, *points["passes"]], [base, *points[P_NAME]]
            axes.plot(
                passes, values, look.line, marker=look.marker, color=look.colour, linewidth=1.4, markersize=4
            )
            last.append((passes[-1], values[-1]))
        if last:
            x, y = (mean(values) for values in zip(*last, strict=True))
            ends.append(style.End(x, y, result.name, look.colour))
        if result.row.kind in ("scratch", "random") and P_NAME in result.figures:
            flat.append((result, look))
    if base is not None:
        axes.plot(0, base, "s", color=style.BASE, markersize=8, zorder=3)
    if not ends:
        axes.set_yscale("linear")
        style.not_measured(axes)
    for result, look in flat:
        y = result.figures[P_NAME]
        axes.axhline(y, color=look.colour, linewidth=1.2, linestyle="--")
        ends.append(style.End(axes.get_xlim()[1], y, result.name, look.colour))
    style.label_ends(figure, axes, ends)
    axes.set_xlabel(
        "passes over the training text; 0: the base; dashed: a row from random weights, at its end"
    )
    axes.set_ylabel("P(name), log scale")
    return figure
