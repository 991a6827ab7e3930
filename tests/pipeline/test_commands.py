"""Every command on the pages: run here as it stands, tried without its computing, or marked with why not and where it is.

A command that is new on a page and that none of these lists knows fails the first test.
"""

import re
import shlex
import shutil
import subprocess
import sys

import micro
import pytest

from gpt2_shakespeare import params

PAGES = [
    *(micro.ROOT / name for name in ("README.md", "CONTRIBUTING.md", "data/README.md")),
    *sorted((micro.ROOT / "docs").glob("*.md")),
]
PROGRAM = r"(?:dvc|make|python|gpt2-shakespeare|pip|hf|torchrun|accelerate|pytest)"

# Run in a small project whose pipeline has run, as they stand; each ends with code 0.
RUN = {
    "dvc repro", "dvc repro check", "dvc status", "dvc metrics show", "dvc metrics diff", "dvc metrics diff HEAD~1",
    "dvc params diff", "dvc plots show", "dvc plots diff", "dvc exp show", "dvc exp show --csv", "dvc push", "dvc pull",
    "dvc exp show --no-pager --only-changed --drop 'data|src|stages|models|params.yaml|Created|.*:(train|dev|perp|bits|pass|val_loss_)'",
    "dvc repro --allow-missing --dry", "dvc repro --pull --allow-missing",
    "python stages/check.py", "python stages/check.py --show finetune", "python stages/check.py --show scratch",
    "python stages/mend.py", "python stages/record.py", "python stages/report.py", "python docs/graph.py", "python docs/params.py",
    "gpt2-shakespeare doctor", "gpt2-shakespeare evaluate my.txt", "gpt2-shakespeare page",
    'gpt2-shakespeare sample "KING:" -m scratch -m finetune',
}  # fmt: skip
# Changed settings: set as DVC sets them, and checked as the pipeline checks them, without its computing.
SETTINGS = r"dvc exp run( -S ('[^']+'|\S+=\S*))+"
# Pattern of a command -> why it isn't run here
ELSEWHERE = {
    r"make (repro|test|lint)|pytest tests/report": "CI runs them: .ci/run",
    r"make repro PYTHON=\S+|make \.venv/installed": "the network: sets up an environment",
    r"make taste": "half an hour, and the network",
    r"make verify": "the pipeline of demo, ten minutes; CI makes the same comparison",
    r"make bench|python benchmarks/.*": "hours, or a GPU",
    r"dvc exp run|dvc repro -f": "the whole pipeline: tests/pipeline/test_end_to_end.py",
    r"make exps": "tests/pipeline/test_dvc.py",
    r"python docs/build_site\.py": "tests/pipeline/test_site.py",
    r"python stages/(base|download|prepare|evaluate_baselines|evaluate_ensembles|learning_curve_baselines|texts_human)\.py": "dvc repro runs them",
    r"python stages/(evaluate|texts|train|decode)\.py --row \$row --seed \$seed": "dvc repro runs them",
    r"python stages/check\.py --show (finetune_slow|scratch_tuned --scale novels)": "tests/params/test_params.py",
    r"python tests/kills\w*\.py .*": "hours",
    r"torchrun .*": "several machines; tests/training/test_parallel.py has two processes",
    r"dvc exp run --queue": "tests/pipeline/test_end_to_end.py",
    r"dvc exp run --temp": "the whole pipeline, in a copy as --queue makes it",
    r"dvc exp run -S|dvc repro -s": "an option that is spoken of",
    r"dvc exp diff main <name>|gpt2-shakespeare evaluate FILE|dvc exp run -S scale=mini": "a name to be filled in",
    r"dvc commit -f scratch@scratch-1337": "follows a training without DVC",
    r"hf upload .*": "an account; tests/model/test_complete.py sends a folder to a stand-in",
    r"hf .*|pip (download|install) .*|python -m ensurepip": "the network",
    r"dvc remote (add|modify|remove) .*": "tests/pipeline/test_remotes.py",
    r"dvc pull --remote results --allow-missing|dvc repro (base|--allow-missing)|python stages/record\.py --results": "tests/pipeline/test_results.py",
    r"dvc exp push --no-cache": "pushes to git's remote",
    r"dvc gc --workspace": "asks before it deletes",
}


def commands() -> dict[str, set[str]]:
    """Every command on the pages, and the pages that it is on; of the Makefile those that change settings."""
    found: dict[str, set[str]] = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = [
            re.sub(r"\s+#.*", "", line)
            for block in re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
            for line in block.replace("\\\n", " ").splitlines()
        ]
        prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
        lines += re.findall(rf"`({PROGRAM} [^`\n]+)`", prose)
        for command in (" ".join(part.split()) for line in lines for part in line.split(" && ")):
            if re.match(rf"{PROGRAM} ", command):
                found.setdefault(command, set()).add(page.name)
    for line in (micro.ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if line.startswith("\tdvc exp run"):
            found.setdefault(" ".join(line.split()), set()).add("Makefile")
    return found


def is_settings(command: str) -> bool:
    return bool(re.fullmatch(SETTINGS, command)) and "scale=mini" not in command


def reason(command: str) -> str:
    """Why a command isn't run here; empty if no reason is known."""
    return next((why for pattern, why in ELSEWHERE.items() if re.fullmatch(pattern, command)), "")


def test_every_command_is_run_or_marked():
    found = commands()
    unknown = {
        command: pages
        for command, pages in found.items()
        if command not in RUN and not is_settings(command) and not reason(command)
    }
    assert not unknown, "add them to RUN, or to ELSEWHERE with the reason"
    assert not RUN - set(found), "no longer on a page"
    assert len(found) > 60 and sum(command in RUN or is_settings(command) for command in found) > 35
    for why in ELSEWHERE.values():
        for name in re.findall(r"[\w./]+\.(?:py|ci/run)", why):
            assert (micro.ROOT / name).exists(), name


@pytest.mark.parametrize("command", sorted(filter(is_settings, commands())))
def test_settings_on_the_pages_are_taken(command, tmp_path):
    from dvc.utils.hydra import apply_overrides

    shutil.copy(micro.ROOT / "params.yaml", tmp_path)
    if "scale=own" in command:  # the command before it on the page makes that scale
        raw = (tmp_path / "params.yaml").read_text()
        own = re.search(r"^  demo:\n(.*?)\n\n", raw, re.DOTALL | re.MULTILINE)
        (tmp_path / "params.yaml").write_text(f"{raw}  own:\n{own[1]}\n" if own else raw)
    words = shlex.split(command)[3:]
    apply_overrides(tmp_path / "params.yaml", [word for word in words if word != "-S"])
    found, raw = params.load(tmp_path / "params.yaml"), params.load(micro.ROOT / "params.yaml")
    assert found != raw or "epochs=1" in command


@pytest.fixture(scope="module")
def project(finished, tmp_path_factory):
    """A small project whose pipeline has run, with two commits and a remote."""
    project, remote = finished, tmp_path_factory.mktemp("remote")
    done = micro.run(project, "dvc", "remote", "add", "--default", "local", str(remote))
    assert done.returncode == 0, done.stdout
    (project / "my.txt").write_text("To be, or not to be: that is the question.\n" * 20)
    program = project / ".bin/gpt2-shakespeare"  # as pip would make it, for the package that lies there
    program.parent.mkdir()
    program.write_text(
        f"#!/bin/sh\nPYTHONPATH=src exec '{sys.executable}' -m gpt2_shakespeare.command.main \"$@\"\n"
    )
    program.chmod(0o755)
    micro.run(project, "git", "add", ".")
    micro.run(project, "git", "commit", "--quiet", "--message", "results")
    micro.run(project, "git", "commit", "--quiet", "--allow-empty", "--message", "later")
    return project


@pytest.mark.slow
def test_the_commands_do_what_the_pages_say(project):
    failed = {}
    environment = micro.environment(project)
    environment |= {"PATH": f"{project / '.bin'}:{environment['PATH']}", "DISPLAY": ""}
    order = sorted(
        commands(), key=lambda command: (command.startswith("dvc pull"), command)
    )  # push, then pull
    for command in order:
        if command not in RUN:
            continue
        done = subprocess.run(
            command, shell=True, executable=shutil.which("bash"), cwd=project, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        if done.returncode:
            failed[command] = done.stdout[-600:]
        micro.run(
            project, "git", "checkout", "--quiet", "HEAD", "--", "params.yaml", "dvc.lock", "docs", "metrics"
        )
    assert not failed, "\n".join(f"{command}: {said}" for command, said in failed.items())
