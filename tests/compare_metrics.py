"""Compare two folders of metrics, every file and every number: same bits, within tolerance, or different.

    python tests/compare_metrics.py <committed> <regenerated>

Exit code 0 without differences, 1 with, 2 for wrong arguments. What may differ, and by how much: docs/reproducibility.md.
"""

import argparse
import csv
import hashlib
import io
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import zip_longest
from pathlib import Path
from typing import Any

import yaml
from PIL import Image
from tolerances import EXACT, LOSS, Tolerance, of_column, of_heading, of_spread

CONDITIONS, LOCK = "conditions.json", "dvc.lock"  # written by stages/record.py
SHOWN = 10  # differences of a file that are printed


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

    by_machine: it is no fault if the losses differ too. On the same class of machine they don't.
    share: of the tolerance, for numbers.
    """

    place: str
    old: object
    new: object
    verdict: Verdict
    what: str = "figures"
    share: float = 0.0
    by_machine: bool = False

    def __str__(self) -> str:
        return f"{self.place}: {_short(self.old)} and {_short(self.new)}"


def _short(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _different(place: str, old: object, new: object) -> Finding:
    return Finding(place, old, new, Verdict.DIFFERENT)


def _number(place: str, old: float, new: float, tolerance: Tolerance, unit: float = 0.0) -> Finding:
    share = tolerance.share(old, new, unit)
    verdict = Verdict.WITHIN_TOLERANCE if share <= 1 else Verdict.DIFFERENT
    return Finding(place, old, new, verdict, share=share, by_machine=tolerance.of_texts)


# --- one function for each type of file: what isn't equal in it ------------------------------------------


def _csv(old: bytes, new: bytes) -> Iterator[Finding]:
    tables = [list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True)) for data in (old, new)]
    for number, (line, other) in enumerate(zip_longest(*tables, fillvalue=()), 1):
        header = tables[0][0]
        if number == 1 or len(line) != len(header) or len(other) != len(header):
            if line != other:
                yield _different(f"line {number}", ",".join(line), ",".join(other))
            continue
        human = "human" in line[:1]  # human texts are the same on every machine
        for column, a, b in zip(header, line, other, strict=True):
            if a != b:
                place = f"line {number}, {line[0]}, {column}"
                yield _cell(place, a, b, EXACT if human else of_column(column))


def _cell(place: str, old: str, new: str, tolerance: Tolerance) -> Finding:
    """Two unequal cells of a CSV file."""
    if tolerance.may_lack and "" in (old, new):
        return Finding(place, old, new, Verdict.WITHIN_TOLERANCE, by_machine=True)
    try:
        return _number(place, float(old), float(new), tolerance)
    except ValueError:
        return _different(place, old, new)


def _json(old: bytes, new: bytes) -> Iterator[Finding]:
    yield from _values("", "", json.loads(old), json.loads(new))


def _values(place: str, key: str, old: Any, new: Any, compare: Callable = of_column) -> Iterator[Finding]:
    """Two values of JSON or YAML; `compare` gives a key's tolerance."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys([*old, *new]):
            at = f"{place}, {name}" if place else str(name)
            if name in old and name in new:
                yield from _values(at, str(name), old[name], new[name], compare)
            else:
                yield _different(at, old.get(name, "missing"), new.get(name, "missing"))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (a, b) in enumerate(zip(old, new, strict=True)):
            yield from _values(f"{place} [{index}]", key, a, b, compare)
    elif type(old) in (int, float) and type(new) in (int, float):
        if repr(old) != repr(new):
            yield _number(place, old, new, compare(key))
    elif type(old) is not type(new) or old != new:
        yield _different(place, old, new)


NUMBER = re.compile(r"(± )?([-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)( ?%)?")
DECODING = re.compile(r"greedy|temperature [\d.]+, top-p [\d.]+")


def _page(old: bytes, new: bytes) -> Iterator[Finding]:
    """Markdown: the same lines but for numbers within their tolerance, and for sampled texts."""
    pages = [_blocks(data.decode()) for data in (old, new)]
    headings: list[str] | None = None
    for (number, kind, line), (_, other_kind, other), (_, _, after) in zip_longest(
        *pages, pages[0][1:], fillvalue=(0, "", "")
    ):
        if after.startswith("|---"):
            headings = _cells(line)
        elif not line.startswith("|"):
            headings = None
        place = f"line {number}"
        if line == other and kind == other_kind:
            continue
        if kind != other_kind or kind == "verbatim":
            yield _different(place, line, other)
        elif kind == "sample":
            yield Finding(place, line, other, Verdict.WITHIN_TOLERANCE, "texts", by_machine=True)
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
    for number, line in enumerate(page.split("\n"), 1):
        if fence:
            if line == fence:
                fence = ""
            start, kind, text = blocks[-1]
            blocks[-1] = (start, kind, f"{text}\n{line}")
        elif opened := re.fullmatch(r"(`{3,})text", line):
            fence = opened[1]
            blocks.append((number, "sample" if re.fullmatch(r"seed \d+", title) else "verbatim", line))
        else:
            title = line or title
            blocks.append((number, "line", line))
    return blocks


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def _printed(
    place: str, old: str, new: str, tolerance: Tolerance | None, decoding: bool = False
) -> Iterator[Finding]:
    """Two printed cells or lines. Without a tolerance, a number of three decimals or more is a loss, others are exact."""
    if old == new:
        return
    if (
        decoding
        and DECODING.fullmatch(old)
        and DECODING.fullmatch(new)
        or tolerance
        and tolerance.may_lack
        and "–" in (old, new)
    ):  # the best of a grid of figures of texts
        yield Finding(place, old, new, Verdict.WITHIN_TOLERANCE, by_machine=True)
    elif NUMBER.sub(r"\1#\3", old) != NUMBER.sub(r"\1#\3", new):
        yield _different(place, old, new)
    else:
        for a, b in zip(NUMBER.finditer(old), NUMBER.finditer(new), strict=True):
            if a[0] == b[0]:
                continue
            scale = 0.01 if a[3] else 1.0
            places = [len(re.sub(r"e.*", "", text).partition(".")[2]) for text in (a[2], b[2])]
            powers = [int(text.partition("e")[2] or 0) for text in (a[2], b[2])]
            unit = max(scale * 10.0 ** (power - place) for power, place in zip(powers, places, strict=True))
            known = tolerance or (LOSS if min(places) >= 3 else EXACT)
            values = [scale * float(text.replace(",", "")) for text in (a[2], b[2])]
            finding = _number(place, *values, of_spread(known) if a[1] and known != EXACT else known, unit)
            yield replace(finding, old=old, new=new, by_machine=True)


def _picture(old: bytes, new: bytes) -> Iterator[Finding]:
    """A picture is drawn anew where the figures differ; it must be one, of the same size."""
    sizes = []
    for data in (old, new):
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            image.load()
            sizes.append((*image.size, image.mode))
    if sizes[0] != sizes[1]:
        yield _different("size", *sizes)
    else:
        yield Finding("", "", "", Verdict.WITHIN_TOLERANCE, "picture, drawn anew", by_machine=True)


DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


def _html(old: bytes, new: bytes) -> Iterator[Finding]:
    """The page: its data as JSON, sampled texts aside; the rest is equal but for figures, which other files have too."""
    before, after = (data.decode() for data in (old, new))
    found = [json.loads(DATA.findall(page)[0]) for page in (before, after)]
    for a, b in zip(*(data["samples"]["items"] for data in found), strict=True):
        if a != b:
            yield Finding("sample", a["text"], b["text"], Verdict.WITHIN_TOLERANCE, "texts", by_machine=True)
            a |= {key: b[key] for key in ("text", "copied")}
    yield from _values("", "", *found)
    rests = [NUMBER.sub("#", DATA.sub("", page)).splitlines() for page in (before, after)]
    for number, (line, other) in enumerate(zip_longest(*rests, fillvalue=""), 1):
        if line != other:
            yield _different(f"line {number}", line, other)
    yield Finding("", "", "", Verdict.WITHIN_TOLERANCE, "page, written anew", by_machine=True)


SETTLED = ("threads", "precision", "world_size")  # of a stage's facts: the params settle them
OPTIONAL = ("gpu", "cuda")  # facts where there is a GPU


def _conditions(old: bytes, new: bytes) -> Iterator[Finding]:
    """Params, hashes of the texts and the names of stages are equal; a stage's machine and time are facts of its run."""
    before, after = json.loads(old), json.loads(new)
    yield from _values("", "", _but(before, "stages"), _but(after, "stages"), lambda _: EXACT)
    stages, others = before["stages"], after["stages"]
    for name in dict.fromkeys([*stages, *others]):
        if name not in stages or name not in others:
            yield _different(name, *(name in run or "missing" for run in (stages, others)))
            continue
        for fact in dict.fromkeys([*stages[name], *others[name]]):
            a, b = (run[name].get(fact) for run in (stages, others))
            place = f"{name}, {fact}"
            if fact in SETTLED or (type(a) is not type(b) and fact not in OPTIONAL):
                yield from _values(place, fact, a, b, lambda _: EXACT)
            elif isinstance(b, float) and not (0 <= a < math.inf and 0 <= b < math.inf):
                yield _different(place, a, b)
            elif a != b:
                yield Finding(place, a, b, Verdict.OTHER_RUN, "facts of the run")


def _lock(old: bytes, new: bytes) -> Iterator[Finding]:
    """dvc.lock: commands, params and what isn't made by a stage are equal; outs and what is made of them, or explained."""
    locks = [yaml.load(data, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) for data in (old, new)]
    if locks[0] == locks[1] and sorted(old.splitlines()) == sorted(new.splitlines()):
        yield Finding("", "", "", Verdict.OTHER_RUN, "entries in another order")
        return
    yield from _values("", "", *(_but(lock, "stages") for lock in locks), lambda _: EXACT)
    stages, others = (lock["stages"] for lock in locks)
    made = [Path(out["path"]) for stage in stages.values() for out in stage.get("outs", ())]
    for name in dict.fromkeys([*stages, *others]):
        if name not in stages or name not in others:
            yield _different(
                f"stage {name}", *("there" if name in lock else "missing" for lock in (stages, others))
            )
            continue
        a, b = stages[name], others[name]
        yield from _values(name, "", _but(a, "deps", "outs"), _but(b, "deps", "outs"), lambda _: EXACT)
        # What computes with torch lists the runtime; what doesn't gives the same outs for the same deps everywhere.
        listed = [dep["path"] for dep in a.get("deps", ())]
        computes = "src/gpt2_shakespeare/runtime.py" in listed or a.get("deps") != b.get("deps")
        for part in ("deps", "outs"):
            entries, those = ({entry["path"]: entry for entry in stage.get(part, ())} for stage in (a, b))
            for path in dict.fromkeys([*entries, *those]):
                place = f"{name}, {part}, {path}"
                x, y = entries.get(path), those.get(path)
                if x == y:
                    continue
                if x is None or y is None:
                    yield _different(place, x or "missing", y or "missing")
                elif _but(x, "md5", "size") != _but(y, "md5", "size"):
                    yield _different(place, x, y)
                elif (
                    path == "params.yaml"
                ):  # what the stages read of it is in the settings that `check` writes
                    yield Finding(place, x["md5"], y["md5"], Verdict.OTHER_RUN, "facts of the run")
                elif computes if part == "outs" else any(_overlap(Path(path), out) for out in made):
                    yield Finding(
                        place, x["md5"], y["md5"], Verdict.WITHIN_TOLERANCE, "hashes", by_machine=True
                    )
                else:
                    yield _different(place, *(f"{z['md5']}, {z['size']} bytes" for z in (x, y)))


def _overlap(path: Path, other: Path) -> bool:
    return path == other or path in other.parents or other in path.parents


def _but(mapping: dict, *keys: str) -> dict:
    return {key: value for key, value in mapping.items() if key not in keys}


# --- the whole folder ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """What was found in one file; no findings: the same bytes."""

    name: str
    findings: list[Finding]

    @property
    def verdict(self) -> Verdict:
        return max((finding.verdict for finding in self.findings), default=Verdict.SAME_BITS)


def compare(committed: Path, regenerated: Path) -> list[Comparison]:
    """Every file of either folder, in the order of their names."""
    names = {
        file.relative_to(folder).as_posix()
        for folder in (committed, regenerated)
        for file in folder.rglob("*")
        if file.is_file()
    }
    found = [Comparison(name, _file(committed / name, regenerated / name)) for name in sorted(names)]
    if any(finding.share and not finding.by_machine for each in found for finding in each.findings):
        return found
    # no loss differs, so it is the same class of machine, and there texts, pictures and weights are the same bits
    return [
        replace(
            each,
            findings=[
                replace(finding, verdict=Verdict.DIFFERENT) if finding.by_machine else finding
                for finding in each.findings
            ],
        )
        for each in found
    ]


def _file(old: Path, new: Path) -> list[Finding]:
    missing = [path for path in (old, new) if not path.is_file()]
    if missing:
        return [_different("file", *("missing" if path in missing else "there" for path in (old, new)))]
    before, after = old.read_bytes(), new.read_bytes()
    if before == after:
        return []
    readers: dict[str, Callable[[bytes, bytes], Iterable[Finding]]] = {
        ".csv": _csv, ".json": _json, ".md": _page, ".png": _picture, ".html": _html,
    }  # fmt: skip
    special = {CONDITIONS: _conditions, LOCK: _lock}
    reader = special.get(old.name) or readers.get(old.suffix)
    if reader is None:
        return [_different("bytes", *(hashlib.sha256(data).hexdigest()[:16] for data in (before, after)))]
    try:
        findings = list(reader(before, after))
    except Exception as error:  # whatever a damaged file makes its reader raise
        return [
            _different(
                f"can't be read ({type(error).__name__})", f"{len(before)} bytes", f"{len(after)} bytes"
            )
        ]
    # other bytes, yet nothing that the reader looks at: spaces, the form of a number, an order
    return findings or [
        _different("bytes", *(hashlib.sha256(data).hexdigest()[:16] for data in (before, after)))
    ]


def print_comparison(committed: Path, regenerated: Path) -> bool:
    """Print a line for each file, and what differs; whether anything is different."""
    found = compare(committed, regenerated)
    width = max((len(each.name) for each in found), default=0)
    for each in found:
        print(f"{each.name:{width}}  {each.verdict}{_worst(each)}")
        different = [finding for finding in each.findings if finding.verdict == Verdict.DIFFERENT]
        for finding in different[:SHOWN]:
            print(f"    {finding}")
        if len(different) > SHOWN:
            print(f"    and {len(different) - SHOWN} more")
    worst = max((each.verdict for each in found), default=Verdict.DIFFERENT)
    if not found:
        print("nothing to compare")
    elif worst == Verdict.OTHER_RUN:
        print("all of it: same bits; times and machines are those of another run")
    else:
        print(f"all of it: {worst}")
    return worst == Verdict.DIFFERENT


def _worst(comparison: Comparison) -> str:
    """What explains a verdict within tolerance: the figure that is nearest to its limit."""
    if comparison.verdict != Verdict.WITHIN_TOLERANCE:
        return ""
    finding = max(comparison.findings, key=lambda finding: finding.share)
    if not finding.share:
        return f": {finding.what}"
    return f": at most {finding.share:.0%} of what is allowed, {finding}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("committed", type=Path)
    parser.add_argument("regenerated", type=Path)
    args = parser.parse_args()
    for folder in (args.committed, args.regenerated):
        if not folder.is_dir():
            parser.error(f"{folder}: no such folder")
    sys.exit(print_comparison(args.committed, args.regenerated))


if __name__ == "__main__":
    main()
