"""dvc.yaml names all that its stages read: the parts of the package that they import, and the params they use.

What a stage reads without saying so goes stale in silence; what it names without need retrains a model. What a stage
opens while it runs is checked in test_end_to_end.py.
"""

import ast
import copy
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from gpt2_shakespeare import params
from gpt2_shakespeare.params import schema

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src/gpt2_shakespeare"
# Parts without arithmetic: what they pass on stands in params.yaml, in paths or in messages, and DVC sees that. A new
# key in the schema must not retrain every model.
PLUMBING = {"__init__.py", "params", "errors.py", "paths.py"}
# Imported inside a function, to fetch what is pinned by hash: no change of it can change what comes.
WITHOUT_EFFECT = {"corpora"}
# Change no result: tests/faults/test_interrupted.py holds the interval to that; a window's length is only checked.
PARAMS_WITHOUT_EFFECT = {"scales.${scale}.checkpoint_interval", "rows", "trained_rows"}
TRAINING = ("defaults.training", "scales.${scale}.training")
# What stands in several layers of params.yaml, or comes from other keys
LAYERS = {
    "scales.${scale}.runtime": ("defaults.runtime", "scales.${scale}.runtime"),
    "scales.${scale}.base.repo": ("defaults.base", "scales.${scale}.base"),
    "scales.${scale}.base.revision": ("defaults.base", "scales.${scale}.base"),
    "scales.${scale}.pretraining": (*TRAINING, "scales.${scale}.pretraining", "scales.${scale}.model"),
}


def read_yaml(name: str) -> dict:
    return YAML(typ="safe").load((ROOT / name).read_text(encoding="utf-8"))


@cache
def stages() -> dict[str, dict]:
    """Every stage of dvc.yaml, those with a matrix as their template."""
    return read_yaml("dvc.yaml")["stages"]


def script(stage: dict) -> Path:
    return ROOT / stage["cmd"].split()[1]


@cache
def imports(file: Path) -> frozenset[tuple[str, bool]]:
    """Modules of the package that a file imports, each with whether it does at its top level."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("gpt2_shakespeare"):
            continue
        here = PACKAGE.parent.joinpath(*str(node.module).split("."))
        for alias in node.names:
            names = [here / alias.name, here] if here.is_dir() else [here]
            module = next(
                path
                for name in names
                for path in (name.with_suffix(".py"), name / "__init__.py")
                if path.exists()
            )
            found.add((module.relative_to(PACKAGE).as_posix(), node in tree.body))
    return frozenset(found)


def parts(file: Path) -> set[str]:
    """Parts of the package, folders and lone modules, that a file imports, directly or through others."""
    seen: set[str] = set()
    todo = [file]
    while todo:
        for module, at_top in imports(todo.pop()):
            part = module.split("/")[0]
            if module not in seen and (at_top or part not in WITHOUT_EFFECT):
                seen.add(module)
                todo.append(PACKAGE / module)
    return {module.split("/")[0] for module in seen}


def unlisted(stage: dict) -> set[str]:
    """Code that a stage runs and doesn't list."""
    wanted = {f"src/gpt2_shakespeare/{part}" for part in parts(script(stage)) - PLUMBING}
    return (wanted | {script(stage).relative_to(ROOT).as_posix()}) - set(stage["deps"])


def reads(file: Path) -> set[str]:
    """Dotted params that a file reads: `settings.sample` as `sample`, `scale.base.source` as `scales.${scale}.base.source`."""
    chains, todo = set(), [ast.parse(file.read_text(encoding="utf-8"))]
    while todo:
        node: ast.AST = todo.pop()
        todo.extend(ast.iter_child_nodes(node) if not isinstance(node, ast.Attribute) else [])
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            names.insert(0, node.attr)
            node = node.value
        if names and not isinstance(node, ast.Name):
            todo.append(node)
        if not isinstance(node, ast.Name) or not names:
            continue
        if node.id in ("settings", "params") and names[
            0
        ] in params.Params.__dataclass_fields__ | dict.fromkeys(("at_scale", "rows", "trained_rows")):
            rest = names
        elif node.id == "scale":
            rest = ["at_scale", *names]
        elif names[0] == "params" and len(names) > 1:  # report.params.sample
            rest = names[1:]
        else:
            continue
        if rest[0] == "at_scale":
            rest = ["scales", "${scale}", *rest[1:]]
        if rest != ["scales", "${scale}"]:
            chains.add(".".join(rest))
    return {chain for chain in chains if chain not in PARAMS_WITHOUT_EFFECT}


def unnamed(stage: dict, files: list[Path]) -> set[str]:
    """Params that a stage reads and doesn't name: in its params, or in its command, deps or outs."""
    everything = str(
        [stage["cmd"], stage.get("matrix"), stage["deps"], stage.get("outs"), stage.get("metrics")]
    )
    missing = set()
    for chain in set().union(*map(reads, files)):
        for key in next((LAYERS[k] for k in LAYERS if chain == k or chain.startswith(f"{k}.")), (chain,)):
            listed = any(key == name or key.startswith(f"{name}.") for name in stage.get("params", []))
            if not listed and f"${{{key}}}" not in everything:
                missing.add(key)
    return missing


def files_of(name: str) -> list[Path]:
    """Where a stage's own reading of params stands."""
    return [script(stages()[name]), *(sorted((PACKAGE / "report").glob("*.py")) if name == "report" else [])]


ALL = list(stages())
TRAININGS = ("train_from_random", "train_from_base", "finetune")


@pytest.mark.parametrize("name", ALL)
def test_every_part_of_the_package_that_a_stage_imports_is_a_dep_and_no_other(name):
    stage = stages()[name]
    assert not unlisted(stage), "not listed: a change would go unnoticed"
    code = {dep for dep in stage["deps"] if dep.startswith(("src/", "stages/"))}
    for dep in code:
        less = copy.deepcopy(stage) | {"deps": [other for other in stage["deps"] if other != dep]}
        needless = (
            name == "check" and dep == "src/gpt2_shakespeare/params"
        )  # plumbing elsewhere, its subject here
        assert unlisted(less) == (set() if needless else {dep}), "listed without need"


@pytest.mark.parametrize("name", [name for name in ALL if name != "check"])
def test_every_param_that_a_stage_reads_is_named_and_no_other(name):
    stage = stages()[name]
    assert not unnamed(stage, files_of(name)), "not named: a change would go unnoticed"
    if name in (*TRAININGS, "report", "base"):
        return  # rows are read by name: the tests below
    for param in stage.get("params", []):
        less = copy.deepcopy(stage) | {"params": [other for other in stage["params"] if other != param]}
        assert unnamed(less, files_of(name)), f"{param} is named without need"


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_names_every_layer_of_its_settings(name):
    """As reader.py merges them; taking one away must show."""
    stage = stages()[name]
    row = "finetune" if name == "finetune" else "${item.row}"
    wanted = {
        "defaults.runtime", "scales.${scale}.runtime", *TRAINING,
        f"defaults.rows.{row}", f"scales.${{scale}}.rows.{row}",
    }  # fmt: skip
    if name == "train_from_random":
        wanted |= {"scales.${scale}.model"}
    else:
        wanted |= {"scales.${scale}.model.block_size", "scales.${scale}.finetuning"}
        wanted |= {"epochs" if name == "finetune" else "long_epochs"}
    assert set(stage["params"]) == wanted
    assert ("models/${scale}/base/0" in stage["deps"]) == (name != "train_from_random")


@pytest.mark.parametrize("name", ["train_from_random", "train_from_base", "finetune", "base"])
def test_every_layer_that_a_stage_names_has_an_effect_on_what_it_reads(name):
    """A weight decay in any of the layers reaches the settings; so no layer is named for nothing."""
    layers = [layer for layer in stages()[name]["params"] if re.search(r"training|rows|finetuning", layer)]
    assert len(layers) == (3 if name == "base" else 4 if name == "train_from_random" else 5)
    row = {"train_from_random": "scratch", "train_from_base": "finetune_long"}.get(name, "finetune")
    for layer in layers:
        raw = read_yaml("params.yaml")
        table = raw
        for key in layer.replace("${scale}", "demo").replace("${item.row}", row).split("."):
            table = table[key]
        table["weight_decay"] = 0.125
        found = params.parse(raw)
        settings = found.at_scale.pretraining if name == "base" else found.row(row).settings
        assert settings.weight_decay == 0.125, layer


def test_every_kind_of_row_is_trained_evaluated_sampled_and_decoded():
    lists = [f"${{rows.{name}}}" for name in schema.RowLists.model_fields]
    assert [stages()[name]["matrix"]["row"] for name in TRAININGS[:2]] == lists
    for step in ("evaluate", "texts", "decode"):
        found = [
            stage["matrix"]["row"]
            for name, stage in stages().items()
            if name.startswith(f"{step}_") and "matrix" in stage
        ]
        assert sorted(map(str, found)) == sorted(map(str, (*lists, ["base"], ["finetune"])))


def test_only_what_measures_reads_val():
    readers = {name for name, stage in stages().items() if any("val.npy" in dep for dep in stage["deps"])}
    assert readers == {name for name in ALL if name.startswith(("evaluate", "texts", "decode"))}


def test_params_that_the_stages_name_exist_in_every_scale():
    raw = read_yaml("params.yaml")
    rows = {"train_from_random": raw["rows"]["from_random"], "train_from_base": raw["rows"]["from_base"]}
    for scale in raw["scales"]:
        for name, stage in stages().items():
            for row in rows.get(name, [""]):
                for param in stage.get("params", []):
                    value = raw
                    for key in param.replace("${scale}", scale).replace("${item.row}", row).split("."):
                        assert key in value, f"{name}: {param} at {scale}"
                        value = value[key]


def test_the_graph_and_the_settings_stay_short():
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 200
    assert len((ROOT / "params.yaml").read_text().splitlines()) <= 220


def test_the_packages_imports_go_one_way():
    """params, paths, runtime -> corpora, tokens -> model -> measure -> training, baselines, texts; report needs little."""
    order = [
        "errors.py",
        "params",
        "paths.py",
        "runtime.py",
        "corpora",
        "tokens",
        "model",
        "measure",
        "baselines",
        "training",
        "texts",
    ]
    for file in PACKAGE.rglob("*.py"):
        part = file.relative_to(PACKAGE).parts[0]
        needs = {module.split("/")[0] for module, _ in imports(file)} - {part}
        if part == "report":
            assert needs <= {"params", "paths.py", "errors.py"}, file
        elif part != "__init__.py":
            assert needs <= set(order[: order.index(part)]), f"{file}: {needs}"


def test_no_file_over_a_megabyte_and_no_weights_in_git():
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    for name in files:
        assert not name.endswith((".safetensors", ".npy", ".pt", ".bin")), name
        assert (ROOT / name).stat().st_size < 1_000_000, name


def test_every_fault_has_tests_that_exist():
    lines = re.findall(r"^\| (\d+) \|.*\|(.*)\|$", (ROOT / "docs/faults.md").read_text(), re.MULTILINE)
    assert [int(number) for number, _ in lines] == list(range(1, 37))
    for number, cell in lines:
        file = ""
        for name in re.findall(r"`([^`]+)`", cell):
            file, _, test = name.rpartition("::") if "::" in name else (file, "", name)
            assert f"\ndef {test}(" in (ROOT / "tests" / file).read_text(), f"{number}: {name}"
