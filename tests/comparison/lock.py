"""dvc.lock: of two runs, and of one run with the files that it says it made."""

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from comparison.finding import Finding, Verdict, different
from comparison.values import but, exact

CONDITIONS, LOCK = "conditions.json", "dvc.lock"  # written by stages/record.py
RUNTIME = "src/gpt2_shakespeare/runtime.py"  # what computes with torch depends on it
PARAMS = "params.yaml"  # what the stages read of it is in the settings that `check` writes


@lru_cache(8)
def read(content: bytes) -> dict[str, Any]:
    return yaml.load(content, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


# --- two runs ----------------------------------------------------------------------------------------------------


def compare(old: bytes, new: bytes) -> Iterator[Finding]:
    """Commands, code, settings and texts are equal; the hashes of what other weights change may differ where losses do."""
    locks = [read(data) for data in (old, new)]
    if locks[0] == locks[1] and sorted(old.splitlines()) == sorted(new.splitlines()):
        yield Finding("", "", "", Verdict.OTHER_RUN, "entries in another order")
        return
    yield from exact("", *(but(lock, "stages") for lock in locks))
    stages, others = (lock["stages"] for lock in locks)
    computed = _computed(old)
    for name in dict.fromkeys([*stages, *others]):
        if name not in stages or name not in others:
            yield different(
                f"stage {name}", *("there" if name in lock else "missing" for lock in (stages, others))
            )
            continue
        a, b = stages[name], others[name]
        yield from exact(name, but(a, "deps", "outs"), but(b, "deps", "outs"))
        for part in ("deps", "outs"):
            entries, those = ({entry["path"]: entry for entry in stage.get(part, ())} for stage in (a, b))
            for path in dict.fromkeys([*entries, *those]):
                place = f"{name}, {part}, {path}"
                x, y = entries.get(path), those.get(path)
                if x == y:
                    continue
                if x is None or y is None:
                    yield different(place, x or "missing", y or "missing")
                elif but(x, "md5", "size") != but(y, "md5", "size"):
                    yield different(place, x, y)
                elif path == PARAMS:
                    yield Finding(place, x["md5"], y["md5"], Verdict.OTHER_RUN, "facts of the run")
                elif _touches(path, computed):
                    yield Finding(
                        place, x["md5"], y["md5"], Verdict.WITHIN_TOLERANCE, "hashes", by_machine=True
                    )
                else:
                    yield different(place, *(f"{z['md5']}, {z['size']} bytes" for z in (x, y)))


@lru_cache(8)
def _computed(content: bytes) -> set[str]:
    """The outs that depend on the machine: of stages that compute with torch, and of all that read theirs.

    Settings, texts, tokens, n-grams and the figures of human text aren't among them.
    """
    stages = read(content)["stages"]
    found: set[str] = set()
    while True:
        before = len(found)
        for stage in stages.values():
            deps = [dep["path"] for dep in stage.get("deps", ())]
            if RUNTIME in deps or any(_touches(dep, found) for dep in deps):
                found |= {out["path"] for out in stage.get("outs", ())}
        if len(found) == before:
            return found


def _touches(path: str, others: set[str]) -> bool:
    """Whether it is one of them, lies in one, or holds one."""
    return any(path == other or f"{path}/".startswith(f"{other}/") or f"{other}/".startswith(f"{path}/")
               for other in others)  # fmt: skip


# --- one run -----------------------------------------------------------------------------------------------------


def own(folder: Path) -> Iterator[tuple[str, Finding]]:
    """(file, finding) wherever a folder of metrics isn't what its own dvc.lock says that the run made.

    What was replaced after the run shows here, whatever the machine.
    """
    try:
        made, known, contradictions = _recorded((folder / LOCK).read_bytes())
    except (OSError, yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        yield LOCK, different(f"can't be read ({type(error).__name__})", "nothing", "vouches for the files")
        return
    yield from ((LOCK, finding) for finding in contradictions)
    files = {
        file.relative_to(folder).as_posix(): hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
        for file in folder.rglob("*")
        if file.is_file() and file.relative_to(folder).as_posix() not in (LOCK, CONDITIONS)
    }
    for name, md5 in made.items():
        inside = {path: files[path] for path in files if path.startswith(f"{name}/")}
        found = _of_folder(name, inside) if inside else files.get(name, "missing")
        if found != md5:
            yield name, different("is not what the run made; md5", md5, found)
    for name in files:
        if not any(name == out or name.startswith(f"{out}/") for out in made):
            yield name, different("is not of the run", "not in dvc.lock", "there")

    if not (folder / CONDITIONS).is_file():
        yield CONDITIONS, different("file", "missing", "needed")
    for path, md5 in known.items():
        if path.endswith("/settings/report.json"):
            try:
                facts = json.loads((folder / CONDITIONS).read_bytes())
                settings = json.dumps(but(facts["params"], "scale"), indent=1) + "\n"  # as stages/check.py
                said = hashlib.md5(settings.encode(), usedforsecurity=False).hexdigest()
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                said = type(error).__name__
            if said != md5:
                yield CONDITIONS, different("params are not those of the run; md5", md5, said)


@lru_cache(8)
def _recorded(content: bytes) -> tuple[dict[str, str], dict[str, str], list[Finding]]:
    """Of a lock: file or folder of metrics -> hash, any path -> hash, and where two of its hashes contradict."""
    stages = read(content)["stages"].values()
    outs = [out for stage in stages for out in stage.get("outs", ())]
    entries = outs + [dep for stage in stages for dep in stage.get("deps", ())]
    known = {entry["path"]: str(entry["md5"]) for entry in entries}
    made = {
        path.split("/", 2)[2]: known[path]
        for path in (out["path"] for out in outs)
        if path.startswith("metrics/")
    }
    found = [
        different(f"two hashes of {entry['path']}", entry["md5"], known[entry["path"]])
        for entry in entries
        if str(entry["md5"]) != known[entry["path"]]
    ]
    for path, size in {entry["path"]: entry["nfiles"] for entry in entries if "nfiles" in entry}.items():
        inside = {name: md5 for name, md5 in known.items() if name.startswith(f"{path}/")}
        if len(inside) == size and _of_folder(path, inside) != known[path]:
            found.append(different(f"{path} and the files in it", "other", "hashes"))
    return made, known, found


def _of_folder(folder: str, files: dict[str, str]) -> str:
    """DVC's hash of a folder, from those of all files in it."""
    listed = [
        {"md5": md5, "relpath": path.removeprefix(f"{folder}/")}
        for path, md5 in sorted(files.items(), key=lambda item: tuple(item[0].split("/")))
    ]
    return (
        hashlib.md5(json.dumps(listed, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"
    )
