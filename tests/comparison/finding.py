"""What a comparison finds, and how bad it is."""

from dataclasses import dataclass
from enum import IntEnum

from tolerances import Tolerance


class Verdict(IntEnum):
    """Of a file or a folder; the larger, the worse."""

    SAME_BITS = 0
    OTHER_RUN = 1  # what must be equal is; times, machines and the order of a lock's entries aren't
    WITHIN_TOLERANCE = 2
    DIFFERENT = 3

    def __str__(self) -> str:
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True)
class Finding:
    """One place where two files aren't equal.

    share: of the tolerance, for numbers.
    by_machine: it is no fault if other weights made it, that is, if losses differ too. On one class of machine they
        don't, and there it is different.
    """

    place: str
    old: object
    new: object
    verdict: Verdict
    what: str = "figures"
    share: float = 0.0
    by_machine: bool = False

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        return f"{place}{_short(self.old)} and {_short(self.new)}"


def _short(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def different(place: str, old: object, new: object) -> Finding:
    return Finding(place, old, new, Verdict.DIFFERENT)


def number(place: str, old: float, new: float, tolerance: Tolerance, unit: float = 0.0) -> Finding:
    """Two numbers that aren't written alike; `unit` is as in Tolerance.share."""
    if old == new != 0:  # 4.2290 and 4.22900: no machine writes other digits
        return different(place, old, new)
    share = tolerance.share(old, new, unit)
    verdict = Verdict.WITHIN_TOLERANCE if share <= 1 else Verdict.DIFFERENT
    return Finding(place, old, new, verdict, share=share, by_machine=tolerance.of_texts)
