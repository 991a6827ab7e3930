"""The notebook runs from its first cell to its last, without a network, in a small project whose base is made."""

import re
import shutil
from pathlib import Path

import micro
import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = micro.ROOT / "notebooks/quickstart.ipynb"


def read() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_committed_without_outputs():
    notebook = read()
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None
    assert NOTEBOOK.stat().st_size < 20_000


@pytest.mark.slow
@pytest.mark.enable_socket  # a notebook's kernel is spoken to through ports of this machine
def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    project = micro.copy(tmp_path / "project")
    for name, *arguments in (("check",), ("download",), ("prepare",), ("base",)):
        done = micro.stage(project, name, *arguments)
        assert done.returncode == 0, done.stdout
    (project / "metrics/demo").mkdir(parents=True)
    shutil.copy(micro.ROOT / "metrics/demo/table.csv", project / "metrics/demo")
    for name, value in micro.environment(project).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(project / "src"))
    notebook = read()
    here = project / "notebooks"
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": here}}
    ).execute()
    printed = "".join(
        output.get("text", "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream"
    )
    assert "124.4 million parameters, loss 10." in printed or "124.4 million parameters, loss 11." in printed
    before, after = map(float, re.findall(r"dev loss: ([\d.]+) before, ([\d.]+) after", printed)[0])
    assert after < before - 0.1
    assert "--- base\nMessenger:" in printed and "--- after a few steps\nMessenger:" in printed
    kinds = {
        kind
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        for kind in output.get("data", {})
    }
    assert {"image/png", "text/html"} <= kinds  # the curve, and the table
