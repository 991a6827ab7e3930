"""What others need: the wheel with its data files and command, the workflow, and the files about the project."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read(name: str):
    return YAML(typ="safe").load((ROOT / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built as `pip install git+…` does, but with the setuptools that is here."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    code = "from setuptools import build_meta; print(build_meta.build_wheel('out'))"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True)
    (built,) = folder.joinpath("out").glob("*.whl")
    return built


def test_the_wheel_has_every_file_of_the_package(wheel):
    tracked = subprocess.run(
        ["git", "ls-files", "src/gpt2_shakespeare"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    missing = {name.removeprefix("src/") for name in tracked} - names
    assert not missing
    assert "gpt2_shakespeare/py.typed" in names and "gpt2_shakespeare/report/templates/page.js" in names


def test_the_installed_wheel_gives_the_library_and_the_command(wheel, tmp_path):
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        tmp_path / "lib",
        wheel,
    ]
    subprocess.run(install, check=True, timeout=120)
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "lib")}
    command = tmp_path / "lib/bin/gpt2-shakespeare"
    done = subprocess.run(
        [sys.executable, command, "--help"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and "doctor" in done.stdout, done.stderr
    code = "import gpt2_shakespeare.report.page, gpt2_shakespeare.corpora.assets as a; print(a.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.stdout.startswith(str(tmp_path / "lib")), done.stderr


def test_the_workflow_runs_what_is_there_with_pinned_actions():
    workflow = read(".github/workflows/test.yml")
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    for step in steps:
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]), step
        else:
            # what a stranger may name, such as a branch, comes in by the environment and not into the script
            assert "${{" not in step["run"], step
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for step in steps:
        for names in re.findall(r"\bmake((?: [a-z]+)+)", step.get("run", "")):
            assert set(names.split()) <= targets
    assert workflow["permissions"] == {"contents": "read"}
    # the versions of torch are those of the lock
    lock = dict(line.split("==") for line in (ROOT / "requirements.lock").read_text().split())
    for name in (".github/workflows/test.yml", ".devcontainer/devcontainer.json", "Makefile"):
        assert set(re.findall(r"torch==([\d.]+)", (ROOT / name).read_text())) == {lock["torch"]}


def test_the_script_of_the_comment_is_a_script(tmp_path):
    (script,) = [
        step["run"] for step in read(".github/workflows/test.yml")["jobs"]["run"]["steps"] if "dvc metrics diff" in step.get("run", "")
    ]  # fmt: skip
    (tmp_path / ".venv/bin").mkdir(parents=True)
    dvc = tmp_path / ".venv/bin/dvc"
    dvc.write_text('#!/bin/sh\necho "| $* |"\n')
    dvc.chmod(0o755)
    said = {
        "BASE": "0123456789ab",
        "SERVER": "https://x",
        "REPOSITORY": "me/mine",
        "HEAD": "abc",
        "GITHUB_STEP_SUMMARY": "sum",
    }
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env=os.environ | said, check=True
    )
    text = (tmp_path / "comment.md").read_text()
    assert (
        "| metrics diff --md 0123456789ab |" in text
        and "(https://x/me/mine/raw/abc/metrics/demo/val_loss.png)" in text
    )
    assert (tmp_path / "sum").read_text() == text


def test_the_files_about_the_project_agree():
    citation = read("CITATION.cff")
    assert citation["version"] == PROJECT["version"] and citation["license"] == PROJECT["license"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text()
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert "make .venv/installed" in container["postCreateCommand"]


def test_the_lock_has_every_dependency():
    names = {
        re.split(r"[=<>! ]", line)[0].lower().replace("_", "-")
        for line in (ROOT / "requirements.lock").read_text().split()
    }
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *(name for group in extras.values() for name in group)]
    assert not {re.split(r"[=<>!\[]", name)[0].lower().replace("_", "-") for name in wanted} - names
