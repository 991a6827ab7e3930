"""loss_curves.png: losses while training."""

from statistics import mean

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from gpt2_shakespeare.report.losses import Losses
from gpt2_shakespeare.report.pictures import style


def draw(losses: Losses) -> Figure:
    """Dev and train loss against passes; passes on a log scale, so that one epoch is visible beside many."""
    looks = style.looks(losses.params.rows)
    curves = [result for result in losses.results if result.histories]
    figure = style.canvas(
        "Loss while training", losses.title, height=max(style.HEIGHT, 1.6 + 0.22 * len(curves))
    )
    axes = style.panel(figure.add_subplot())
    axes.set_xscale("log")
    ends = []
    for result in curves:
        look = looks[result.name]
        best, width = [], 1.6 if len(result.histories) == 1 else 0.9
        for seed, history in result.histories.items():
            passes = history["passes"]
            axes.plot(
                passes, history["train_loss"], "--", color=look.colour, linewidth=0.6 * width, alpha=0.5
            )
            axes.plot(passes, history["dev_loss"], look.line, color=look.colour, linewidth=width)
            at = history[history["step"] == result.evaluations.loc[seed, "best_step"]]
            axes.plot(
                at["passes"], at["dev_loss"], look.marker, color=look.colour, markersize=3 * width + 0.5
            )
            best += at[["passes", "dev_loss"]].to_numpy().tolist()
        if best:
            x, y = (mean(values) for values in zip(*best, strict=True))
            ends.append(style.End(x, y, f"{result.name} {y:.2f}", look.colour))
    key = [
        Line2D([], [], color="black", linewidth=1.5, label="dev loss"),
        Line2D([], [], color="black", linewidth=1, linestyle="--", alpha=0.5, label="train loss, eval mode"),
        Line2D(
            [], [], color="black", linestyle="", marker="o", markersize=5,
            label="lowest dev loss; the label has the seeds' mean",
        ),
    ]  # fmt: skip
    if "dev_loss" in losses.base:
        dev, label = losses.base["dev_loss"], "base, zero-shot (exact dev loss)"
        key.append(axes.axhline(dev, color=style.BASE, linewidth=1.2, linestyle=":", label=label))
        ends.append(style.End(axes.get_xlim()[1], dev, f"base {dev:.2f}", style.BASE))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda passes, _: f"{passes:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("passes over the training text (log scale)")
    axes.set_ylabel(
        "loss in nats per token, estimated while training\non some windows: not the table's exact losses"
    )
    style.label_ends(figure, axes, ends)
    figure.legend(handles=key, loc="outside lower left", ncols=2, **style.LEGEND)
    return figure
