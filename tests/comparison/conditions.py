"""conditions.json, which stages/record.py writes: settings and texts are equal; time and machine are those of a run."""

import json
import math
from collections.abc import Iterator

from comparison.finding import Finding, Verdict, different
from comparison.values import but, exact

SETTLED = ("threads", "precision", "world_size")  # of a stage's facts: the params settle them
# facts where there is a GPU, and of a training that went on from a checkpoint
OPTIONAL = ("gpu", "cuda", "resumed_after_tokens")


def compare(old: bytes, new: bytes) -> Iterator[Finding]:
    before, after = json.loads(old), json.loads(new)
    yield from exact("", but(before, "stages"), but(after, "stages"))
    stages, others = before["stages"], after["stages"]
    for name in dict.fromkeys([*stages, *others]):
        if name not in stages or name not in others:
            yield different(name, *(name in run or "missing" for run in (stages, others)))
            continue
        for fact in dict.fromkeys([*stages[name], *others[name]]):
            a, b = (run[name].get(fact) for run in (stages, others))
            place = f"{name}, {fact}"
            if fact in SETTLED or (type(a) is not type(b) and fact not in OPTIONAL):
                yield from exact(place, a, b)
            elif isinstance(b, float) and not (0 <= a < math.inf and 0 <= b < math.inf):
                yield different(place, a, b)
            elif a != b:
                yield Finding(place, a, b, Verdict.OTHER_RUN, "facts of the run")
