"""Table, figures and samples of all rows into metrics/<scale>/."""

import argparse
import json
import logging
import shutil
import subprocess
from pathlib import Path

from stage import stage

from gpt2_shakespeare import config, paths, report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--print", action="store_true", help="print the table that is there; write nothing")
    parser.add_argument(
        "--record", action="store_true", help="put dvc.lock and the conditions beside the table"
    )
    args = parser.parse_args()

    params = config.load()
    if args.print:
        print(report.summary(params.scale))
    elif args.record:
        record(params, paths.Paths(params.scale).metrics)
    else:
        logging.info("report: %s", report.write(params) / report.TABLE_MD)


def record(params: config.Params, out: Path) -> None:
    """For figures that are committed: the lock of the run, its params, commit, machine and versions.

    No out of DVC: a slower machine must not make a result look different.
    """
    shutil.copy("dvc.lock", out)
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    logs = sorted(paths.Paths(params.scale).log("").parent.glob("*.json"))
    facts = {
        "commit": head.strip(),
        "params": params.model_dump(exclude={"scales"}) | {"at_scale": params.at_scale.model_dump()},
        "stages": {file.stem: json.loads(file.read_text()) for file in logs},
    }
    (out / "conditions.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    stage(main)
