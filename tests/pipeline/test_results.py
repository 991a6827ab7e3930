"""What a run has measured is in the repository: tables without models, and runs that go on elsewhere."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import micro
import pytest

pytestmark = pytest.mark.slow


def run(project, command):
    done = micro.run(project, *command.split())
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return done.stdout


@pytest.fixture
def clone(finished, tmp_path):
    """Of a run that was recorded with its results and committed: git's files, and nothing else."""
    run(finished, "python stages/record.py --results")
    run(finished, "git add .")
    run(finished, "git commit --quiet --message results")
    run(tmp_path, f"git clone --quiet {finished} clone")
    return tmp_path / "clone"


def add_a_row(params):
    params["rows"]["finetune"].append("finetune_more")
    for scale in params["scales"].values():
        scale["rows"]["finetune_more"] = {**scale["rows"]["finetune"], "epochs": 2}


def test_a_run_goes_on_elsewhere_from_its_results(clone, finished):
    """docs/scales.md, Going on from a committed run."""
    kept = sum(file.stat().st_size for file in (clone / "metrics/results").rglob("*") if file.is_file())
    assert 10_000 < kept < 1_000_000
    shutil.copy(clone / "metrics/demo/dvc.lock", clone)
    run(clone, "dvc pull --remote results --allow-missing")
    assert not list((clone / "models").rglob("*.safetensors"))
    run(clone, "rm -r models")
    before = {file.name: file.read_bytes() for file in (clone / "metrics/demo").iterdir() if file.is_file()}
    run(clone, "dvc repro prepare")
    run(clone, "dvc repro --force --single-item report")
    assert before == {name: (clone / "metrics/demo" / name).read_bytes() for name in before}

    micro.edit(clone, add_a_row)
    run(clone, "dvc repro base")
    said = run(clone, "dvc repro --allow-missing")
    ran = re.findall(r"^Running stage '([^']+)'", said, flags=re.MULTILINE)
    steps = ("", "evaluate_", "texts_", "decode_")
    assert set(ran) <= {
        "evaluate_ensembles", "report", *(f"{step}finetune@finetune_more-1337" for step in steps)
    }  # fmt: skip
    assert "finetune@finetune_more-1337" in ran and not (clone / "models/demo/scratch").exists()
    table = (clone / "metrics/demo/table.csv").read_text()
    assert "finetune_more" in table
    assert set(before["table.csv"].decode().splitlines()) < set(table.splitlines())
    run(clone, "python stages/record.py --results")
    conditions = json.loads((clone / "metrics/demo/conditions.json").read_text())["stages"]
    there = json.loads((finished / "metrics/demo/conditions.json").read_text())["stages"]
    assert {"scratch-1337", "evaluate-scratch-1337", "finetune_more-1337"} < set(conditions)
    assert conditions["scratch-1337"] == there["scratch-1337"]

    # another run's conditions are nobody's
    micro.edit(clone, lambda p: p["scales"]["demo"]["rows"]["finetune"].update(learning_rate=0.003))
    run(clone, "dvc repro")
    run(clone, "python stages/record.py")
    conditions = json.loads((clone / "metrics/demo/conditions.json").read_text())["stages"]
    assert conditions["finetune-1337"] != there["finetune-1337"]


def test_a_changed_file_is_not_recorded_as_a_missing_model(finished):
    file = finished / "data/demo/evaluation/scratch-1337.json"
    saved = file.read_bytes()
    file.unlink()
    done = micro.stage(finished, "record", "--results")
    file.write_bytes(saved)
    assert done.returncode == 1 and "evaluate_scratch@scratch-1337" in done.stdout


def test_the_committed_results_are_those_of_the_committed_lock():
    """Of laptop, which takes hours: each out that its report has read, by its hash."""
    lock = micro.YAML(typ="safe").load((micro.ROOT / "metrics/laptop/dvc.lock").read_text())["stages"]
    outs = {out["path"]: out["md5"] for stage in lock.values() for out in stage["outs"]}
    read = [dep["path"] for dep in lock["report"]["deps"]]
    wanted = {path: md5 for path, md5 in outs.items() if any(Path(path).is_relative_to(dep) for dep in read)}
    assert len(wanted) > 15
    for path, md5 in wanted.items():
        file = micro.ROOT / "metrics/results/files/md5" / md5[:2] / md5[2:]
        assert hashlib.md5(file.read_bytes()).hexdigest() == md5.removesuffix(".dir"), path
