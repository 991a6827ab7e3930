"""JSON files, and what has the same types: YAML."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from tolerances import EXACT, Tolerance, of_column

from comparison.finding import Finding, different, number


def compare(old: bytes, new: bytes) -> Iterator[Finding]:
    """Key by key, each with its tolerance."""
    yield from between("", json.loads(old), json.loads(new), of_column)


def exact(place: str, old: Any, new: Any) -> Iterator[Finding]:
    """Every place where two values aren't equal."""
    yield from between(place, old, new, lambda _: EXACT)


def between(
    place: str, old: Any, new: Any, tolerance: Callable[[str], Tolerance], key: str = ""
) -> Iterator[Finding]:
    """Two values; `tolerance` gives that of a key."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys([*old, *new]):
            at = f"{place}, {name}" if place else str(name)
            if name in old and name in new:
                yield from between(at, old[name], new[name], tolerance, str(name))
            else:
                yield different(at, old.get(name, "missing"), new.get(name, "missing"))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (a, b) in enumerate(zip(old, new, strict=True)):
            yield from between(f"{place} [{index}]", a, b, tolerance, key)
    elif type(old) is type(new) and type(old) in (int, float):
        if repr(old) != repr(new):
            yield number(place, old, new, tolerance(key))
    elif type(old) is not type(new) or old != new:
        yield different(place, old, new)


def but(mapping: dict, *keys: str) -> dict:
    """The mapping without some of its keys."""
    return {key: value for key, value in mapping.items() if key not in keys}
