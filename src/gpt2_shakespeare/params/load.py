"""Reads params.yaml: `load` is what every stage starts with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from gpt2_shakespeare.params import schema
from gpt2_shakespeare.params.problems import line
from gpt2_shakespeare.params.reader import AtScale, Reader
from gpt2_shakespeare.params.rows import BASELINES, Row, TrainedRow
from gpt2_shakespeare.params.schema import ParamsError


@dataclass(frozen=True)
class Params:
    """All of params.yaml, its layers merged, checked."""

    scale: str
    epochs: int
    long_epochs: int
    seeds: list[int]
    corpus_path: str
    base_path: str
    sample: schema.Sampling
    analysis: schema.Analysis
    ensembles: tuple[Row, ...]
    adapting: tuple[Row, ...]
    learning_curves: schema.LearningCurves
    scales: Mapping[str, AtScale]

    @property
    def at_scale(self) -> schema.Scale:
        """The settings of the scale that is switched on."""
        return self.scales[self.scale].settings

    @property
    def trained_rows(self) -> tuple[TrainedRow, ...]:
        return self.scales[self.scale].trained

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows of the table at this scale, in its order."""
        baselines = (Row(name=name, kind="baseline") for name in BASELINES)
        base = Row(name="base", kind="base")
        return (*baselines, base, *self.trained_rows, *self.ensembles, *self.adapting)


def load(path: str | Path = "params.yaml") -> Params:
    """Read and check params.yaml.

    Raises:
        ParamsError: the file is missing, isn't YAML, or something in it is wrong; one line for each problem.
    """
    path = Path(path)
    try:
        raw = YAML(typ="safe").load(path.read_bytes().decode("utf-8-sig"))  # as DVC reads it: YAML 1.2
    except OSError as error:
        raise ParamsError(f"{path}: can't be read: {error.strerror}; run from the project's root") from None
    except (YAMLError, ValueError, RecursionError, LookupError, AttributeError, TypeError) as error:
        raise ParamsError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    return parse(raw, str(path))


def parse(raw: Any, where: str = "params.yaml") -> Params:
    """Check an already parsed params.yaml; raises ParamsError as `load` does."""
    reader = Reader(raw)
    top, scales = reader.read()
    if reader.problems or top is None:
        raise ParamsError("\n".join(f"{where}: {problem}" for problem in dict.fromkeys(reader.problems)))
    listed = {*top.rows.scratch, *top.rows.finetune}  # all of them, unless the lists are partial
    ensembles = (
        Row(name=name, kind="ensemble", of=e.of, cached=e.cache)
        for name, e in top.ensembles.items()
        if e.of in listed
    )
    adapting = (
        Row(name=f"{of}_{way}", kind="adapting", of=of, way=way)
        for of in top.adapting.rows
        for way in top.adapting.ways
    )
    lists = ("rows", "ensembles", "adapting")
    shared = {name: getattr(top, name) for name in schema.TopLevel.model_fields if name not in lists}
    return Params(**shared, ensembles=tuple(ensembles), adapting=tuple(adapting), scales=scales)


def change(table: schema.Sampling, values: dict[str, Any]) -> schema.Sampling:
    """The table with some values changed (None leaves one as it is), checked; raises ParamsError."""
    given = {key: value for key, value in values.items() if value is not None}
    try:
        return schema.Sampling.model_validate(table.model_dump() | given)
    except ValidationError as error:
        problems = (line(problem, tuple(problem["loc"]), schema.Sampling) for problem in error.errors())
        raise ParamsError("; ".join(problems)) from None
