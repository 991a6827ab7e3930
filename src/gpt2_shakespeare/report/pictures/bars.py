"""val_loss.png: val loss of every row."""

from matplotlib.figure import Figure

from gpt2_shakespeare.report.losses import Losses
from gpt2_shakespeare.report.pictures import style
from gpt2_shakespeare.report.registry import GPT2_REPOS, PROJECT, PROJECT_MODEL


def draw(losses: Losses) -> Figure:
    """A bar per row from zero, its value inside; where the reproduced project publishes a figure, a mark at it."""
    looks, results = style.looks(losses.params.rows), losses.results
    figure = style.canvas(
        "Val loss of every row", losses.title, height=max(style.HEIGHT, 1.2 + 0.3 * len(results))
    )
    axes = style.panel(figure.add_subplot(), grid="x")
    longest, marks = 0.0, []
    for place, result in enumerate(results):
        if result.problem:
            axes.text(0.06, place, "missing", va="center", style="italic", color=style.BASE)
            continue
        val_loss, std = result.figures["val_loss"], result.figures.get("val_loss_std")
        colour = looks[result.name].colour
        axes.barh(place, val_loss, 0.6, color=colour)
        shown, end = f"{val_loss:.3f}", val_loss
        if std is not None:
            axes.errorbar(val_loss, place, xerr=std, color="black", capsize=4, linewidth=1.2)
            shown, end = f"{shown} ± {std:.3f}", val_loss + std
        axes.text(
            0.06, place, shown, va="center_baseline", color=style.ink(colour), weight="bold", fontsize=11
        )
        if published := losses.published(result):
            marks.append((float(published), place))
            axes.text(
                max(end, float(published)) + 0.12, place, f"published: {published}", va="center", fontsize=9,
                style="italic", color=style.BASE,
            )  # fmt: skip
        longest = max(longest, val_loss, *(mark for mark, _ in marks))
    if marks:
        axes.plot(
            *zip(*marks, strict=True), "D", color="white", markeredgecolor="black", markersize=7,
            label=_published(losses),
        )  # fmt: skip
        figure.legend(loc="outside lower left", **style.LEGEND)
    axes.set_yticks(range(len(results)), [result.name for result in results], fontsize=11)
    axes.set_ylim(len(results) - 0.4, -0.5)
    axes.set_xlim(0, 1.18 * longest)
    axes.set_xlabel("val loss (exact), nats per token: lower is better")
    return figure


def _published(losses: Losses) -> str:
    """What the marks are."""
    base = losses.params.at_scale.base
    same = base.source == "hub" and base.repo in GPT2_REPOS
    tokens = losses.params.at_scale.tokenizer.source == "gpt2"
    return f"published by {PROJECT} for {PROJECT_MODEL}, by its own protocol" + (
        ""
        if same
        else ":\nof another model and another base than the bars"
        + ("" if tokens else ", and per token of GPT-2's tokenizer")
    )
