"""The benchmarks' pictures can be drawn from the committed figures, wherever they are started."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch

FOLDER = Path(__file__).parents[1] / "benchmarks"
DRAW = """
import pandas, forgetting, recipe, scaling, speed
recipe.draw()
forgetting.draw()
for module in (scaling, speed):
    table = pandas.read_csv(module.OUT)
    module.draw(table[table["machine"] == table["machine"].iloc[0]])
"""


def test_a_notebooks_matplotlib_backend_does_not_reach_the_pictures(tmp_path):
    for file in (*FOLDER.glob("*.py"), *FOLDER.glob("*.csv")):
        shutil.copy(file, tmp_path)
    variables = {**os.environ, "MPLBACKEND": "module://no_such.backend"}
    done = subprocess.run(
        [sys.executable, "-c", DRAW], cwd=tmp_path, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert {file.stem for file in tmp_path.glob("*.png")} == {"forgetting", "recipe", "scaling", "speed"}


def test_weights_between_two_models(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    from forgetting import between

    start = {"weight": torch.tensor([1.0, 2.0]), "positions": torch.arange(2)}
    end = {"weight": torch.tensor([3.0, -2.0]), "positions": torch.arange(2)}
    for share, expected in ((0.0, [1.0, 2.0]), (0.25, [1.5, 1.0]), (1.0, [3.0, -2.0])):
        found = between(start, end, share)
        assert found["weight"].tolist() == expected
        assert found["positions"].tolist() == [0, 1]
