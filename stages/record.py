"""Put the lock of the run and its conditions beside a table that is to be committed.

Conditions are the params, the hashes of the texts, and for every stage that computes the commit, machine, versions,
threads and wall time. They are no outs of DVC: a slower machine must not make a result look different. Nothing is
written where the pipeline isn't up to date: the lock would be that of another run than the table.

With --results, what the report has read (losses of each token, texts, histories: not the models) goes to the DVC remote
`results`, a folder of the repository. From it the tables and pictures can be made again without a model, and a run can
go on elsewhere with more rows (docs/scales.md). Of a stage that is locked as it was when it was recorded, the conditions
stay: a log that lies here may be of another run, as of an experiment.
"""

import argparse
import hashlib
from pathlib import Path

from stage import repository, stage

from gpt2_shakespeare import disk, logs, params, paths
from gpt2_shakespeare.errors import UserError
from gpt2_shakespeare.params import resolved

MISSING = ("deleted", "not in cache")  # DVC's words
REMOTE = "results"  # of .dvc/config


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--results", action="store_true", help="push the report's inputs to the remote `results`"
    )
    push = parser.parse_args().results
    settings = params.load()
    at = paths.Paths(settings.scale)
    if changed := not_as_locked():
        raise UserError(
            f"dvc.lock isn't of the files that lie here: {', '.join(changed[:3])} "
            f"{'and more ' if len(changed) > 3 else ''}changed since; `dvc repro`, then record"
        )
    conditions = logs.read(settings) | recorded(settings)
    keep_lock(at.metrics / "dvc.lock")
    facts = {
        "params": {"scale": settings.scale} | resolved.tables(settings)["report"],
        "sha256": {
            file.relative_to(at.raw).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(at.raw.rglob("*.*"))
        },
        "stages": dict(sorted(conditions.items())),
    }
    disk.write_json(at.metrics / "conditions.json", facts, indent=1)
    if push:
        push_results()


def keep_lock(target: Path) -> None:
    """Copy dvc.lock, without the stages of other scales, seeds and rows, which DVC leaves in it."""
    from dvc.utils.serialize import dump_yaml, load_yaml

    lock = load_yaml("dvc.lock")
    with repository() as repo:
        others = lock["stages"].keys() - {stage.name for stage in repo.index.stages}
    if not others:
        disk.install(Path("dvc.lock"), target)
        return
    for name in others:
        del lock["stages"][name]
    with disk.aside(target) as temp:
        dump_yaml(temp, lock)


def recorded(settings: params.Params) -> dict[str, dict]:
    """The recorded conditions of each stage that is locked here as it was there: what is locked is that run's."""
    from dvc.exceptions import DvcException
    from dvc.utils.serialize import load_yaml

    at = paths.Paths(settings.scale).metrics
    lock, conditions = at / "dvc.lock", at / "conditions.json"
    if not lock.exists() or not conditions.exists():
        return {}
    try:
        here, there = (load_yaml(file)["stages"] for file in ("dvc.lock", lock))
        found = disk.read_json(conditions)["stages"]
    except (DvcException, disk.FileError, KeyError, TypeError):
        return {}  # cut, or in conflict: of no run
    same = {name for name, entry in there.items() if here.get(name) == entry}
    return {log: found[log] for log, name in logs.stages(settings).items() if name in same and log in found}


def push_results() -> None:
    """Send what the report has read to the remote: the outs inside its deps."""
    with repository() as repo:
        (report,) = (stage for stage in repo.index.stages if stage.name == "report")
        read = [Path(str(dep)) for dep in report.deps]
        outs = [str(out) for stage in repo.index.stages for out in stage.outs]
        repo.push([out for out in outs if any(Path(out).is_relative_to(dep) for dep in read)], remote=REMOTE)


def not_as_locked() -> list[str]:
    """The stages of which a command, a dep or an out isn't what dvc.lock says; the results under metrics/ come first.

    Models may be missing: no figure is made of them that hasn't been made already.
    """
    with repository() as repo:
        status = repo.status()
    changed = (name for name, parts in status.items() if any(map(is_changed, parts)))
    return sorted(changed, key=lambda name: (name != "report", name))


def is_changed(part: str | dict[str, dict]) -> bool:
    """Whether a part of DVC's status tells of a change, and not of models alone that are missing.

    Args:
        part: `changed command`, or `changed deps` or `changed outs` with what has become of each path.
    """
    if isinstance(part, str):
        return True
    (files,) = part.values()
    return any(how not in MISSING or not path.startswith("models/") for path, how in files.items())


if __name__ == "__main__":
    stage(main)
