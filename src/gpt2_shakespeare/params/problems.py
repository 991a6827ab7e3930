"""One line for each problem of params.yaml: the place, what is wrong there, and the nearest name that exists."""

import difflib
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

from gpt2_shakespeare.params.layers import Place, dotted
from gpt2_shakespeare.params.schema import Table


def line(problem: Any, place: Place, table: type[BaseModel], beside: tuple[str, ...] = ()) -> str:
    """One problem as pydantic reports it -> one line that names the place in params.yaml."""
    key = " ".join(dotted(place).splitlines())
    kind, message = problem["type"], problem["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        names = sorted(_fields(problem["loc"], table)) + (list(beside) if len(problem["loc"]) == 1 else [])
        return f"{key}: unknown key{near(str(problem['loc'][-1]), names)}"
    if kind == "missing":
        return f"{key}: missing"
    if kind != "value_error":
        message += shown(problem["input"])
    return f"{key}: {message}" if key else message


def _fields(loc: Place, table: type[BaseModel]) -> Iterator[str]:
    """The keys of the table that a place lies in."""

    def table_in(annotation: Any) -> type[Table] | None:
        if isinstance(annotation, type) and issubclass(annotation, Table):
            return annotation
        return next(filter(None, map(table_in, get_args(annotation))), None)

    for part in loc[:-1]:  # a list's index or a free name leads no deeper
        if part in table.model_fields:
            table = table_in(table.model_fields[str(part)].annotation) or table
    yield from table.model_fields


def near(name: str, names: list[str]) -> str:
    """A suggestion, or nothing where no name is like this one."""
    found = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean '{found[0]}'?" if found else ""


def shown(value: Any) -> str:
    """The value, for the end of a line; nothing for a table or a list."""
    try:
        return "" if isinstance(value, dict | list) else f" (it is {value!r:.80})"
    except ValueError:  # Python writes out no whole number of more than 4,300 digits
        return " (it is a huge number)"
