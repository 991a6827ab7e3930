"""forgetting.png: what is learned against what is forgotten, while training."""

from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from gpt2_shakespeare.report.losses import EPOCHS, Losses
from gpt2_shakespeare.report.pictures import style
from gpt2_shakespeare.report.registry import OTHER_TEXTS

AROUND = [withStroke(linewidth=2.5, foreground="white")]  # letters that lie on lines


def draw(losses: Losses) -> Figure:
    """Loss on the first other text that was measured against dev loss: learning goes left, forgetting up."""
    looks, base = style.looks(losses.params.rows), losses.base
    text = next((text for text in OTHER_TEXTS if f"other_loss_{text}" in base), None)
    lines = -(-len(losses.results) // 4)  # of the key, at most
    figure = style.canvas(
        "What is learned, and what is forgotten",
        f"{losses.title}\nnumbers: epochs; dotted: before the first measurement",
        height=style.HEIGHT + 0.1 * lines,
    )
    axes = style.panel(figure.add_subplot())
    if text is None:
        style.not_measured(axes)
        return figure
    key = f"other_loss_{text}"
    start = base["dev_loss"], base[key]
    for result in losses.results:
        look = looks[result.name]
        for number, history in enumerate(result.histories.values()):
            if key not in history or history[key].isna().all():
                continue
            points = history[history[key].notna()]
            first = points.iloc[0]
            axes.plot(
                [start[0], first["dev_loss"]], [start[1], first[key]], ":", color=look.colour, linewidth=1,
            )  # fmt: skip
            axes.plot(
                points["dev_loss"], points[key], look.line, marker=look.marker, color=look.colour, linewidth=1.4,
                markersize=4, label="" if number else result.name,
            )  # fmt: skip
            if number or EPOCHS not in points:
                continue
            whole = points[points[EPOCHS].round(1) >= 1]
            for end in sorted({*whole.index[:1], *whole.index[-1:]}):
                point = whole.loc[end]
                axes.annotate(
                    f"{point[EPOCHS]:.0f}", (point["dev_loss"], point[key]), xytext=(6, 5), weight="bold",
                    textcoords="offset points", color=look.colour, fontsize=10, path_effects=AROUND,
                )  # fmt: skip
    axes.plot(*start, "s", color=style.BASE, markersize=8, label="base, zero-shot (exact dev loss)")
    figure.legend(loc="outside lower left", ncols=4, **style.LEGEND)
    axes.margins(0.08)
    axes.set_xlabel(
        "dev loss, estimated while training, after each epoch and the quarters of the first:\nlearning goes to the left"
    )
    axes.set_ylabel(
        f"loss on text of another kind ({OTHER_TEXTS[text]}),\nnats per token: forgetting goes up"
    )
    return figure
