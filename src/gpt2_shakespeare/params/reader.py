"""Merges the layers of a parsed params.yaml and checks what comes out. The layers, the later ones on top:

- of a scale: `defaults`, `scales.<scale>`;
- of a row of `rows.scratch`: the scale's `model`, `defaults.training`, `scales.<scale>.training`,
  `defaults.rows.<row>`, `scales.<scale>.rows.<row>`;
- of a row of `rows.finetune`: the block_size of the scale's `model`, `defaults.training`, `scales.<scale>.training`,
  `scales.<scale>.finetuning`, `defaults.rows.<row>`, `scales.<scale>.rows.<row>`;
- of our own base: as of a row of `rows.scratch`, with `scales.<scale>.pretraining` as the last.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from gpt2_shakespeare.params import schema
from gpt2_shakespeare.params.layers import Layer, Merged, Place, dotted
from gpt2_shakespeare.params.problems import line, near, shown
from gpt2_shakespeare.params.rows import RESERVED, Kind, TrainedRow

T = TypeVar("T", bound=BaseModel)

LAYERS = ("defaults", "scales")  # keys at the top of params.yaml that are merged before they're checked
# What a scale's table, and `defaults`, may hold beside the keys of schema.Scale
SCALE_LAYERS = ("training", "finetuning", "pretraining", "rows")
DEFAULT_LAYERS = ("training", "rows")
KINDS: dict[str, type[schema.FineTuning]] = {
    "finetune": schema.FineTuning,
    "lora": schema.LoRA,
    "random": schema.SameShape,
}


@dataclass(frozen=True)
class AtScale:
    """What params.yaml says of one scale.

    Args:
        trained: its trained rows, in the order of the table.
        merged: the layers of each of them, which tell where a value was written.
    """

    settings: schema.Scale
    trained: tuple[TrainedRow, ...]
    merged: Mapping[str, Merged]


class Reader:
    """Goes through a parsed params.yaml and gathers its problems."""

    def __init__(self, raw: Any):
        self.raw = raw
        self.problems: list[str] = []

    def read(self) -> tuple[schema.TopLevel | None, dict[str, AtScale]]:
        """What stands at the top, and each scale; `problems` tells whether they can be used."""
        found: dict[str, AtScale] = {}
        if not isinstance(self.raw, Mapping):
            self.problems.append("Input should be a valid dictionary")
            return None, found
        plain = {key: value for key, value in self.raw.items() if key not in LAYERS}
        top = self._check(schema.TopLevel, plain, LAYERS)
        defaults, scales = self._table(("defaults",)), self._table(("scales",))
        if scales is not None and not scales:
            self.problems.append("scales: no scale is there")
        if top and scales and top.scale not in scales:
            self.problems.append(f"scale: '{top.scale}' is none of {', '.join(map(str, scales))}")
        starts = self._starts(top)
        if defaults is None or not scales or starts is None:
            return top, found
        epochs = (
            (top.epochs, top.long_epochs) if top else (1, 1)
        )  # with other problems at the top: to find those below
        for name in scales:
            self._check_name(name, ("scales", name))
            at_scale = self._scale(name, starts, *epochs)
            if at_scale:
                found[name] = at_scale
        if top and top.scale in found:
            self._check_curves(top.learning_curves.rows, found[top.scale].trained)
        return top, found

    def _check_curves(self, rows: list[str], trained: tuple[TrainedRow, ...]) -> None:
        """Their shares are of all of train."""
        for row in trained:
            if row.name in rows and row.settings.share < 1:
                self.problems.append(
                    f"learning_curves.rows: '{row.name}' trains on a share of {row.settings.share:g} of train as it is, "
                    "and the shares are of all of it; take it out, or set its share to 1"
                )

    def _check_name(self, name: Any, place: Place) -> None:
        try:
            TypeAdapter(schema.Name).validate_python(name)
        except ValidationError as error:
            self.problems.append(line(error.errors()[0], place, schema.TopLevel))

    # --- rows ------------------------------------------------------------------------------------------------

    def _starts(self, top: schema.TopLevel | None) -> dict[str, str] | None:
        """The list that each trained row is in, `scratch` or `finetune`, in the order of the table.

        None where the lists of rows can't be used.
        """
        try:
            rows = schema.RowLists.model_validate(self.raw.get("rows"))
        except ValidationError:
            return None  # noted with the top of the file
        before = len(self.problems)
        ensembles = top.ensembles if top else {}
        seen: dict[str, str] = {}
        lists = {"rows.scratch": rows.scratch, "rows.finetune": rows.finetune, "ensembles": list(ensembles)}
        adapting = top.adapting.rows if top else []
        lists["adapting"] = [f"{row}_{way}" for row in adapting for way in (top.adapting.ways if top else [])]
        for where, names in lists.items():
            for name in names:
                if name in RESERVED:
                    self.problems.append(f"{where}: '{name}' is always there; give another name")
                elif name in seen:
                    self.problems.append(f"{where}: '{name}' is also in {seen[name]}; a row has one place")
                seen.setdefault(name, where)
        starts = dict.fromkeys(rows.scratch, "scratch") | dict.fromkeys(rows.finetune, "finetune")
        for name, ensemble in ensembles.items():
            if ensemble.of not in starts and not rows.partial:
                self.problems.append(
                    f"ensembles.{name}.of: '{ensemble.of}' is no trained row{near(ensemble.of, list(starts))}"
                )
        listed = {"adapting": adapting, "learning_curves": top.learning_curves.rows if top else []}
        for where, names in listed.items():
            for row in names:
                if row not in starts:  # partial or not: DVC runs what is listed here
                    self.problems.append(f"{where}.rows: '{row}' is no trained row{near(row, list(starts))}")
        return starts if len(self.problems) == before else None

    # --- one scale ---------------------------------------------------------------------------------------------

    def _scale(self, name: str, starts: dict[str, str], epochs: int, long_epochs: int) -> AtScale | None:
        place: Place = ("scales", name)
        before = len(self.problems)
        tables = [("defaults", part) for part in DEFAULT_LAYERS] + [(*place, part) for part in SCALE_LAYERS]
        if self._table(place) is None or None in [self._table(table) for table in tables]:
            return None
        defaults, own = (
            Layer(at, {key: value for key, value in (self._table(at) or {}).items() if key not in beside})
            for at, beside in ((("defaults",), DEFAULT_LAYERS), (place, SCALE_LAYERS))
        )
        whole = Merged().lay([defaults, own])
        training = [self._layer(("defaults", "training")), self._layer((*place, "training"))]
        model = whole.values.get("model")
        if not isinstance(model, dict) or "block_size" not in model:
            self._check_scale(whole, Merged(), place)  # notes what is wrong with it
            return None
        shape = Layer(place, {"model": model})
        window = Layer((*place, "model"), {"block_size": model["block_size"]})
        pretraining = Merged().lay([shape, *training, self._layer((*place, "pretraining"))])
        settings = self._check_scale(whole, pretraining, place)

        partial = self.raw["rows"].get("partial")
        below = {
            "scratch": [shape, *training],
            "finetune": [window, *training, self._layer((*place, "finetuning"))],
        }
        for above in ("defaults", dotted(place)):
            for row in self._table((*above.split("."), "rows")) or {}:
                if row not in starts and not partial:
                    self.problems.append(
                        f"{above}.rows.{row}: `rows` lists no such row{near(str(row), list(starts))}"
                    )
        trained, merged = [], {}
        for row, start in starts.items():
            layers = [("defaults", "rows", row), (*place, "rows", row)]
            if None in [self._table(layer) for layer in layers]:
                continue
            merged[row] = Merged().lay([*below[start], *(self._layer(layer) for layer in layers)])
            made = self._row(
                row, start, merged[row], epochs if row == "finetune" else long_epochs, layers[-1]
            )
            trained += [made] if made else []
        if settings is None or len(self.problems) > before:
            return None
        self._check_windows(settings, trained, place)
        return AtScale(settings, tuple(trained), merged)

    def _layer(self, place: Place) -> Layer:
        return Layer(place, self._table(place) or {})

    def _check_scale(self, whole: Merged, pretraining: Merged, place: Place) -> schema.Scale | None:
        base = whole.values.get("base")
        ours = isinstance(base, dict) and base.get("source") == "pretrain" and pretraining.values

        def written(loc: Place) -> Place:
            if loc[:1] == ("pretraining",):
                return pretraining.place_of(loc[1:]) or (*place, *loc)
            return whole.place_of(loc) or (*place, *loc)

        values = whole.values | {"pretraining": pretraining.values if ours else None}
        return self._check(schema.Scale, values, SCALE_LAYERS, written)

    def _row(self, name: str, start: str, layers: Merged, epochs: int, place: Place) -> TrainedRow | None:
        values = dict(layers.values)
        kind: Kind = "scratch"
        table: type[schema.FromScratch] | type[schema.FineTuning] = schema.FromScratch
        walks = 1

        def written(loc: Place) -> Place:
            return layers.place_of(loc) or (*place, *loc)

        if start == "finetune":
            kind = values.pop("kind", "finetune")
            if not isinstance(kind, str) or kind not in KINDS:
                where = dotted(written(("kind",)))
                self.problems.append(f"{where}: Input should be one of {', '.join(KINDS)}{shown(kind)}")
                return None
            table = KINDS[kind]
            walks = epochs if name == "finetune" else values.pop("epochs", epochs)
            if isinstance(walks, bool) or not isinstance(walks, int) or walks < 1:
                where = dotted(written(("epochs",)))
                self.problems.append(f"{where}: Input should be a whole number above 0{shown(walks)}")
                return None
        settings = self._check(table, values, (), written)
        return None if settings is None else TrainedRow(name=name, kind=kind, settings=settings, epochs=walks)

    def _check_windows(self, scale: schema.Scale, rows: list[TrainedRow], place: Place) -> None:
        """No window is longer than the scale's model: `prepare` cuts the text by that, and so does our own base."""
        longest = {row.name: row.settings.longest_window for row in rows}
        for name, size in longest.items():
            if size > scale.model.block_size:
                self.problems.append(
                    f"{dotted((*place, 'rows', name))}: windows of {size} tokens are above the scale's own, "
                    f"{scale.model.block_size} (model.block_size)"
                )
        if scale.pretraining is None:
            return
        base = scale.pretraining.model.block_size
        for row in rows:
            if row.needs_base and base < longest[row.name] <= scale.model.block_size:
                self.problems.append(
                    f"{dotted((*place, 'rows', row.name))}: windows of {longest[row.name]} tokens are above the "
                    f"base's, {base} (pretraining.model.block_size)"
                )

    # --- any table -----------------------------------------------------------------------------------------------

    def _table(self, place: Place) -> Mapping[str, Any] | None:
        """The table at a place of params.yaml, empty where nothing is; a problem is noted where something else is."""
        table: Any = self.raw
        for part in place:
            if not isinstance(table, Mapping):
                return None  # noted where the table above was asked for
            table = table.get(part, {})
        if not isinstance(table, Mapping):
            self.problems.append(f"{dotted(place)}: Input should be a valid dictionary{shown(table)}")
            return None
        return table

    def _check(
        self, table: type[T], values: Mapping[str, Any], beside: tuple[str, ...], written=lambda loc: loc
    ) -> T | None:
        """The table made of the values; problems are noted with the places where they were written."""
        try:
            return table.model_validate(dict(values))
        except ValidationError as error:
            for problem in error.errors():
                loc: Place = tuple(problem["loc"])
                if (
                    problem["type"] == "value_error"
                ):  # raised in schema.py; the message starts with the key's name
                    name, _, rest = problem["msg"].removeprefix("Value error, ").partition(": ")
                    if rest:
                        problem = problem | {"msg": rest}
                        loc = (*loc, name)
                self.problems.append(line(problem, written(loc), table, beside))
            return None
