"""The commands that users type, on a micro copy of the built-in scale: what runs, what doesn't, what changes.

The tests of this file run in order, on one project, as a user's session would.
"""

import csv
import json
import re
import shutil
from pathlib import Path

import micro
import pytest

from gpt2_shakespeare import params
from gpt2_shakespeare.params.rows import BASELINES

pytestmark = pytest.mark.slow

ROWS = [row.name for row in params.load(micro.ROOT / "params.yaml").trained_rows]
STARTS = {
    row.name: "finetune" if row.needs_base else "scratch"
    for row in params.load(micro.ROOT / "params.yaml").trained_rows
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return micro.copy(tmp_path_factory.mktemp("micro"))


def dvc(project, *args, **variables):
    done = micro.run(project, "dvc", *args, **variables)
    assert done.returncode == 0, done.stdout
    return done.stdout


def ran(output):
    """Stages that a DVC command ran, in order."""
    return re.findall(r"^Running stage '([^']+)'", output, flags=re.MULTILINE)


def results(project):
    files = sorted((project / "metrics/demo/rows").glob("*.json"))
    return {file.stem: json.loads(file.read_text()) for file in files}


def table(project):
    with open(project / "metrics/demo/table.csv", newline="", encoding="utf-8") as file:
        return {line["row"]: line for line in csv.DictReader(file)}


def training(row, seed):
    return f"{STARTS[row]}@{row}-{seed}"


def at_work(step, row, seed):
    return f"{step}_{STARTS[row]}@{row}-{seed}"


FINETUNE_AND_WHAT_FOLLOWS = {
    "check", "finetune@finetune-1337", "evaluate_finetune@finetune-1337", "evaluate_ensembles", "texts_finetune@finetune-1337",
    "decode_finetune@finetune-1337", "report",
}  # fmt: skip
ADAPTING = {
    f"finetune_tuned_{way}": f"evaluate_adapting@finetune_tuned-{way}"
    for way in ("dynamic", "mixed", "ensemble_both")
}
PAGES = (
    "table.md", "table.csv", "samples.md", "loss_curves.png", "val_loss.png", "bits_per_char.png", "learning_curves.png", "learning_curves.csv", "forgetting.png", "names.png",
    "analysis.md", "analysis.csv", "decoding.png", "memorisation.png",
)  # fmt: skip


def test_repro_runs_everything_once_and_opens_only_what_its_stages_list(project, tmp_path):
    watch = {
        "WATCH_OUT": str(tmp_path),
        "WATCH_PROJECT": str(project),
        "PYTHONPATH": str(micro.ROOT / "tests/watch"),
    }
    said = dvc(project, "repro", **watch)
    assert "is empty" not in said
    stages = ran(said)
    assert stages[0] == "check" and stages[-1] == "report"
    assert len(stages) == len(set(stages)) == 41 + len(ADAPTING)
    assert set(results(project)) == {*BASELINES, "base", *ROWS, *ADAPTING}  # no ensemble of one seed
    for row in results(project).values():
        assert 0 < row["val_loss"] < 10
    for name in PAGES:
        assert (project / "metrics/demo" / name).stat().st_size > 100
    assert "Data and pipelines are up to date." in dvc(project, "repro")
    assert "finetune_long" in micro.stage(project, "report", "--print").stdout
    assert "missing" not in (project / "metrics/demo/analysis.md").read_text()
    for row in ("base/0", "scratch/1337", "finetune_lora/1337"):  # whole folders, which transformers opens
        made = {path.name for path in (project / "models/demo" / row).iterdir()}
        assert {"tokenizer.json", "tokenizer_config.json", "generation_config.json", "README.md"} <= made
    adapter = project / "models/demo/finetune_lora/1337/adapter"
    assert {path.name for path in adapter.iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    assert not opened_but_unlisted(project, tmp_path)


def opened_but_unlisted(project, notes):
    """What a stage opened to read and neither lists as a dep nor makes itself, in dvc.lock's own words."""
    lock = micro.YAML(typ="safe").load((project / "dvc.lock").read_text())["stages"]
    listed = {
        stage["cmd"].removeprefix("python "): [entry["path"] for entry in [*stage["deps"], *stage["outs"]]]
        for stage in lock.values()
    }
    plumbing = ("params.yaml", "stages/stage.py", "stages/progress.py", "src/gpt2_shakespeare/params", "src/gpt2_shakespeare/paths.py",
                "src/gpt2_shakespeare/disk.py", "src/gpt2_shakespeare/errors.py", "src/gpt2_shakespeare/__init__.py", ".checkpoints", "logs")  # fmt: skip
    found, seen = set(), set()
    for file in notes.iterdir():
        for line in file.read_text().splitlines():
            command, path = line.split("\t")
            aside = any(
                part.startswith(".") and part.endswith(".new") for part in Path(path).parts
            )  # its own out
            if command not in listed or "__pycache__" in path or aside:
                continue
            seen.add(command)
            if not any(Path(path).is_relative_to(place) for place in (*listed[command], *plumbing)):
                found.add((command, path))
    assert seen == set(listed)  # the watch saw every stage
    return found


def test_a_forced_run_leaves_every_byte_as_it_was(project):
    """One stage of each kind; .ci/run makes all of `demo` again."""
    kinds = [
        "check", "download", "prepare", "base", training("scratch_tuned", 1337), training("finetune_lora", 1337),
        at_work("evaluate", "scratch_tuned", 1337), at_work("evaluate", "finetune_lora", 1337), "evaluate_base@base-0",
        "evaluate_baselines", "evaluate_ensembles", ADAPTING["finetune_tuned_ensemble_both"], "learning_curve@finetune_long-0.5",
        "learning_curve_baselines", at_work("texts", "finetune_lora", 1337), "texts_human", "decode_base@base-0", "report",
    ]  # fmt: skip

    def everything():
        files = [project / "dvc.lock", *sorted((project / "metrics").rglob("*.*"))]
        return {file.relative_to(project): file.read_bytes() for file in files}

    before = everything()
    assert ran(dvc(project, "repro", "--force", "--single-item", *kinds)) == kinds
    assert everything() == before


def commit(project, message):
    micro.run(project, "git", "add", ".")
    micro.run(project, "git", "commit", "--quiet", "--message", message)


def test_epochs_reruns_the_fine_tuning_and_what_follows_from_it(project):
    commit(project, "results")
    before = table(project)
    output = dvc(project, "exp", "run", "-S", "epochs=6")
    assert set(ran(output)) == FINETUNE_AND_WHAT_FOLLOWS
    after = table(project)
    assert after["scratch"] == before["scratch"] and after["base"] == before["base"]
    assert after["finetune"] != before["finetune"]
    same = [{**after[row], "row": "", "reference": "", "notes": ""} for row in ("finetune", "finetune_long")]
    assert same[0] == same[1]  # the same six epochs, in two folders
    shown = json.loads(dvc(project, "metrics", "diff", "--json"))
    assert set(shown) == {"metrics/demo/rows/finetune.json"} and "val_loss" in str(shown)
    changed = micro.run(project, "git", "diff", "--unified=0", "params.yaml").stdout
    assert re.findall(r"^[-+][^-+].*", changed, flags=re.MULTILINE)[0].startswith("-epochs: 1 ")
    assert len(re.findall(r"^[-+][^-+]", changed, flags=re.MULTILINE)) == 2  # one line of params.yaml


def test_a_new_seed_trains_only_itself_and_rows_become_means(project):
    before = table(project)
    stages = set(ran(dvc(project, "exp", "run", "-S", "seeds=[1337,2]")))
    trained = {name for name in stages if name.startswith(("scratch", "finetune", "base"))}
    assert trained == {training(row, 2) for row in ROWS}
    evaluated = {name for name in stages if name.startswith("evaluate")}
    assert evaluated == {
        "evaluate_ensembles",
        *ADAPTING.values(),
        *(at_work("evaluate", row, 2) for row in ROWS),
    }
    written = {name for name in stages if name.startswith(("texts", "decode"))}
    assert written == {at_work("texts", row, 2) for row in ROWS}
    files = {seed: project / f"data/demo/evaluation/scratch-{seed}.json" for seed in (1337, 2)}
    one, two = (json.loads(file.read_text())["val_loss"] for file in files.values())
    row = table(project)["scratch"]
    assert float(row["val_loss"]) == pytest.approx((one + two) / 2, abs=1e-4)
    assert float(row["val_loss_std"]) == pytest.approx(abs(one - two) / 2**0.5, abs=1e-4)
    assert int(row["seeds"]) == 2 and int(before["scratch"]["seeds"]) == 1
    after = results(project)
    ensembles = [row.name for row in params.load(project / "params.yaml").ensembles]
    assert set(after) == {*BASELINES, "base", *ROWS, *ensembles, *ADAPTING}
    # by Jensen's inequality
    assert after["scratch_ensemble"]["val_loss"] < after["scratch_tuned"]["val_loss"]


def test_what_was_run_before_comes_from_the_cache(project):
    """Back to the settings of the first run: nothing is trained again, and of the other seed nothing is left over."""
    output = dvc(project, "exp", "run", "-S", "seeds=[1337]", "-S", "epochs=1")
    assert "is cached - skipping run" in output
    assert not [name for name in ran(output) if name.startswith(("scratch", "finetune", "base"))]
    assert set(results(project)) == {
        *BASELINES,
        "base",
        *ROWS,
        *ADAPTING,
    }  # the ensembles' files are gone again
    left = [
        path.name
        for name in ("evaluation", "texts", "histories")
        for path in (project / "data/demo" / name).iterdir()
    ]
    assert left and not [name for name in left if "-2." in name]


def test_a_changed_setting_makes_only_its_stages_stale(project):
    saved = (project / "params.yaml").read_text()

    def stale(change):
        micro.edit(project, change)
        assert micro.stage(project, "check").returncode == 0
        found = set(json.loads(dvc(project, "status", "--json")))
        (project / "params.yaml").write_text(saved)
        return found - {"check"}

    def row(name, **changes):
        return lambda p: p["scales"]["demo"]["rows"][name].update(changes)

    assert stale(row("scratch", learning_rate=1e-3)) == {training("scratch", 1337), "report"}
    assert stale(row("finetune", learning_rate=1e-3)) == {training("finetune", 1337), "report"}
    assert stale(lambda p: p["scales"]["demo"]["pretraining"].update(learning_rate=1e-3)) == {
        "base",
        "report",
    }
    from_base = {training(row, 1337) for row in ROWS if STARTS[row] == "finetune"}
    assert stale(lambda p: p["scales"]["demo"]["finetuning"].update(beta2=0.9)) == from_base | {
        "learning_curve@finetune_long-0.5",
        "report",
    }
    texts = {"texts_base@base-0", *(at_work("texts", row, 1337) for row in ROWS)}
    grid = {"decode_base@base-0", *(at_work("decode", row, 1337) for row in ROWS)}
    assert stale(lambda p: p["sample"].update(top_p=0.5)) == {"report", *texts}
    assert stale(lambda p: p["analysis"].update(samples=4)) == {"texts_human", "report", *texts, *grid}
    assert stale(lambda p: p["scales"]["novels"]["rows"]["scratch"].update(learning_rate=1e-3)) == set()
    assert micro.stage(project, "check").returncode == 0


def test_a_change_of_the_report_retrains_nothing(project):
    file = project / "src/gpt2_shakespeare/report/__init__.py"
    saved = file.read_text()
    file.write_text(saved + "# a remark\n")
    assert set(json.loads(dvc(project, "status", "--json"))) == {"report"}
    file.write_text(saved)


def test_a_users_own_corpus_and_base_are_watched(project):
    corpus, base = project / "data/own/corpus.txt", project / "data/own/base/notes.txt"
    saved = corpus.read_text()
    corpus.write_text(saved + "\nMessenger:\nOne line more.\n")
    assert "download" in json.loads(dvc(project, "status", "--json"))
    corpus.write_text(saved)
    base.write_text("new")
    assert "base" in json.loads(dvc(project, "status", "--json"))
    base.unlink()
    assert json.loads(dvc(project, "status", "--json")) == {}


def test_an_unknown_key_is_reported_when_nothing_else_is_stale(project):
    saved = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(saved + "\nepoch: 3\n")
    done = micro.run(project, "dvc", "repro")
    (project / "params.yaml").write_text(saved)
    assert done.returncode != 0
    assert "check: params.yaml: epoch: unknown key; did you mean 'epochs'?" in done.stdout


def test_a_row_is_added_in_params_alone(project):
    """A line in the list and one in every scale: it is trained, measured, and in every table."""
    saved, before = (project / "params.yaml").read_text(), table(project)

    added, scales = re.subn(
        r"( +)finetune_long: .*\n", r"\g<0>\1finetune_slow: {learning_rate: 0.0004}\n", saved
    )
    added = added.replace("  - finetune_lora\n", "  - finetune_lora\n  - finetune_slow\n")
    (project / "params.yaml").write_text(added)
    assert len(added.splitlines()) - len(saved.splitlines()) == 1 + scales == 5
    slow = {f"{step}_finetune@finetune_slow-1337" for step in ("evaluate", "texts", "decode")}
    slow.add("finetune@finetune_slow-1337")
    assert set(ran(dvc(project, "repro"))) == {"check", "evaluate_ensembles", "report", *slow}
    after = table(project)
    wanted = list(before)
    wanted.insert(wanted.index("finetune_lora") + 1, "finetune_slow")
    assert list(after) == wanted
    assert {row: line for row, line in after.items() if row != "finetune_slow"} == before
    assert float(after["finetune_slow"]["val_loss"]) != float(after["finetune"]["val_loss"])
    assert "finetune_slow" in results(project) and "finetune_slow" in dvc(project, "metrics", "show")
    for page in ("table.md", "curves.csv", "samples.md", "analysis.md", "analysis.csv"):
        assert "finetune_slow" in (project / "metrics/demo" / page).read_text(), page
    (project / "params.yaml").write_text(added.replace("  - finetune_slow\n", ""))
    done = micro.run(project, "dvc", "repro")
    assert done.returncode != 0
    assert "scales.demo.rows.finetune_slow: `rows` lists no such row" in done.stdout
    (project / "params.yaml").write_text(saved)
    dvc(project, "repro")
    assert table(project) == before and "finetune_slow" not in results(project)


def test_a_queued_experiment_runs_the_code_that_was_queued(project):
    """Not that of the workspace, which DVC doesn't hash for it; nor may it land in the run cache as if it were."""
    commit(project, "before the queue")
    file = project / "src/gpt2_shakespeare/texts/sampling.py"
    saved = file.read_text()
    dvc(project, "exp", "run", "--queue", "--name", "queued", "-S", "sample.seed=77")
    file.write_text(
        saved + "\n\ndef for_prompts(*_):\n    return [{'prompt': 'x', 'seed': 0, 'text': 'NOISE'}]\n"
    )
    dvc(project, "queue", "start")
    for _ in range(600):
        status = micro.run(project, "dvc", "queue", "status").stdout
        if "Success" in status or "Failed" in status:
            break
        micro.run(project, "sleep", "0.2")
    file.write_text(saved)
    assert "Success" in status, micro.run(project, "dvc", "queue", "logs", "queued").stdout
    (ref,) = re.findall(r"refs/exps/\S+/queued", micro.run(project, "git", "show-ref").stdout)
    samples = micro.run(project, "git", "show", f"{ref}:metrics/demo/samples.md").stdout
    assert "NOISE" not in samples and len(samples) > 100
    output = dvc(project, "exp", "run", "-S", "sample.seed=77")
    assert "NOISE" not in (project / "metrics/demo/samples.md").read_text() and "is cached" in output
    micro.run(project, "git", "checkout", "--force", ".")
    dvc(project, "checkout")


def test_a_stage_that_imports_another_tree_refuses_to_start(project):
    script = project / "stages/other.py"
    script.write_text("import gpt2_shakespeare\nfrom stage import stage\n\nstage(lambda: print('ran'))\n")
    done = micro.run(project, "python", "stages/other.py", PYTHONPATH=str(micro.ROOT / "src"))
    script.unlink()
    assert done.returncode == 1 and "ran" not in done.stdout.splitlines()
    assert "other: the package was loaded from" in done.stdout and "Traceback" not in done.stdout


def test_a_clone_that_turns_line_ends_into_crlf_is_up_to_date(project, tmp_path):
    commit(project, "results")
    clone = tmp_path / "clone"
    micro.run(project, "git", "clone", "--quiet", "--config", "core.autocrlf=true", str(project), str(clone))
    assert b"\r\n" not in (clone / "params.yaml").read_bytes() + (clone / "stages/train.py").read_bytes()
    shutil.copytree(project / ".dvc/cache", clone / ".dvc/cache")
    dvc(clone, "checkout")
    assert "Data and pipelines are up to date." in dvc(clone, "status")


def test_stages_run_without_dvc_and_give_the_same_bytes(project, tmp_path):
    alone, result = tmp_path / "alone", "data/demo/evaluation/scratch-1337.json"
    shutil.copytree(project, alone, ignore=shutil.ignore_patterns(".git", ".dvc", "demo", "models"))
    for command in (
        "check",
        "download",
        "prepare",
        "base",
        "train --row scratch --seed 1337",
        "evaluate --row scratch --seed 1337",
    ):
        done = micro.stage(alone, *command.split())
        assert done.returncode == 0, f"{command}: {done.stdout}"
    assert (alone / result).read_bytes() == (project / result).read_bytes()
    facts = json.loads((alone / "logs/demo/scratch-1337.json").read_text())
    assert {"torch", "cpu", "threads", "seconds"} <= facts.keys()


def test_a_prompt_of_ones_own(project):
    done = micro.stage(project, "sample", "--prompt", "KING:", "--samples", "2", "--max-new-tokens", "5")
    assert done.returncode == 0 and done.stdout.count("KING:") == 2
    done = micro.stage(project, "sample", "--prompt", "KING:", "--temperature", "-1")
    assert done.returncode == 1 and "temperature" in done.stdout and "Traceback" not in done.stdout


@pytest.mark.parametrize(
    "script",
    sorted(
        path.stem for path in (micro.ROOT / "stages").glob("*.py") if path.stem not in ("stage", "progress")
    ),
)
def test_help_and_unknown_arguments_run_nothing(project, script):
    status = micro.run(project, "git", "status", "--short").stdout
    done = micro.stage(project, script, "--help")
    assert done.returncode == 0 and "usage:" in done.stdout
    done = micro.stage(project, script, "--nonsense", "3")
    assert done.returncode == 2 and "usage:" in done.stdout and "Traceback" not in done.stdout
    assert micro.run(project, "git", "status", "--short").stdout == status
