"""memorisation.png: what texts take from train word for word, and what of train is known by heart."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gpt2_shakespeare.params import Params
from gpt2_shakespeare.report.pictures import style
from gpt2_shakespeare.report.text_tables import NOVELTY, named
from gpt2_shakespeare.report.texts import Texts

FEWEST = 3  # prefixes, of all seeds together, that a point of a curve stands for


def draw(texts: list[Texts], params: Params, title: str) -> Figure:
    """Left: n-grams of the texts that stand in train. Right: tokens recalled after prefixes of train, and of val."""
    setting = named(params.sample.temperature, params.sample.top_p)
    lines = -(-len(texts) // 4)  # of the legend
    figure = style.canvas(
        f"What texts take from train word for word, {setting}",
        title,
        width=10,
        height=style.HEIGHT + 0.22 * lines,
    )
    looks = style.looks(params.rows)
    novelty, recall = (style.panel(axes) for axes in figure.subplots(1, 2))
    for row in texts:
        look = style.Look(style.HUMAN, "--") if row.human else looks[row.name]
        _draw_novelty(novelty, row, look)
        if not row.human:
            _draw_recall(recall, row, look, params.analysis.prefixes)
    novelty.set_title("share of the texts' n-grams that stand in train", fontsize=10)
    novelty.set_xlabel("n, tokens")
    novelty.set_xticks(NOVELTY)
    recall.set_title("share of prefixes continued as the original, greedily", fontsize=10)
    recall.set_xlabel(
        f"for at least so many tokens; a line ends where fewer than\n{FEWEST} prefixes of all seeds together are continued so far"
    )
    recall.set_xlim(left=0.8)
    recall.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (novelty, recall):
        axes.set_yscale("symlog", linthresh=0.01)
        axes.set_ylim(0, 1)
        axes.set_yticks([0, 0.01, 0.03, 0.1, 0.3, 1])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
        axes.minorticks_off()
    recall.legend(
        handles=[
            Line2D([], [], color="black", label="prefixes of train"),
            Line2D([], [], color="black", linestyle=":", label="prefixes of val, the control"),
        ],
        **style.LEGEND,
    )
    handles = novelty.get_legend_handles_labels()[0]
    figure.legend(handles=handles, loc="outside lower left", ncols=4, **style.LEGEND)
    return figure


def _draw_novelty(axes: Axes, row: Texts, look: style.Look) -> None:
    if row.problem:
        axes.plot([], [], " ", label=f"{row.name}: missing")
        return
    shares = {n: row.values(f"in_train_{n}").mean() for n in NOVELTY}  # nan, where there is none, isn't drawn
    axes.plot(
        list(shares), list(shares.values()), look.line, marker=look.marker, color=look.colour, markersize=4,
        label="human text (val)" if row.human else row.name,
    )  # fmt: skip


def _draw_recall(axes: Axes, row: Texts, look: style.Look, prefixes: int) -> None:
    for part, by_seed in row.recalled.items():
        shares = pd.DataFrame(by_seed).mean(axis="columns")
        shares.index += 1  # tokens
        shares = shares[shares * prefixes * len(by_seed) > FEWEST - 0.5]
        how: dict[str, Any] = {"linestyle": look.line if part == "train" else ":", "color": look.colour}
        axes.plot(shares.index, shares, linewidth=1.6, **how)
