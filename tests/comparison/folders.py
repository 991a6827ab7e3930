"""Two whole folders of metrics: each for itself, then file by file."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from comparison import conditions, html, lock, pages, pictures, tables, values
from comparison.finding import Finding, Verdict, different
from comparison.lock import CONDITIONS, LOCK, own

READERS: dict[str, Callable[[bytes, bytes], Iterator[Finding]]] = {
    CONDITIONS: conditions.compare, LOCK: lock.compare,
    ".csv": tables.compare, ".json": values.compare, ".md": pages.compare, ".png": pictures.compare, ".html": html.compare,
}  # fmt: skip

# File -> the tables that it shows; where none of them differs, it may not either. Others show the weights: any loss.
SHOWS: dict[str, tuple[str, ...]] = {
    "rows": ("table.csv",),
    "results.json": ("table.csv",),  # of the older layout
    "table.md": ("table.csv", "learning_curves.csv"),
    "analysis.md": ("analysis.csv",),
    "loss_curves.png": ("curves.csv", "table.csv"),
    "val_loss.png": ("table.csv",),
    "bits_per_char.png": ("table.csv",),
    "learning_curves.png": ("learning_curves.csv",),
    "forgetting.png": ("curves.csv", "table.csv"),
    "names.png": ("curves.csv", "table.csv"),
    "memorisation.png": ("analysis.csv",),
    "decoding.png": ("analysis.csv",),
}


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
    found: dict[str, list[Finding]] = {}
    for which, folder in (("committed", committed), ("regenerated", regenerated)):
        for name, finding in own(folder):
            found.setdefault(name, []).append(replace(finding, place=f"{which}: {finding.place}"))
    for name, findings in between(committed, regenerated).items():
        found[name] = found.get(name, []) + findings
    return [Comparison(name, findings) for name, findings in sorted(found.items())]


def between(committed: Path, regenerated: Path) -> dict[str, list[Finding]]:
    """File -> where the two aren't equal."""
    found: dict[str, list[Finding]] = {
        file.relative_to(folder).as_posix(): []
        for folder in (committed, regenerated)
        for file in folder.rglob("*")
        if file.is_file()
    }
    for name in found:
        found[name] = _file(committed / name, regenerated / name)
    compared = [Comparison(name, findings) for name, findings in found.items()]
    moved = {each.name for each in compared if each.name.endswith(".csv") and each.findings}
    loss_moved = any(
        finding.share and not finding.by_machine
        for each in compared
        if each.name in moved
        for finding in each.findings
    )

    def judged(name: str, finding: Finding) -> Finding:
        """Where no figure behind it differs, no other machine explains it: there all has the same bits."""
        shown = SHOWS.get(name.partition("/")[0])
        explained = loss_moved and (shown is None or bool(moved & set(shown)))
        if explained or finding.verdict != Verdict.WITHIN_TOLERANCE or not (finding.by_machine or shown):
            return finding
        return replace(finding, verdict=Verdict.DIFFERENT)

    return {each.name: [judged(each.name, finding) for finding in each.findings] for each in compared}


def _file(old: Path, new: Path) -> list[Finding]:
    missing = [path for path in (old, new) if not path.is_file()]
    if missing:
        return [different("file", *("missing" if path in missing else "there" for path in (old, new)))]
    before, after = old.read_bytes(), new.read_bytes()
    if before == after:
        return []
    reader = READERS.get(old.name) or READERS.get(old.suffix)
    hashes = [different("bytes", *(hashlib.sha256(data).hexdigest()[:16] for data in (before, after)))]
    if reader is None:
        return hashes
    try:
        findings = list(reader(before, after))
    except Exception as error:  # whatever a damaged file makes its reader raise
        sizes = (f"{len(data)} bytes" for data in (before, after))
        return [different(f"can't be read ({type(error).__name__})", *sizes)]
    # other bytes, yet nothing that the reader looks at: spaces, the form of a number, an order
    return findings or hashes
