"""dvc.yaml names all that its stages read: the parts of the package that they import, and the params they use.

What a stage reads without saying so goes stale in silence; what it names without need retrains a model. What a stage
opens while it runs is checked in test_end_to_end.py.
"""

import ast
import copy
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from gpt2_shakespeare import params
from gpt2_shakespeare.params import resolved

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src/gpt2_shakespeare"
# Parts without arithmetic: what they pass on stands in params.yaml, in paths or in messages, and DVC sees that. A new
# key in the schema must not retrain every model.
PLUMBING = {"__init__.py", "params", "disk.py", "errors.py", "paths.py"}
# Imported inside a function, to fetch what is pinned by hash: no change of it can change what comes.
WITHOUT_EFFECT = {"corpora"}
# Read without a dep. Change no result: how often training is saved (tests/faults/test_interrupted.py holds it to that),
# and the rows' names and windows, which are only checked.
PARAMS_WITHOUT_EFFECT = {"checkpoint_interval", "rows", "trained_rows", "scale"}


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
    """Dotted params that a file reads: `settings.sample.top_p` as `sample.top_p`, `scale.base.source` as `base.source`."""
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
        if node.id in ("settings", "params") and names[0] in PARAMS:
            chain = names
        elif node.id == "scale":
            chain = ["at_scale", *names]
        elif names[0] == "params" and len(names) > 1:  # report.params.sample
            chain = names[1:]
        else:
            continue
        chain = chain[1:] if chain[0] == "at_scale" else chain
        if chain:
            chains.add(".".join(chain))
    return chains - PARAMS_WITHOUT_EFFECT


PARAMS = {*params.Params.__dataclass_fields__, "at_scale", "rows", "trained_rows"}


def keys(table: dict, above: str = "") -> set[str]:
    """Dotted keys of a table, those of tables in it included."""
    found = set()
    for key, value in table.items():
        found |= {above + key} | (keys(value, f"{above}{key}.") if isinstance(value, dict) else set())
    return found


@cache
def resolved_keys() -> dict[str, set[str]]:
    """What stands in each file of settings, as the stages read it."""
    found = resolved.tables(params.load(ROOT / "params.yaml"))
    return {name: keys(table) for name, table in found.items()}


def unwatched(stage: dict, files: list[Path]) -> set[str]:
    """Params that a stage reads and depends on neither by a file of settings nor by a place that is made of them."""
    listed = {dep.partition("/settings/")[2].removesuffix(".json") for dep in stage["deps"]}
    watched = {"rows/${item.row}": set()} | resolved_keys()
    there = set().union(*(watched[name] for name in listed - {""}))
    everything = str([stage["cmd"], stage.get("matrix"), stage["deps"]])
    return {
        chain
        for chain in set().union(*map(reads, files))
        if not any(chain == key or chain.startswith(f"{key}.") for key in there)
        and f"${{{chain}}}" not in everything
    }


def files_of(name: str) -> list[Path]:
    """Where a stage's own reading of params stands."""
    return [script(stages()[name]), *(sorted((PACKAGE / "report").glob("*.py")) if name == "report" else [])]


ALL = list(stages())


@pytest.mark.parametrize("name", ALL)
def test_every_part_of_the_package_that_a_stage_imports_is_a_dep_and_no_other(name):
    stage = stages()[name]
    assert not unlisted(stage), "not listed: a change would go unnoticed"
    code = {dep for dep in stage["deps"] if dep.startswith(("src/", "stages/"))}
    for dep in code:
        less = stage | {"deps": [other for other in stage["deps"] if other != dep]}
        needless = (
            name == "check" and dep == "src/gpt2_shakespeare/params"
        )  # plumbing elsewhere, its subject here
        assert unlisted(less) == (set() if needless else {dep}), "listed without need"


@pytest.mark.parametrize(
    "name", [name for name in ALL if name not in ("check", "scratch", "finetune", "learning_curve")]
)
def test_every_param_that_a_stage_reads_is_in_the_settings_that_it_depends_on_and_no_other(name):
    stage = stages()[name]
    assert not unwatched(stage, files_of(name)), "a change would go unnoticed"
    for dep in stage["deps"]:
        if "/settings/" in dep:
            less = stage | {"deps": [other for other in stage["deps"] if other != dep]}
            assert unwatched(less, files_of(name)), f"{dep} is listed without need"


@pytest.mark.parametrize("name", ["scratch", "finetune"])
def test_a_training_depends_on_all_settings_of_its_row(name):
    stage = stages()[name]
    (dep,) = [dep for dep in stage["deps"] if "/settings/" in dep]
    assert dep == "data/${scale}/settings/rows/${item.row}.json"
    beside = {
        "runtime",
        "runtime.processes",
        "corpus",
        "base",
    }  # its row; text and base are for the model card
    assert reads(script(stage)) == beside
    found = params.load(ROOT / "params.yaml")
    row = found.trained_rows[0]
    table = resolved.tables(found)[f"rows/{row.name}"]
    assert table["settings"] == row.settings.model_dump() and table["epochs"] == row.epochs
    assert table["runtime"] == found.at_scale.runtime.model_dump()
    assert table["corpus"] == found.at_scale.corpus
    assert resolved.tables(found)["rows/finetune"]["base"] == found.at_scale.base.model_dump()
    assert ("models/${scale}/base/0" in stage["deps"]) == (name == "finetune")


def test_a_learning_curve_depends_on_all_settings_of_its_row_and_on_what_it_reads_beside():
    stage = stages()["learning_curve"]
    settings = {dep.partition("/settings/")[2] for dep in stage["deps"] if "/settings/" in dep}
    assert settings == {"rows/${item.row}.json", "learning_curve.json"}
    beside = {"learning_curves", "seeds", "runtime", "runtime.for_evaluation"}  # the first: of the matrix
    assert reads(script(stage)) == beside
    assert {"seeds", "runtime"} <= resolved_keys()["learning_curve"]


def test_a_param_changes_the_files_of_those_who_read_it_alone():
    raw, found = read_yaml("params.yaml"), {}
    for key, value in {
        "epochs": 3, "long_epochs": 9, "seeds": [5], "learning_curves.shares": [0.5], "sample.top_p": 0.5, "analysis.samples": 9,
        "defaults.training.weight_decay": 0.5, "scales.demo.finetuning.weight_decay": 0.5,
        "scales.demo.pretraining.learning_rate": 0.001, "scales.demo.runtime.threads": 2,
        "scales.demo.model.n_layer": 3, "defaults.base.repo": "me/mine", "scales.demo.tokenizer.vocab_size": 999,
        "defaults.checkpoint_interval": 7, "scales.paper.runtime.threads": 2, "base_path": "x",
    }.items():  # fmt: skip
        changed = copy.deepcopy(raw)
        table = changed
        *above, last = key.split(".")
        for name in above:
            table = table[name]
        table[last] = value
        before, after = resolved.tables(params.parse(raw)), resolved.tables(params.parse(changed))
        found[key] = {name for name in after if after[name] != before[name]} - {"report"}
    from_base = {f"rows/{row}" for row in raw["rows"]["finetune"]}
    rows = from_base | {f"rows/{row}" for row in raw["rows"]["scratch"]}
    assert found == {
        "epochs": {"rows/finetune"}, "long_epochs": from_base - {"rows/finetune"}, "seeds": {"ensembles", "adapting", "learning_curve"},
        "learning_curves.shares": {"learning_curves"},
        "sample.top_p": {"texts"}, "analysis.samples": {"texts", "texts_human", "decode"},
        "defaults.training.weight_decay": {"base", *rows}, "scales.demo.finetuning.weight_decay": from_base,
        "scales.demo.pretraining.learning_rate": {"base"},
        "scales.demo.runtime.threads": {"base", "evaluate", "adapting", "learning_curve", "texts", "decode", *rows},
        "scales.demo.model.n_layer": {"base", *rows - from_base}, "defaults.base.repo": {"base", *from_base},
        "scales.demo.tokenizer.vocab_size": {"corpus"}, "defaults.checkpoint_interval": set(),
        "scales.paper.runtime.threads": set(), "base_path": set(),
    }  # fmt: skip


def test_every_kind_of_row_is_trained_evaluated_sampled_and_decoded():
    lists = [f"${{rows.{name}}}" for name in ("scratch", "finetune")]
    assert [stages()[name]["matrix"]["row"] for name in ("scratch", "finetune")] == lists
    for step in ("evaluate", "texts", "decode"):
        found = [
            stage["matrix"]["row"]
            for name, stage in stages().items()
            if name.startswith(f"{step}_") and "matrix" in stage and name != "evaluate_adapting"
        ]
        assert sorted(map(str, found)) == sorted(map(str, (*lists, ["base"])))


def test_only_what_measures_reads_val():
    readers = {name for name, stage in stages().items() if any("val.npy" in dep for dep in stage["deps"])}
    assert readers == {
        name for name in ALL if name.startswith(("evaluate", "learning_curve", "texts", "decode"))
    }


def test_the_graph_and_the_settings_stay_short():
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 214
    assert len((ROOT / "params.yaml").read_text().splitlines()) <= 262  # four scales


def test_artifacts_are_models_that_the_graph_makes():
    rows = read_yaml("params.yaml")["rows"]
    made = {f"models/${{scale}}/{row}/${{seeds[0]}}" for row in (*rows["scratch"], *rows["finetune"])}
    artifacts = read_yaml("dvc.yaml")["artifacts"]
    assert {artifact["path"] for artifact in artifacts.values()} <= {*made, "models/${scale}/base/0"}
    assert {artifact["type"] for artifact in artifacts.values()} == {"model"}


def test_dvc_changes_one_line_of_the_settings(tmp_path):
    """DVC writes every list that it has read, with one item on each line."""
    file = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", file)
    apply_overrides(file, ["epochs=6"])
    before, after = ((folder / "params.yaml").read_text().splitlines() for folder in (ROOT, tmp_path))
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert [new.split()[:2] for _, new in changed] == [["epochs:", "6"]]


def test_the_packages_imports_go_one_way():
    """params, paths, runtime -> corpora, tokens -> model -> measure -> training, baselines, texts; report needs little."""
    order = [
        "errors.py",
        "disk.py",
        "params",
        "paths.py",
        "logs.py",
        "runtime.py",
        "corpora",
        "tokens",
        "model",
        "measure",
        "baselines",
        "adapting",
        "training",
        "texts",
    ]
    everything = {*order, "report"}
    for file in PACKAGE.rglob("*.py"):
        part = file.relative_to(PACKAGE).parts[0]
        needs = {module.split("/")[0] for module, _ in imports(file)} - {part}
        if part == "report":
            assert needs <= {"params", "paths.py", "errors.py", "disk.py"}, file
        elif part == "command":  # what a user types: above all else, and nothing needs it
            assert needs <= everything, file
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
    assert [int(number) for number, _ in lines] == list(range(1, len(lines) + 1)) and len(lines) >= 36
    for number, cell in lines:
        file = ""
        for name in re.findall(r"`([^`]+)`", cell):
            file, _, test = name.rpartition("::") if "::" in name else (file, "", name)
            assert f"\ndef {test}(" in (ROOT / "tests" / file).read_text(), f"{number}: {name}"
