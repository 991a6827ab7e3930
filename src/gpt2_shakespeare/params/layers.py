"""Settings in layers: the tables are laid over one another, and each value remembers where it was written."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Place = tuple[str | int, ...]  # of a key, from the top of params.yaml


@dataclass(frozen=True)
class Layer:
    """A table of params.yaml and its place there."""

    place: Place
    values: Mapping[str, Any]


@dataclass
class Merged:
    """Layers laid over one another, the later ones on top; tables within them too, key by key.

    A list or a plain value replaces what lies below it.
    """

    values: dict[str, Any] = field(default_factory=dict)
    written: dict[Place, Place] = field(default_factory=dict)  # place in `values` -> place in params.yaml

    def lay(self, layers: Sequence[Layer]) -> "Merged":
        for layer in layers:
            self._lay(self.values, layer.values, (), layer.place)
        return self

    def _lay(self, below: dict[str, Any], above: Mapping[str, Any], place: Place, origin: Place) -> None:
        for key, value in above.items():
            here, there = (*place, key), (*origin, key)
            self.written[here] = there
            if isinstance(value, Mapping):
                if not isinstance(below.get(key), dict):
                    below[key] = {}
                self._lay(below[key], value, here, there)
            else:
                below[key] = value

    def place_of(self, place: Place) -> Place | None:
        """Where in params.yaml the value at a place was written, or the deepest table above it; None if nowhere."""
        for depth in range(len(place), 0, -1):
            if place[:depth] in self.written:
                return (*self.written[place[:depth]], *place[depth:])
        return None

    def leaves(self) -> Iterator[tuple[Place, Any, Place]]:
        """Every plain value: its place, itself, and the table of params.yaml that it stands in."""

        def walk(table: Mapping[str, Any], place: Place) -> Iterator[tuple[Place, Any, Place]]:
            for key, value in table.items():
                if isinstance(value, Mapping) and value:
                    yield from walk(value, (*place, key))
                else:
                    yield (*place, key), value, self.written[(*place, key)]

        yield from walk(self.values, ())


def dotted(place: Place) -> str:
    return ".".join(str(part) for part in place)
