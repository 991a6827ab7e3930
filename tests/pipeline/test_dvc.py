"""What DVC shows of committed results, as people type it: plots without a network, experiments in a narrow form, JSON for
VS Code's extension."""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import browser
import micro
import pytest

METRICS = micro.ROOT / "metrics/demo"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """The project in git, with committed results of `demo` and later ones that nobody has committed; no data."""
    folder = tmp_path_factory.mktemp("dvc") / "project"
    folder.mkdir()
    for name in ("params.yaml", "dvc.yaml", "Makefile", ".gitignore", ".dvcignore"):
        shutil.copy(micro.ROOT / name, folder)
    shutil.copytree(micro.ROOT / ".dvc/plots", folder / ".dvc/plots")
    for name in ("config", ".gitignore"):
        shutil.copy(micro.ROOT / ".dvc" / name, folder / ".dvc")
    shutil.copytree(METRICS, folder / "metrics/demo")
    for command in ("git init --quiet", "git add .", "git commit --quiet --message start"):
        assert micro.run(folder, *command.split()).returncode == 0
    curves = folder / "metrics/demo/curves.csv"
    head, *lines = curves.read_text().splitlines()
    curves.write_text(
        "\n".join([head, *(re.sub(r"^((?:[^,]*,){5})[\d.]+", r"\g<1>4.5", line) for line in lines), ""])
    )
    row = folder / "metrics/demo/rows/finetune.json"
    row.write_text(json.dumps(json.loads(row.read_text()) | {"val_loss": 3.0}))
    return folder


def said(project: Path, *command: str) -> str:
    """What a command prints on stdout."""
    done = subprocess.run(
        command,
        cwd=project,
        env=micro.environment(project) | {"COLUMNS": "120"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("command", ["show", "diff"])
def test_plots_are_one_picture_with_a_colour_a_row(project, command, tmp_path):
    said(project, "dvc", "plots", command)
    page = project / "dvc_plots/index.html"
    assert "https://cdn" not in page.read_text(encoding="utf-8")
    if not browser.CHROMIUM:
        assert not os.environ.get(browser.NEEDED), "no Chromium is here, and it is needed"
        pytest.skip("no Chromium is here")
    rows = {line.split(",")[0] for line in (METRICS / "curves.csv").read_text().splitlines()[1:]}
    with browser.Browser(tmp_path / "profile") as chromium:
        chromium.open(page)
        for _ in range(100):
            if canvases := chromium.run("document.querySelectorAll('canvas, .vega-embed svg.marks').length"):
                break
            time.sleep(0.1)
        assert canvases == 1
        scene = chromium.run(
            "vegaEmbed(document.createElement('div'), spec, {renderer: 'svg'}).then(found => found.view.toSVG())"
        )
        assert all(f">{row}<" in scene for row in rows)
        colours = set(re.findall(r'aria-roledescription="line mark"[^>]*stroke="(#\w+)"', scene))
        assert len(colours) == len(rows)
        for title in ("passes over the training text (log scale)", "dev loss, nats per token"):
            assert title in scene
        revisions = 2 if command == "diff" else 1
        assert (
            len(set(re.findall(r'aria-roledescription="line mark"[^>]*stroke-dasharray="([^"]*)"', scene)))
            >= revisions - 1
        )
        # that the template is of Vega-Lite 5, as VS Code's extension wants it, is no complaint
        assert not [one for one in chromium.problems if "current version is" not in one]


def test_what_the_extension_reads_is_small_and_valid(project):
    plots = json.loads(said(project, "dvc", "plots", "diff", "--json"))
    assert "errors" not in plots
    (curves,) = [plot for found in plots["data"].values() for plot in found if plot["type"] == "vega"]
    assert set(curves["revisions"]) == {"workspace", "HEAD"}
    assert len(json.dumps(plots)) < 300_000
    shown = said(project, "dvc", "exp", "show", "--json")
    assert len(shown) < 300_000
    (workspace,) = [each for each in json.loads(shown) if each["rev"] == "workspace"]
    metrics = workspace["data"]["metrics"]
    assert metrics["metrics/demo/rows/finetune.json"]["data"]["val_loss"] == 3.0


def test_the_narrow_form_of_the_experiments_has_few_columns(project):
    done = subprocess.run(
        ["make", "--silent", "exps", f"VENV={Path(shutil.which('dvc') or '').parents[1]}"],
        cwd=project, env=micro.environment(project) | {"COLUMNS": "200"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    head = next(line for line in done.stdout.splitlines() if "Experiment" in line)
    assert len(head.split()) <= 4 and "finetune.json:val_loss" in head, done.stdout
    assert "3" in done.stdout


def test_metrics_diff_has_one_line_for_each_figure_that_moved(project):
    lines = [
        line
        for line in said(project, "dvc", "metrics", "diff", "--md").splitlines()
        if line.startswith("| metrics")
    ]
    assert len(lines) == 1 and "finetune.json" in lines[0] and "val_loss" in lines[0]
