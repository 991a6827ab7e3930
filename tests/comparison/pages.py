"""Markdown pages: the same lines but for numbers within their tolerance, and for sampled texts."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest

from tolerances import EXACT, LOSS, SHARE, Tolerance, of_heading, of_spread

from comparison.finding import Finding, Verdict, different, number

NUMBER = re.compile(r"(± )?([-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)( ?%)?")
DECODING = re.compile(r"greedy|temperature [\d.]+, top-p [\d.]+")


def compare(old: bytes, new: bytes) -> Iterator[Finding]:
    """Line by line; a table cell by cell, a sampled text as one block."""
    pages = [_blocks(data.decode()) for data in (old, new)]
    headings: list[str] | None = None
    for (line_number, kind, line), (_, other_kind, other), (_, _, after) in zip_longest(
        *pages, pages[0][1:], fillvalue=(0, "", "")
    ):
        if after.startswith("|---"):
            headings = _cells(line)
        elif not line.startswith("|"):
            headings = None
        place = f"line {line_number}"
        if line == other and kind == other_kind:
            continue
        if kind != other_kind or kind == "verbatim":
            yield different(place, line, other)
        elif kind == "sample":
            yield _sample(place, line, other)
        elif headings and len(_cells(line)) == len(_cells(other)) == len(headings):
            row = _cells(line)[0]
            for heading, a, b in zip(headings, _cells(line), _cells(other), strict=True):
                tolerance = EXACT if row == "human" else of_heading(heading)
                yield from _printed(f"{place}, {row}, {heading}", a, b, tolerance, heading == "at")
        else:
            yield from _printed(place, line, other, None)


def _blocks(page: str) -> list[tuple[int, str, str]]:
    """(line number, kind, text) of every line; a sampled text is one block, as is whatever else stands in a fence."""
    blocks: list[tuple[int, str, str]] = []
    fence = title = ""
    for line_number, line in enumerate(page.split("\n"), 1):
        if fence:
            if line == fence:
                fence = ""
            start, kind, text = blocks[-1]
            blocks[-1] = (start, kind, f"{text}\n{line}")
        elif opened := re.fullmatch(r"(`{3,})text", line):
            fence = opened[1]
            blocks.append((line_number, "sample" if re.fullmatch(r"seed \d+", title) else "verbatim", line))
        else:
            title = line or title
            blocks.append((line_number, "line", line))
    if fence:
        raise ValueError("a text that doesn't end")
    return blocks


def _sample(place: str, old: str, new: str) -> Finding:
    """Two sampled texts in their fences; other weights write other words, but words they write."""
    if any(not block.partition("\n")[2].strip("`\n ") for block in (old, new)):
        return different(place, old, new)
    return Finding(place, old, new, Verdict.WITHIN_TOLERANCE, "texts", by_machine=True)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def _printed(
    place: str, old: str, new: str, tolerance: Tolerance | None, decoding: bool = False
) -> Iterator[Finding]:
    """Two printed cells or lines. Without a tolerance, a number of three decimals or more is a loss, others are exact."""
    if old == new:
        return
    best_of_grid = decoding and DECODING.fullmatch(old) and DECODING.fullmatch(new)
    if best_of_grid or tolerance and tolerance.may_lack and "–" in (old, new):
        yield Finding(place, old, new, Verdict.WITHIN_TOLERANCE, by_machine=True)
    elif NUMBER.sub(r"\1#\3", old) != NUMBER.sub(r"\1#\3", new):
        yield different(place, old, new)
    else:
        for a, b in zip(NUMBER.finditer(old), NUMBER.finditer(new), strict=True):
            if a[0] == b[0]:
                continue
            places, others = (len(re.sub(r"e.*", "", text).partition(".")[2]) for text in (a[2], b[2]))
            if places != others:  # one printed with other digits than the other
                yield different(place, old, new)
                continue
            scale = 0.01 if a[3] else 1.0
            powers = [int(text.partition("e")[2] or 0) for text in (a[2], b[2])]
            of_train = a[3] and "% of train equals" in old
            known = tolerance or (SHARE if of_train else LOSS if places >= 3 else EXACT)
            values = [scale * float(text.replace(",", "")) for text in (a[2], b[2])]
            spread = of_spread(known) if a[1] and known != EXACT else known
            finding = number(place, *values, spread, scale * 10.0 ** (max(powers) - places))
            yield replace(finding, old=old, new=new, by_machine=True)
