"""The benchmarks' pictures can be drawn from the committed figures, wherever they are started."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "benchmarks"
DRAW = """
import pandas, recipe, scaling, speed
recipe.draw()
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
    assert {file.stem for file in tmp_path.glob("*.png")} == {"recipe", "scaling", "speed"}
