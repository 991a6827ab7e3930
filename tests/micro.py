"""A scratch copy of the project whose built-in scale trains in seconds, for tests that run whole stages."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

from gpt2_shakespeare.corpora.pastiche import plays  # noqa: E402

COMPILED = "src/gpt2_shakespeare/adapting/__pycache__"  # takes eight seconds where it isn't there
MODEL = {"block_size": 32, "n_layer": 1, "n_head": 2, "n_embd": 16}
QUICK = {"batch_size": 4, "eval_interval": 20, "eval_tokens": 512}


def copy(to: Path) -> Path:
    """The project's files as they are now, committed in a git repository of their own, with micro settings."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, names.split("\0")):
        if not name.startswith("metrics/") and name != "dvc.lock" and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)  # with its time, by which numba knows what it has compiled
    for file in (ROOT / COMPILED).glob("*.nb?"):
        (to / COMPILED).mkdir(exist_ok=True)
        shutil.copy2(file, to / COMPILED)
    (to / "data/own/corpus.txt").write_text(plays()[:12000])
    edit(to, micro)
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "start"]):
        identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        subprocess.run(["git", *identity, *command], cwd=to, check=True)
    return to


def micro(params: dict) -> None:
    """Shrink the built-in scale: own short corpus, tiny models, tens of steps."""
    params["seeds"] = [1337]
    params["adapting"]["rows"] = ["finetune_tuned"]
    params["learning_curves"] = {"rows": ["finetune_long"], "shares": [0.5]}
    params["sample"] |= {"max_new_tokens": 8, "samples_per_prompt": 1}
    params["analysis"] |= {
        "samples": 3, "prompt_tokens": 4, "max_new_tokens": 12, "temperatures": [0, 0.8], "top_ps": [0.9],
        "prefixes": 4, "prefix_tokens": 4, "recall_tokens": 4,
    }  # fmt: skip
    demo = params["scales"]["demo"]
    demo |= {"corpus": "path", "model": MODEL, "training": QUICK}
    demo["tokenizer"]["vocab_size"] = 300
    demo["pretraining"] |= {"context": {32: 0.01}, "eval_interval": 20}
    demo["rows"]["scratch"]["context"] = {16: 1, 32: 1}
    demo["rows"]["scratch_tuned"] |= {"context": {32: 1}, "batch_size": 4}


def edit(project: Path, change) -> None:
    """Apply `change` to the parsed params.yaml."""
    file = project / "params.yaml"
    yaml = YAML()
    params = yaml.load(file.read_text())
    change(params)
    text = io.StringIO()
    yaml.dump(params, text)
    try:
        YAML(typ="safe").load(text.getvalue())
    except YAMLError:  # a list with a comment that was emptied is written wrongly: without comments then
        text = io.StringIO()
        yaml.dump(json.loads(json.dumps(params)), text)
    file.write_text(text.getvalue())


def environment(project: Path) -> dict[str, str]:
    """A user's activated environment, on a machine without a network."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": "",  # the stages find the package beside them by themselves
        "GIT_AUTHOR_NAME": "test", "GIT_AUTHOR_EMAIL": "test@localhost",
        "GIT_COMMITTER_NAME": "test", "GIT_COMMITTER_EMAIL": "test@localhost",
        "GPT2_SHAKESPEARE_MIRROR": "",
        # nothing answers here: a stage that wants the network fails at once
        **{name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")},
    }  # fmt: skip


def run(project: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user would; output and errors together in stdout."""
    return subprocess.run(
        command, cwd=project, env=environment(project) | variables,
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def stage(project: Path, name: str, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one stage without DVC."""
    return run(project, sys.executable, f"stages/{name}.py", *args, **environment)
