"""Put the lock of the run and its conditions beside a table that is to be committed.

Conditions are the params, the hashes of the texts, and for every stage that computes the commit, machine, versions,
threads and wall time. They are no outs of DVC: a slower machine must not make a result look different.
"""

import hashlib
from pathlib import Path

from stage import no_arguments, stage

from gpt2_shakespeare import disk, params, paths
from gpt2_shakespeare.params import resolved


def main() -> None:
    no_arguments(__doc__)
    settings = params.load()
    at = paths.Paths(settings.scale)
    disk.install(Path("dvc.lock"), at.metrics / "dvc.lock")
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


if __name__ == "__main__":
    stage(main)
