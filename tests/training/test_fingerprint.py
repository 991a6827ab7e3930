"""What tells one run from another."""

import json
from pathlib import Path

import pytest
import tiktoken
import yaml
from runs import DEV, TEXT, trainer
from tiny import gpt

from gpt2_shakespeare.measure.probe import Probe

ROOT = Path(__file__).parents[2]
ENCODING = tiktoken.Encoding(
    "bytes", pat_str=".", mergeable_ranks={bytes([i]): i for i in range(256)}, special_tokens={}
)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"learning_rate": 0.02}, "learning_rate"),
        ({"seed": 8}, "seed"),
        ({"phases": [(8, 2)]}, "context"),
        ({"text": TEXT[::-1]}, "train tokens"),
        ({"dev": DEV[::-1]}, "dev tokens"),
        ({"model": gpt(seed=1)}, "initial weights"),
    ],
)
def test_a_run_with_another_outcome_has_another_fingerprint(change, named):
    ours, theirs = trainer().fingerprint(), trainer(**change).fingerprint()
    assert [key for key in ours if ours[key] != theirs[key]] == [named]


def test_the_fingerprint_names_the_texts_of_the_probe():
    def with_probe(text):
        base = gpt(noise=0.02)
        run = trainer(base)
        run.probe = Probe(base, ENCODING, TEXT, {"prose": text}, 64)
        return run.fingerprint()

    ours, theirs, without = with_probe(TEXT), with_probe(DEV), trainer(gpt(noise=0.02)).fingerprint()
    assert [key for key in ours if ours[key] != theirs[key]] == ["prose tokens"]
    assert ours.keys() - without.keys() == {"prose tokens"}
    assert "code of measure/probe.py" in ours


def test_the_fingerprint_names_the_code():
    """The modules that the stage depends on, no more and no fewer."""
    names = trainer().fingerprint()
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["scratch"]
    modules = set()
    for dep in (ROOT / dep for dep in stage["deps"] if dep.startswith("src/")):
        modules |= set(dep.glob("*.py")) if dep.is_dir() else {dep}
    code = {module.relative_to(ROOT / "src/gpt2_shakespeare").as_posix() for module in modules}
    assert {name.removeprefix("code of ") for name in names if name.startswith("code of ")} == code
    assert json.loads(json.dumps(names)) == names
