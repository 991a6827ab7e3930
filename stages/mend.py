"""Mend what a killed DVC leaves: a cut dvc.lock, or a cut .dvc/tmp/rwlock. Says what it did; does nothing otherwise.

DVC writes these files in place, so that a signal or a full disk in that moment leaves them empty or cut, and every
later dvc command fails. A broken dvc.lock is put aside as dvc.lock.broken, and git's copy takes its place if there is
one. Nothing is lost: DVC's run cache gives back the stages that are done.
"""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from stage import no_arguments, repository, stage, to_root

from gpt2_shakespeare import disk

LOCK, ASIDE = Path("dvc.lock"), Path("dvc.lock.broken")
RUNNING = Path(".dvc/tmp/rwlock")  # which stages run now


def main() -> None:
    no_arguments(__doc__)
    to_root()
    with nobody_writes():
        if LOCK.exists() and not is_lock(LOCK.read_bytes()):
            copy, source = from_git()
            LOCK.replace(ASIDE)
            if copy is not None:
                with disk.aside(LOCK) as temp:
                    temp.write_bytes(copy)
            print(
                f"mend: {LOCK} was broken, as a signal or a full disk leaves it while DVC writes it; it is now {ASIDE}, "
                f"and {source}. `dvc repro` goes on: stages that are done come from DVC's run cache."
            )
        if RUNNING.exists() and not is_json(RUNNING.read_bytes()):
            RUNNING.unlink()
            print(f"mend: {RUNNING} was broken, as a killed DVC leaves it, and is removed; it held no result")


def is_lock(content: bytes) -> bool:
    """Whether DVC can read this as a lock of the pipeline, and it isn't cut: DVC ends its last line."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from voluptuous import Invalid

    if not content.endswith(b"\n"):  # YAML that is cut may well be YAML
        return False
    try:
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(content.decode("utf-8")))
    except (YAMLError, Invalid, ValueError):
        return False
    return True


def is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


def from_git() -> tuple[bytes | None, str]:
    """The newest good copy of the lock that git has, and what to say of it."""
    for revision, name in (("", "git's index"), ("HEAD", "the last commit")):
        found = subprocess.run(["git", "show", f"{revision}:./{LOCK}"], capture_output=True)
        if found.returncode == 0 and is_lock(found.stdout):
            return found.stdout, f"the copy of {name} is in its place"
    return None, "DVC writes a new one"


@contextlib.contextmanager
def nobody_writes() -> Iterator[None]:
    """Holds DVC's own lock: what looks broken may be a file that another DVC is just writing."""
    with repository() as repo, repo.lock:
        yield


if __name__ == "__main__":
    stage(main)
