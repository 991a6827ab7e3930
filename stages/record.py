"""Put the lock of the run and its conditions beside a table that is to be committed.

Conditions are the params, the hashes of the texts, and for every stage that computes the commit, machine, versions,
threads and wall time. They are no outs of DVC: a slower machine must not make a result look different. Nothing is
written where the pipeline isn't up to date: the lock would be that of another run than the table.
"""

import hashlib
from pathlib import Path

from stage import no_arguments, stage

from gpt2_shakespeare import disk, params, paths
from gpt2_shakespeare.errors import UserError
from gpt2_shakespeare.params import resolved


def main() -> None:
    no_arguments(__doc__)
    settings = params.load()
    at = paths.Paths(settings.scale)
    if changed := not_as_locked():
        raise UserError(
            f"dvc.lock isn't of the files that lie here: {', '.join(changed[:3])} "
            f"{'and more ' if len(changed) > 3 else ''}changed since; `dvc repro`, then record"
        )
    keep_lock(at.metrics / "dvc.lock")
    logs = sorted(at.log("").parent.glob("*.json"))
    facts = {
        "params": {"scale": settings.scale} | resolved.tables(settings)["report"],
        "sha256": {
            file.relative_to(at.raw).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(at.raw.rglob("*.*"))
        },
        "stages": {file.stem: disk.read_json(file) for file in logs},
    }
    disk.write_json(at.metrics / "conditions.json", facts, indent=1)


def keep_lock(target: Path) -> None:
    """Copy dvc.lock, without the stages of other scales, seeds and rows, which DVC leaves in it."""
    from dvc.repo import Repo
    from dvc.utils.serialize import dump_yaml, load_yaml

    lock = load_yaml("dvc.lock")
    with Repo() as repo:
        others = lock["stages"].keys() - {stage.name for stage in repo.index.stages}
    if not others:
        disk.install(Path("dvc.lock"), target)
        return
    for name in others:
        del lock["stages"][name]
    with disk.aside(target) as temp:
        dump_yaml(temp, lock)


def not_as_locked() -> list[str]:
    """The stages of which a command, a dep or an out isn't what dvc.lock says; the results under metrics/ come first."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            status = repo.status()
    except DvcException as error:
        raise UserError(" ".join(str(error).split())) from None
    return sorted(status, key=lambda name: (name != "report", name))


if __name__ == "__main__":
    stage(main)
