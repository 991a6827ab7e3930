"""Put the lock of the run and its conditions beside a table that is to be committed.

Conditions are the commit, the params, and the machine, versions and wall time of every training. They are no outs
of DVC: a slower machine must not make a result look different.
"""

import json
import shutil
import subprocess

from stage import stage

from gpt2_shakespeare import config, paths


def main() -> None:
    params = config.load()
    at = paths.Paths(params.scale)
    shutil.copy("dvc.lock", at.metrics)
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    logs = sorted(at.log("").parent.glob("*.json"))
    facts = {
        "commit": head.strip(),
        "params": params.model_dump(exclude={"scales"}) | {"at_scale": params.at_scale.model_dump()},
        "stages": {file.stem: json.loads(file.read_text()) for file in logs},
    }
    (at.metrics / "conditions.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    stage(main)
