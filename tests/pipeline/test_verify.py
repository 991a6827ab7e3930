"""`make verify` runs what the committed run was run with, or says in a line why it can't."""

import json
import shutil
from pathlib import Path

import pytest
import verify
from ruamel.yaml import YAML

from gpt2_shakespeare import params
from gpt2_shakespeare.params import resolved

ROOT = Path(__file__).parents[2]
YAML_OF_DVC = YAML(typ="safe")


@pytest.fixture
def file(tmp_path):
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml"))


def run_with(file):
    """The params that stages/record.py would write."""
    settings = params.load(file)
    found = {"scale": settings.scale} | resolved.tables(settings)["report"]
    return json.loads(json.dumps(found))


def edit(file, change):
    raw = YAML_OF_DVC.load(file.read_text())
    change(raw)
    YAML_OF_DVC.dump(raw, file)


def test_what_is_in_force_already_stays_as_it_is(file):
    wanted, before = verify.committed_params(ROOT / "metrics/demo"), file.read_bytes()
    assert run_with(file) == wanted
    verify.settle(file, wanted)
    assert file.read_bytes() == before


def other_seeds(raw):
    raw["seeds"] = [7]
    raw["sample"]["temperature"] = 0.5


def other_rows(raw):
    raw["rows"] = {"scratch": ["scratch_tuned"], "finetune": ["finetune", "finetune_lora", "slow"]}
    raw["ensembles"] = {"both": {"of": "slow", "cache": True}}
    raw["adapting"]["rows"] = ["scratch_tuned"]
    raw["learning_curves"] = {"rows": ["finetune"], "shares": [0.5]}
    for scale in (raw["defaults"], *raw["scales"].values()):
        rows = scale["rows"]
        for name in ("scratch", "scratch_same", "finetune_long", "finetune_tuned"):
            rows.pop(name, None)
    for scale in raw["scales"].values():
        scale["rows"]["slow"] = {"learning_rate": 0.0004, "epochs": 3, "kind": "lora", "rank": 2, "alpha": 4}


def other_settings(raw):
    raw["epochs"], raw["long_epochs"] = 2, 4
    raw["defaults"]["training"]["grad_clip"] = 0.5
    raw["defaults"]["rows"]["finetune_tuned"]["renaming"]["below"] = 5
    raw["defaults"]["runtime"]["precision"] = "fp32"


def removed(raw):
    """The scale is gone from params.yaml."""
    raw["scale"] = "novels"
    del raw["scales"]["demo"]


@pytest.mark.parametrize("scale", ["demo", "laptop", "novels", "paper"])
@pytest.mark.parametrize("change", [other_seeds, other_rows, other_settings, removed])
def test_the_committed_settings_are_put_in_force_again(file, scale, change):
    edit(file, lambda raw: raw.update(scale=scale))
    wanted = run_with(file)
    if change is removed and scale != "demo":
        edit(file, lambda raw: raw.update(scale="demo"))
    else:
        edit(file, change)
    assert run_with(file) != wanted
    verify.settle(file, wanted)
    assert run_with(file) == wanted


@pytest.mark.parametrize("change", [other_seeds, other_rows, other_settings])
def test_the_other_way_round(file, change):
    before = file.read_bytes()
    edit(file, change)
    wanted = run_with(file)
    file.write_bytes(before)
    verify.settle(file, wanted)
    assert run_with(file) == wanted


def test_what_this_code_does_not_know_is_named(file):
    wanted = run_with(file)
    wanted["rows"]["finetune"]["settings"]["dropuot"] = 0.1
    with pytest.raises(params.ParamsError, match="dropuot"):
        verify.settle(file, wanted)


def test_where_nothing_can_be_compared_it_says_why(tmp_path):
    def line(scale):
        with pytest.raises(SystemExit) as stopped:
            verify.committed_params(tmp_path / "metrics" / scale)
        return str(stopped.value)

    assert "metrics/paper is not committed" in line("paper")
    shutil.copytree(ROOT / "metrics/demo", tmp_path / "metrics/demo")
    facts_file = tmp_path / "metrics/demo/conditions.json"
    (tmp_path / "metrics/demo/samples.md").write_text("word\n")
    assert "metrics/demo/samples.md: is not what the run made" in line("demo")
    shutil.copy(ROOT / "metrics/demo/samples.md", tmp_path / "metrics/demo")
    facts = json.loads(facts_file.read_text())
    del facts["params"]["rows"]
    facts_file.write_text(json.dumps(facts))
    lock = tmp_path / "metrics/demo/dvc.lock"
    report = YAML_OF_DVC.load(lock.read_text())["stages"]["report"]
    YAML_OF_DVC.dump({"stages": {"report": {"outs": report["outs"]}}}, lock)
    assert "older layout" in line("demo") and "git log -- metrics/demo" in line("demo")
