"""What the pages say is there: links, files, commands, stages, and keys of params.yaml."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from gpt2_shakespeare import params
from gpt2_shakespeare.tokens import corpus
from gpt2_shakespeare.tokens.files import DataError

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
# Folders that the pages write paths from: the project, and the package as docs/architecture.md names its parts
ABOVE = [ROOT, ROOT / "src/gpt2_shakespeare", ROOT / "tests"]
# Made by the pipeline or by a user, or in a mirror of downloads
MADE = (
    "models/",
    "site/",
    "logs/",
    ".checkpoints/",
    "data/own/base/",
    "data/own/mine.txt",
    "metrics/paper/",
    "metrics/own/",
    "metrics/laptop/",
)
MIRRORED = ("tinyshakespeare/", "gpt2/", "wikitext-2/", "packages/")
# What models and conditions have, named without its folder
WRITTEN = {
    "metrics/<scale>/",
    "data/<scale>/",
    "logs/<scale>/<stage>.json",
    "model.safetensors",
    "config.json",
    "encoder.json",
    "tokenizer.json",
    "tokenizer_config.json",
}
ENDINGS = ("py", "md", "yaml", "csv", "png", "json", "lock", "toml", "j2", "txt")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def quoted(page: Path) -> list[str]:
    """All that stands in backquotes on a page."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def anchors(page: Path) -> set[str]:
    """The links that a page's headings can be reached by, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@cache
def read_yaml(name: str) -> Any:
    return YAML(typ="safe").load((ROOT / name).read_text(encoding="utf-8"))


@pages
def test_every_link_leads_somewhere(page: Path):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in link:
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f"{link}: no such file"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


@pages
def test_every_path_and_script_exists(page: Path):
    scripts = re.findall(r"\bpython ((?:\w+/)+\w+\.py)", page.read_text(encoding="utf-8"))
    paths = [
        text.split("::")[0]
        for text in quoted(page)
        if re.fullmatch(rf"[\w.<>-]+(/[\w.<>-]+)*(/|\.({'|'.join(ENDINGS)})(::\w+)?)", text)
    ]
    names = {file.name for file in tracked()} | WRITTEN
    for path in scripts + paths:
        there = (
            any((folder / path).exists() for folder in (page.parent, *ABOVE))
            or path in names
            or path.startswith(MADE + MIRRORED)
            or any(path.startswith((out, f"data/<scale>/{out}", f"metrics/<scale>/{out}")) for out in outs())
        )
        assert there, f"{path}: no such file or folder"


@cache
def outs() -> set[str]:
    """What stages write, as it is called in a scale's folder of data or metrics."""
    written = [
        next(iter(out)) if isinstance(out, dict) else out
        for stage in read_yaml("dvc.yaml")["stages"].values()
        for out in [*stage["outs"], *stage.get("metrics", [])]
    ]
    return {out.split("${scale}/")[1].split("${")[0] for out in written} - {""}


@cache
def tracked() -> list[Path]:
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [Path(name) for name in names.split("\0") if name]


@pages
def test_every_test_that_is_named_exists(page: Path):
    file = None
    for name in re.findall(r"`((?:[\w/]+\.py::)?test_\w+)`", prose(page)):
        place, _, test = name.rpartition("::")
        file = ROOT / "tests" / place if place else file
        assert file is not None and re.search(
            rf"^def {test}\b", file.read_text(encoding="utf-8"), re.MULTILINE
        ), name


@pages
def test_every_stage_that_dvc_is_asked_for_exists(page: Path):
    stages = read_yaml("dvc.yaml")["stages"]
    text = page.read_text(encoding="utf-8")
    asked = re.findall(r"\bdvc (?:repro|commit)(?: -f)?((?: [a-z_]+(?:@[\w-]+)?)+)", text)
    named = [name for names in asked for name in names.split()]
    named += re.findall(r"`([a-z_]+@[\w-]+)`", text)
    for name in named:
        assert name.partition("@")[0] in stages, f"{name}: no such stage"


@pages
def test_every_key_of_params_exists(page: Path):
    raw = read_yaml("params.yaml")
    text = page.read_text(encoding="utf-8")
    named = {name for name in quoted(page) if re.fullmatch(r"[a-z]\w*(\.[\w<>]+)+", name)}
    named = {name for name in named if name.split(".")[0] in raw and not name.endswith(ENDINGS)}
    named |= {key for key in re.findall(r"-S '?([a-z][\w.]*)=", text) if key != "epoch"}
    for name in named:
        assert any(leads(raw, key.split(".")) for key in filled(name)), f"{name}: no such key in params.yaml"


def filled(name: str) -> list[str]:
    """`scales.<scale>.rows.<row>`, for every scale and row."""
    rows = [row.name for row in params.load(ROOT / "params.yaml").trained_rows]
    return [
        name.replace("<scale>", scale).replace("<row>", row)
        for scale in read_yaml("params.yaml")["scales"]
        for row in rows
    ]


def leads(table: Any, keys: list[str]) -> bool:
    for key in keys:
        if not isinstance(table, dict) or key not in table:
            return False
        table = table[key]
    return True


def test_the_picture_is_that_of_the_graph():
    subprocess.run([sys.executable, "docs/graph.py", "--check"], cwd=ROOT, check=True, timeout=60)


def test_the_readme_is_short():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    for block in re.findall(r"^```\w*\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE):
        assert not re.search(r"<[a-z ]+>", block), "a command to be copied has a gap to be filled"


def test_a_scale_of_ones_own_is_made_by_the_command_that_is_shown(tmp_path):
    (command,) = re.findall(r"^sed .*", (ROOT / "docs/scales.md").read_text(), re.MULTILINE)
    file = tmp_path / "params.yaml"
    file.write_bytes((ROOT / "params.yaml").read_bytes())
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    settings = params.load(file)
    own, demo = (settings.scales[name] for name in ("own", "demo"))
    assert own.settings == demo.settings.model_copy(update={"corpus": "path"}) and own.trained == demo.trained
    assert settings.scale == "demo" and list(settings.scales)[-1] == "own"


def test_how_long_a_text_must_be_is_said():
    lines = re.findall(
        r"^\| (\d+) \(`(\w+)`\) \| ([\d,]+) \|", (ROOT / "docs/scales.md").read_text(), re.MULTILINE
    )
    scales = params.load(ROOT / "params.yaml").scales
    for block_size, scale, said in lines:
        assert int(block_size) == scales[scale].settings.model.block_size
        enough = int(said.replace(",", ""))
        corpus.split(np.zeros(enough, np.uint16), int(block_size))
        with pytest.raises(DataError, match=f"lengthen it to {said} tokens"):
            corpus.split(np.zeros(enough - 25, np.uint16), int(block_size))
    assert len(lines) == 3
