"""CSV files."""

import csv
import io
from collections.abc import Iterator
from itertools import zip_longest

from tolerances import EXACT, Tolerance, of_column

from comparison.finding import Finding, Verdict, different, number


def compare(old: bytes, new: bytes) -> Iterator[Finding]:
    """Cell by cell, with the tolerance of the column."""
    tables = [list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True)) for data in (old, new)]
    for line_number, (line, other) in enumerate(zip_longest(*tables, fillvalue=()), 1):
        header = tables[0][0]
        if line_number == 1 or len(line) != len(header) or len(other) != len(header):
            if line != other:
                yield different(f"line {line_number}", ",".join(line), ",".join(other))
            continue
        human = "human" in line[:1]  # human texts are the same on every machine
        for column, a, b in zip(header, line, other, strict=True):
            if a != b:
                place = f"line {line_number}, {line[0]}, {column}"
                yield _cell(place, a, b, EXACT if human else of_column(column))


def _cell(place: str, old: str, new: str, tolerance: Tolerance) -> Finding:
    """Two unequal cells."""
    if tolerance.may_lack and "" in (old, new):
        return Finding(place, old, new, Verdict.WITHIN_TOLERANCE, by_machine=True)
    try:
        return number(place, float(old), float(new), tolerance)
    except ValueError:
        return different(place, old, new)
