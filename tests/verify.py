"""Regenerate the committed figures in a scratch clone, from nothing, and say file by file what came out.

    make verify                            # of the scale that params.yaml names
    python tests/verify.py --scale novels

Scale, seeds, rows and all other settings are those that the committed conditions.json says, whatever params.yaml says
now. Verdicts: same bits, within tolerance, or different (compare_metrics.py). Only what is committed counts. Nothing of
this folder is touched, and neither are its caches, so everything is trained again.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from compare_metrics import print_comparison
from comparison.lock import CONDITIONS, own
from comparison.values import exact
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from gpt2_shakespeare import params  # noqa: E402
from gpt2_shakespeare.params import resolved  # noqa: E402

AT_TOP = ("seeds", "sample", "analysis", "corpus_path", "base_path")
OF_SCALE = ("corpus", "tokenizer", "runtime", "model", "base", "pretraining")
SHOWN = 5


def committed_params(metrics: Path) -> dict[str, Any]:
    """What a committed run was run with, of its conditions.json; ends with a line where that can't be told."""
    name = f"metrics/{metrics.name}"
    if not metrics.is_dir():
        sys.exit(f"verify: {name} is not committed; there is nothing to compare with")
    for file, finding in own(metrics):
        sys.exit(f"verify: {name}/{file}: {finding}; it isn't what one run made, so it can't be made again")
    facts = json.loads((metrics / CONDITIONS).read_text())
    if (
        not {"scale", "rows", "ensembles", "adapting", "learning_curves", *AT_TOP, *OF_SCALE}
        <= facts["params"].keys()
    ):
        sys.exit(
            f"verify: {name} has an older layout: its {CONDITIONS} lacks settings of today's. This code can't make it "
            f"again; check out the commit that holds its own code (git log -- {name}/{CONDITIONS}), or make it anew: "
            f"dvc exp run -S scale={metrics.name}"
        )
    return facts["params"]


def settle(file: Path, wanted: dict[str, Any]) -> None:
    """Change params.yaml so that it comes to what a committed run was run with.

    It stays as it is where it does so already. Raises ParamsError where this code knows no such settings.
    """
    yaml = YAML(typ="safe")
    raw = yaml.load(file.read_text())
    before = json.dumps(raw)
    raw["scale"] = scale = wanted["scale"]
    if scale not in raw["scales"] or difference(raw, wanted):
        for name in AT_TOP:
            raw[name] = wanted[name]
        raw["ensembles"] = {
            name: {"of": of, "cache": cache} for name, (of, cache) in wanted["ensembles"].items()
        }
        adapting = list(wanted["adapting"].values())
        raw["adapting"] = {
            "rows": list(dict.fromkeys(of for of, _ in adapting)),
            "ways": list(dict.fromkeys(way for _, way in adapting)),
        }
        raw["learning_curves"] = wanted["learning_curves"]
        raw["rows"] = {
            "scratch": [name for name, row in wanted["rows"].items() if row["kind"] == "scratch"],
            "finetune": [name for name, row in wanted["rows"].items() if row["kind"] != "scratch"],
        }
        raw["epochs"] = wanted["rows"]["finetune"]["epochs"]
        raw["defaults"] = {"checkpoint_interval": raw["defaults"]["checkpoint_interval"]}
        raw["scales"] = {
            scale: {name: _written(wanted[name]) for name in OF_SCALE if wanted[name] is not None}
            | {"rows": {name: _row(name, row) for name, row in wanted["rows"].items()}}
        }
        if found := difference(raw, wanted):
            raise params.ParamsError(
                f"{', '.join(found[:SHOWN])} of the committed run can't be set by this code"
            )
    if json.dumps(raw) != before:
        yaml.dump(raw, file)


def difference(raw: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Where params.yaml comes to something else than a committed run was run with."""
    settings = params.parse(raw)
    found = {"scale": settings.scale} | json.loads(json.dumps(resolved.tables(settings)["report"]))
    return [finding.place for finding in exact("", found, wanted)]


def _written(value: Any) -> Any:
    """As it is written in params.yaml, where the phases of a context are a mapping: window length -> epochs."""
    if isinstance(value, dict) and "context" in value:
        phases = {phase["block_size"]: phase["epochs"] for phase in value["context"]}
        return value | {"context": phases}
    return value


def _row(name: str, row: dict[str, Any]) -> dict[str, Any]:
    settings = _written(row["settings"])
    if row["kind"] == "scratch":
        return settings
    epochs = {} if name == "finetune" else {"epochs": row["epochs"]}
    return settings | epochs | {"kind": row["kind"]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", help="another one than params.yaml names")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, clone], check=True)
        file = clone / "params.yaml"
        scale = args.scale or YAML(typ="safe").load(file.read_text())["scale"]
        metrics = clone / "metrics" / scale
        wanted = committed_params(metrics)
        try:
            settle(file, wanted)
        except params.ParamsError as error:
            sys.exit(f"verify: {error}")
        committed = metrics.rename(Path(folder) / "committed")
        for command in (["dvc", "repro"], [sys.executable, "stages/record.py"]):
            done = subprocess.run(command, cwd=clone)
            if done.returncode:
                sys.exit(
                    f"verify: {' '.join(command)} ended with code {done.returncode}; nothing was compared"
                )
        sys.exit(print_comparison(committed, metrics))


if __name__ == "__main__":
    main()
