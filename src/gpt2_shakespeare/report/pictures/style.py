"""How the pictures look: colours by row, sizes, titles, and labels at the ends of curves."""

import io
import textwrap
from collections.abc import Callable, Iterable, Sequence
from operator import mul
from statistics import mean
from typing import Any, NamedTuple

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gpt2_shakespeare.params import Row

# Six colours of Okabe and Ito's palette, which colour-blind readers can tell apart, and the two that are
# furthest from them and from black, greys and white in such a reader's eyes.
PALETTE = ("#D55E00", "#E69F00", "#603000", "#56B4E9", "#0072B2", "#009E73", "#CC79A7", "#332288")
# Each time that the palette begins again, lines and markers are others.
LINES = ("-", "-.")
MARKERS = ("o", "s", "^", "D")
BASELINE, BASE, HUMAN, MARK = "#a6a6a6", "#666666", "#000000", "#D55E00"
GRID: dict[str, Any] = {"color": "#e6e6e6", "linewidth": 0.8}
LEGEND: dict[str, Any] = {"fontsize": 9.5, "frameon": False}
WIDTH, HEIGHT, DPI = 8.0, 5.0, 120  # inches, and dots per inch
LABEL = 9.5  # points


class Look(NamedTuple):
    """How a row is drawn."""

    colour: str
    line: str = "-"
    marker: str = "o"


class End(NamedTuple):
    """The label of a curve, and where the curve ends."""

    x: float
    y: float
    text: str
    colour: str


def looks(rows: Iterable[Row]) -> dict[str, Look]:
    """Trained rows have colours by their order; an ensemble or adapting row has its model's; what isn't trained here is grey."""
    rows = list(rows)
    found: dict[str, Look] = {}
    for number, row in enumerate(row for row in rows if row.trained):
        again, place = divmod(number, len(PALETTE))
        found[row.name] = Look(PALETTE[place], LINES[again % len(LINES)], MARKERS[again % len(MARKERS)])
    for row in rows:
        if row.of:
            found[row.name] = found[row.of]
        elif not row.trained:
            found[row.name] = Look(BASE if row.has_model else BASELINE)
    return found


def png(draw: Callable[..., Figure], *args: Any) -> bytes:
    """What `draw` draws; the same figures give the same bytes."""
    with matplotlib.style.context("default"), io.BytesIO() as file:  # whatever the user's matplotlibrc says
        draw(*args).savefig(
            file, format="png", metadata={"Software": None}
        )  # it would name matplotlib's version
        return file.getvalue()


def canvas(subject: str, title: str, width: float = WIDTH, height: float = HEIGHT) -> Figure:
    """A figure that says at its top what it shows, and below of what."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    lines = f"{subject}\n{title}".splitlines()
    title = "\n".join(textwrap.fill(line, round(12 * width)) for line in lines)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, parse_math=False)  # a path may have a $
    return figure


def ink(colour: str) -> str:
    """Black or white, whichever is easier to read on a colour (relative luminance of WCAG 2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return "black" if sum(map(mul, linear, (0.2126, 0.7152, 0.0722))) > 0.179 else "white"


def panel(axes: Axes, grid: str = "both") -> Axes:
    """Axes with nothing on them but what is needed."""
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, **GRID)  # type: ignore[arg-type]
    return axes


def not_measured(axes: Axes) -> None:
    axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", style="italic")


def label_ends(figure: Figure, axes: Axes, ends: Sequence[End]) -> None:
    """Write labels beside the axes, each joined with the end of its curve; they never overlap.

    Scales are those that the axes have now, and limits become fixed. What lies outside has no label: a zero isn't on
    a log scale.
    """
    axes.set_xlim(axes.get_xlim())
    axes.set_ylim(axes.get_ylim())
    placed = [(axes.transLimits.transform(axes.transScale.transform((end.x, end.y)))[1], end) for end in ends]
    placed = sorted((at, end) for at, end in placed if 0 <= at <= 1)
    height = (
        figure.get_figheight() * 72 * 0.8
    )  # of the axes, in points; the rest is for title, labels and key
    moved = spread([at for at, _ in placed], 1.3 * LABEL / height)
    for (at, end), to in zip(placed, moved, strict=True):
        thin: dict[str, Any] = {"color": end.colour, "linewidth": 0.8, "alpha": 0.55}
        axes.plot([end.x, axes.get_xlim()[1]], [end.y, end.y], **thin)
        axes.add_line(Line2D([1, 1.03], [at, to], transform=axes.transAxes, clip_on=False, **thin))
        axes.text(
            1.035, to, end.text, color=end.colour, va="center_baseline", weight="bold", fontsize=LABEL,
            transform=axes.transAxes,
        )  # fmt: skip


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Ascending places in 0..1 moved as little as possible, in least squares, until neighbours are a gap apart.

    They stay in 0..1 where so many have room there.
    """
    # Less their ranks' gaps, the places must only ascend: neighbours that don't share their mean (isotonic regression).
    groups: list[list[float]] = []
    for rank, place in enumerate(places):
        groups.append([place - rank * gap])
        while len(groups) > 1 and mean(groups[-2]) > mean(groups[-1]):
            last = groups.pop()
            groups[-1] += last
    room = max(0.0, 1 - (len(places) - 1) * gap)
    moved = [min(max(mean(group), 0.0), room) for group in groups for _ in group]
    return [place + rank * gap for rank, place in enumerate(moved)]
