"""dvc.yaml names all that its stages read: the modules they import and the params they use.

What a stage reads without saying so goes stale in silence; what it names without need retrains a model.
"""

import ast
from functools import cache
from pathlib import Path

import pytest
import yaml

from gpt2_shakespeare.params import schema

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src/gpt2_shakespeare"
# Modules without arithmetic: what they pass on stands in params.yaml, in paths or in messages, and DVC sees
# that. A new key in the schema must not retrain every model.
PLUMBING = {"__init__", "config", "errors", "paths"}

# Changes no result (tests/test_interrupted.py), so it retrains nothing.
WITHOUT_EFFECT = {"scales.${scale}.checkpoint_interval"}


@cache
def stages() -> dict[str, dict]:
    """Every stage of dvc.yaml, a foreach or matrix stage as its template."""
    found = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    return {name: stage.get("do", stage) for name, stage in found.items()}


def script(stage: dict) -> Path:
    return ROOT / stage["cmd"].split()[1]


def imports(file: Path) -> set[str]:
    """First-party modules that a file imports at its top level."""
    found: set[str] = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module == "gpt2_shakespeare":
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gpt2_shakespeare."):
            found.add(str(node.module).split(".")[1])
    return found


def closure(file: Path) -> set[str]:
    """First-party modules that a file imports, directly or through others."""
    seen: set[str] = set()
    todo = imports(file)
    while todo:
        module = todo.pop()
        seen.add(module)
        todo |= imports(PACKAGE / f"{module}.py") - seen
    return seen


def reads(file: Path) -> set[str]:
    """Dotted params that a file reads: `params.sample`, or `scale.base.source` as `scales.${scale}.base.source`."""
    chains, todo = set(), [ast.parse(file.read_text())]
    while todo:
        node: ast.AST = todo.pop()
        todo.extend(ast.iter_child_nodes(node) if not isinstance(node, ast.Attribute) else [])
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if parts and not isinstance(node, ast.Name):
            todo.append(node)
        if not isinstance(node, ast.Name) or not parts:
            continue
        parts.insert(0, node.id)
        if "params" in parts[:2]:
            rest = parts[parts.index("params") + 1 :]
        elif parts[0] == "scale":
            rest = ["at_scale", *parts[1:]]
        else:
            continue
        if rest[:1] == ["at_scale"]:
            rest = ["scales", "${scale}", *rest[1:]]
        if len(rest) > (2 if rest[:1] == ["scales"] else 0):
            chains.add(".".join(rest))
    return chains - WITHOUT_EFFECT


def is_named(chain: str, stage: dict) -> bool:
    """Whether DVC sees a change of this param: in params, or interpolated into command, deps or outs."""
    if any(chain == name or chain.startswith(f"{name}.") for name in stage.get("params", [])):
        return True
    everything = str([stage["cmd"], stage["deps"], stage.get("outs"), stage.get("metrics")])
    return f"${{{chain}}}" in everything or f"${{{chain}[0]}}" in everything


@pytest.mark.parametrize("name", stages())
def test_every_imported_module_is_a_dep(name):
    stage = stages()[name]
    wanted = {f"src/gpt2_shakespeare/{module}.py" for module in closure(script(stage)) - PLUMBING}
    wanted.add(str(script(stage).relative_to(ROOT)))
    listed = set(stage["deps"])
    assert not wanted - listed, "not listed: a change would go unnoticed"
    modules = {dep for dep in listed if dep.startswith("src/")}
    extra = modules - wanted - {"src/gpt2_shakespeare/novels.tsv", "src/gpt2_shakespeare/config.py"}
    assert not extra, "listed without need: a change would rerun the stage for nothing"
    if "src/gpt2_shakespeare/assets.py" in wanted:
        assert "src/gpt2_shakespeare/novels.tsv" in listed  # assets.py reads it


@pytest.mark.parametrize("name", sorted(set(stages()) - {*schema.TRAINED_ROWS, "check"}))
def test_every_param_that_is_read_is_named(name):
    stage = stages()[name]
    found = reads(script(stage))
    if name.startswith("report"):
        found |= reads(PACKAGE / f"{name}.py")
    assert found, "this test reads no param in a stage that reads some"
    missing = {chain for chain in found if not is_named(chain, stage)}
    # the defaults of sample.py's own command line
    assert missing <= ({"seeds", "epochs"} if name == "sample" else set())


@pytest.mark.parametrize("row", schema.TRAINED_ROWS)
def test_a_trained_row_names_its_own_settings(row):
    section, epochs = schema.TRAINED_ROWS[row]
    stage = stages()[row]
    assert set(stage["params"]) == {f"scales.${{scale}}.{section}", "scales.${scale}.runtime"}
    assert (f"--epochs ${{{epochs}}}" in stage["cmd"]) == (epochs is not None)
    assert ("models/${scale}/base" in stage["deps"]) == section.startswith("finetune")
    train_reads = reads(ROOT / "stages/train.py")  # beside the row's section, which it takes by name
    runtime = {f"scales.${{scale}}.runtime{rest}" for rest in ("", ".processes")}
    assert train_reads <= {"scale", "epochs", "long_epochs"} | runtime


def test_every_row_is_trained_evaluated_and_reported():
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert list(schema.TRAINED_ROWS) == graph["evaluate"]["matrix"]["row"]
    for row in schema.TRAINED_ROWS:
        assert graph[row]["foreach"] == "${seeds}"
        assert f"models/${{scale}}/{row}/${{item}}" in graph[row]["do"]["outs"]
        assert f"models/${{scale}}/{row}" in graph["report"]["deps"]
        assert f"models/${{scale}}/{row}/${{seeds[0]}}" in graph["sample"]["deps"]
    assert list(schema.TRAINED_ROWS) == graph["analyse"]["matrix"]["row"] == graph["decode"]["foreach"]


def test_only_what_measures_reads_val():
    readers = {name for name, stage in stages().items() if any("val.npy" in dep for dep in stage["deps"])}
    evaluation = {"evaluate_baselines", "evaluate_base", "evaluate", "evaluate_ensembles"}
    analysis = {"analyse_human", "analyse_base", "analyse", "decode_base", "decode"}
    assert readers == evaluation | analysis


def test_params_that_the_stages_name_exist():
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    for scale in raw["scales"]:
        for stage in stages().values():
            for name in stage.get("params", []):
                value = raw
                for key in name.replace("${scale}", scale).split("."):
                    value = value[key]


def test_no_file_over_a_megabyte_and_no_weights_in_git():
    import subprocess

    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    for name in files:
        assert not name.endswith((".safetensors", ".npy", ".pt", ".bin")), name
        assert (ROOT / name).stat().st_size < 1_000_000, name


def test_every_fault_has_tests_that_exist():
    import re

    lines = re.findall(r"^\| (\d+) \|.*\|(.*)\|$", (ROOT / "docs/faults.md").read_text(), re.MULTILINE)
    assert [int(number) for number, _ in lines] == list(range(1, 37))
    for number, cell in lines:
        file = ""
        for name in re.findall(r"`([^`]+)`", cell):
            file, _, test = name.rpartition("::") if "::" in name else (file, "", name)
            assert f"\ndef {test}(" in (ROOT / "tests" / file).read_text(), f"{number}: {name}"
