"""The page of a scale: its data as JSON, sampled texts aside; the rest is equal but for figures, which other files have too."""

import json
import re
from collections.abc import Iterator
from itertools import zip_longest

from tolerances import of_column

from comparison.finding import Finding, Verdict, different
from comparison.pages import NUMBER
from comparison.values import between

DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


def compare(old: bytes, new: bytes) -> Iterator[Finding]:
    """Two pages."""
    before, after = (data.decode() for data in (old, new))
    found = [json.loads(DATA.findall(page)[0]) for page in (before, after)]
    for a, b in zip(*(data["samples"]["items"] for data in found), strict=True):
        if a != b:
            empty = not a["text"].strip() or not b["text"].strip()
            if empty:
                yield different("sample", a["text"], b["text"])
            else:
                yield Finding(
                    "sample", a["text"], b["text"], Verdict.WITHIN_TOLERANCE, "texts", by_machine=True
                )
            a |= {key: b[key] for key in ("text", "copied")}
    yield from between("", *found, of_column)
    rests = [NUMBER.sub("#", DATA.sub("", page)).splitlines() for page in (before, after)]
    for number, (line, other) in enumerate(zip_longest(*rests, fillvalue=""), 1):
        if line != other:
            yield different(f"line {number}", line, other)
    yield Finding("", "", "", Verdict.WITHIN_TOLERANCE, "page, written anew", by_machine=True)
