"""How far each kind of figure may differ between two machines. Where each number is from is said beside it.

Two sources. benchmarks/tolerance.csv holds the val losses of one recipe under other instruction sets. The whole
built-in scale was also run with AVX2 and with SSE in place of AVX-512 (docs/reproducibility.md): "measured" below
is the largest change that any figure of the kind showed there.
"""

import math
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """Two values may differ by `absolute`, or by `relative` times the larger one, whichever is more.

    of_texts: the figure is taken from sampled texts, so nothing but other weights can move it.
    may_lack: some texts have no such figure; a dash or an empty cell stands there then.
    """

    absolute: float = 0.0
    relative: float = 0.0
    of_texts: bool = False
    may_lack: bool = False

    def share(self, old: float, new: float, unit: float = 0.0) -> float:
        """The difference as a share of what is allowed: more than 1 is too much.

        Args:
            unit: one unit of the last printed place, where both were rounded to it. It is allowed on top.
        """
        if old == new:
            return 0.0
        if not (math.isfinite(old) and math.isfinite(new)):
            return math.inf
        allowed = max(self.absolute, self.relative * max(abs(old), abs(new)))
        return abs(old - new) / (allowed + unit) if allowed else math.inf


EXACT = Tolerance()
NATS = 0.002  # 200 times the largest change measured (0.00001); 500 times that of a val loss
LOSS = Tolerance(NATS)
# The ± of a loss: 250 times the largest change in tolerance.csv (0.000002). Less than a loss may move, as the ± of
# some rows is itself no more than 0.0013.
SPREAD = Tolerance(0.0005)
# exp(loss + 0.002) is larger than exp(loss) by this share
PERPLEXITY = Tolerance(relative=math.expm1(NATS))
# A nat per token is 0.47 bits per character at the scale novels and 0.61 at demo; with both values rounded, 0.0013.
BITS_PER_CHAR = Tolerance(0.0013)
# "x % of train equals ...": at demo 0.002 nats in its losses move x by 1 % of it; five times that.
SHARE = Tolerance(relative=0.05)
# Measured 0.00011, in a probability of 0.0006: about 500 times that, as for the losses.
PROBABILITY = Tolerance(relative=0.05)


def _texts(absolute: float, relative: float = 0.0, may_lack: bool = False) -> Tolerance:
    return Tolerance(absolute, relative, of_texts=True, may_lack=may_lack)


# Column of a CSV file or key of a JSON file -> tolerance. What isn't here must be equal: counts, steps, passes, settings.
#
# The figures of texts may differ by as much as two seeds of a row do: the largest such gap in metrics/demo/analysis.csv
# and metrics/novels/analysis.csv, rounded up. Measured: the whole gap in one n-gram share, 81 % of it in one zipf, less
# in all others. `off` is of the grid, which has one seed only: one and a half times what was measured, 0.033.
FIGURES: dict[str, Tolerance] = {
    r"(train|dev|val|running_train)_loss": LOSS,
    r"val_loss_(last|reference|reference_last)": LOSS,
    r"val_loss_(heading|body|known_speaker|new_speaker|seen_type|new_type)": LOSS,
    r"val_loss_std": SPREAD,
    r"(other_loss|kl)_\w+": LOSS,
    r"perplexity": PERPLEXITY,
    r"bits_per_char": BITS_PER_CHAR,
    r"p_name": PROBABILITY,
    r"in_train_\d+": _texts(0.032),
    r"recalled_(train|val)(_\d+)?": _texts(0.032),
    r"repeated": _texts(0.03),
    r"longest_match": _texts(3),
    r"mean_longest_match": _texts(0.82),
    r"mean_matched_(train|val)": _texts(0.082),
    r"bits_per_char_train": _texts(0.29),
    r"bits_per_char_dev": _texts(0.2),
    r"line_distance": _texts(0.078),
    r"turn_distance": _texts(0.54, may_lack=True),
    r"heading_distance": _texts(0.2, may_lack=True),
    r"headings": _texts(7, relative=0.31),
    r"name_distance": _texts(0.11, may_lack=True),
    r"names_(train|prompt|neither)": _texts(0.37, may_lack=True),
    r"distinct_1": _texts(0.016),
    r"distinct_2": _texts(0.028),
    r"distinct_3": _texts(0.044),
    r"self_bleu": _texts(0.05),
    r"compression_ratio": _texts(0.073),
    r"zipf": _texts(0.042),
    r"off": _texts(0.05),
}

# Heading in a page -> the column of which it shows values, or means over the seeds.
HEADINGS: dict[str, str] = {
    r"Train|Dev|Val .*|Difference|95 % over (seeds|text)": "val_loss",
    r"Reference|Passes|Parameters": "",
    r"Perplexity": "perplexity",
    r"Bits/char": "bits_per_char",
    r"P\(name\)": "p_name",
    r"\d+-grams in train": "in_train_4",
    r"Longest match": "longest_match",
    r"Longest match, mean of texts": "mean_longest_match",
    r"Recalled of (train|val)": "mean_matched_train",
    r"All recalled, (train|val)": "recalled_train",
    r"Bits/char, scorer of train": "bits_per_char_train",
    r"Bits/char, scorer of dev": "bits_per_char_dev",
    r"Lines": "line_distance",
    r"Turns": "turn_distance",
    r"Headings' looks": "heading_distance",
    r"Headings": "headings",
    r"… of (train|the prompt|neither)": "names_train",
    r"Names": "name_distance",
    r"Distinct-1": "distinct_1",
    r"Distinct-2": "distinct_2",
    r"Distinct-3": "distinct_3",
    r"Self-BLEU": "self_bleu",
    r"Compression": "compression_ratio",
    r"Repeated 4-grams": "repeated",
    r"Zipf": "zipf",
    r"Off human|greedy|pure sampling|temperature .*|best": "off",
}


def of_column(name: str) -> Tolerance:
    """The tolerance of a CSV column or JSON key."""
    return next((known for pattern, known in FIGURES.items() if re.fullmatch(pattern, name)), EXACT)


def of_heading(heading: str) -> Tolerance | None:
    """The tolerance of a column of a page's table; None for a heading that isn't known."""
    columns = (column for pattern, column in HEADINGS.items() if re.fullmatch(pattern, heading))
    column = next(columns, None)
    return None if column is None else of_column(column)


def of_spread(figure: Tolerance) -> Tolerance:
    """The tolerance of a ± beside such a figure.

    Where each of n seeds may move by t, their sample's standard deviation may move by t * sqrt(n / (n - 1)), at most
    1.42 t. Losses have a smaller one of their own.
    """
    if not figure.of_texts:
        return SPREAD
    return Tolerance(math.sqrt(2) * figure.absolute, figure.relative, of_texts=True)
