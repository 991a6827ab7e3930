"""The commands that users type, on a micro copy of the built-in scale: what runs, what doesn't, what changes.

The tests of this file run in order, on one project, as a user's session would.
"""

import json
import re
import shutil

import micro
import pytest

from gpt2_shakespeare.params import schema

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return micro.copy(tmp_path_factory.mktemp("micro"))


def dvc(project, *args):
    done = micro.run(project, "dvc", *args)
    assert done.returncode == 0, done.stdout
    return done.stdout


def ran(output):
    """Stages that a DVC command ran, in order."""
    return re.findall(r"^Running stage '([^']+)'", output, flags=re.MULTILINE)


def results(project):
    return json.loads((project / "metrics/demo/results.json").read_text())


FINETUNE_AND_WHAT_FOLLOWS = {
    "check", "finetune@1337", "evaluate@finetune-1337", "evaluate_ensembles", "sample", "report",
    "analyse@finetune-1337", "decode@finetune", "report_analysis",
}  # fmt: skip
PAGES = (
    "table.md", "table.csv", "samples.md", "loss_curves.png", "val_loss.png", "forgetting.png", "names.png",
    "analysis.md", "analysis.csv", "decoding.png", "memorisation.png",
)  # fmt: skip


def test_repro_runs_everything_once(project):
    stages = ran(dvc(project, "repro"))
    assert stages[0] == "check" and set(stages[-2:]) <= {"report", "report_analysis"}
    assert len(stages) == len(set(stages)) == 37
    assert list(results(project)) == [*schema.BASELINES, *schema.MODEL_ROWS]  # no ensemble of one seed
    for row in results(project).values():
        assert 0 < row["val_loss"] < 10
    for name in PAGES:
        assert (project / "metrics/demo" / name).stat().st_size > 100
    assert "Data and pipelines are up to date." in dvc(project, "repro")
    assert "finetune_long" in micro.stage(project, "report", "--print").stdout
    assert "missing" not in (project / "metrics/demo/analysis.md").read_text()


def test_a_forced_run_leaves_every_byte_as_it_was(project):
    def everything():
        files = [project / "dvc.lock", *sorted((project / "metrics").rglob("*.*"))]
        return {file.name: file.read_bytes() for file in files}

    before = everything()
    dvc(project, "repro", "--force")
    assert everything() == before


def test_epochs_reruns_the_fine_tuning_and_what_follows_from_it(project):
    micro.run(project, "git", "add", ".")
    micro.run(project, "git", "commit", "--quiet", "--message", "results")
    before = results(project)
    output = dvc(project, "exp", "run", "-S", "epochs=6")
    assert set(ran(output)) == FINETUNE_AND_WHAT_FOLLOWS
    after = results(project)
    assert after["scratch"] == before["scratch"] and after["base"] == before["base"]
    assert after["finetune"] != before["finetune"]
    assert after["finetune"] == after["finetune_long"]  # the same six epochs, in two folders
    shown = dvc(project, "metrics", "diff", "--json")
    assert "finetune.val_loss" in shown and "scratch.val_loss" not in shown


def test_a_new_seed_trains_only_itself_and_rows_become_means(project):
    before = results(project)
    stages = set(ran(dvc(project, "exp", "run", "-S", "seeds=[1337,2]")))
    trained = {name for name in stages if name.startswith(("scratch", "finetune", "base"))}
    assert trained == {f"{row}@2" for row in schema.TRAINED_ROWS}
    evaluated = {name for name in stages if name.startswith("evaluate")}
    assert evaluated == {"evaluate_ensembles", *(f"evaluate@{row}-2" for row in schema.TRAINED_ROWS)}
    analysed = {name for name in stages if name.startswith(("analyse", "decode"))}
    assert analysed == {f"analyse@{row}-2" for row in schema.TRAINED_ROWS}
    files = {seed: project / f"data/demo/evaluation/scratch-{seed}.json" for seed in (1337, 2)}
    one, two = (json.loads(file.read_text())["val_loss"] for file in files.values())
    row = results(project)["scratch"]
    assert row["val_loss"] == pytest.approx((one + two) / 2, abs=1e-4)
    assert row["val_loss_std"] == pytest.approx(abs(one - two) / 2**0.5, abs=1e-4)
    assert row["seeds"] == 2 and before["scratch"]["seeds"] == 1
    after = results(project)
    assert list(after) == list(schema.ROWS)
    assert (
        after["scratch_ensemble"]["val_loss"] < after["scratch_tuned"]["val_loss"]
    )  # by Jensen's inequality


def test_what_was_run_before_comes_from_the_cache(project):
    """Back to the settings of the first run: nothing is trained again."""
    output = dvc(project, "exp", "run", "-S", "seeds=[1337]", "-S", "epochs=1")
    assert "is cached - skipping run" in output
    assert not [name for name in ran(output) if name.startswith(("scratch", "finetune", "base"))]


def test_a_changed_setting_makes_only_its_stages_stale(project):
    saved = (project / "params.yaml").read_text()

    def stale(change):
        micro.edit(project, change)
        found = set(json.loads(dvc(project, "status", "--json")))
        (project / "params.yaml").write_text(saved)
        return found - {"check"}

    assert stale(lambda p: p["scales"]["demo"]["scratch"].update(learning_rate=1e-3)) == {"scratch@1337"}
    assert stale(lambda p: p["scales"]["demo"]["finetune"].update(learning_rate=1e-3)) == {
        "finetune@1337", "finetune_long@1337",
    }  # fmt: skip
    texts = {"analyse_base", *(f"analyse@{row}-1337" for row in schema.TRAINED_ROWS)}
    grid = {"decode_base", *(f"decode@{row}" for row in schema.TRAINED_ROWS)}
    assert stale(lambda p: p["sample"].update(top_p=0.5)) == {"sample", "report", "report_analysis", *texts}
    assert stale(lambda p: p["analysis"].update(samples=4)) == {
        "analyse_human",
        "report_analysis",
        *texts,
        *grid,
    }
    assert stale(lambda p: p["scales"]["laptop"]["scratch"].update(learning_rate=1e-3)) == set()


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


def test_stages_run_without_dvc_and_give_the_same_bytes(project, tmp_path):
    alone, result = tmp_path / "alone", "data/demo/evaluation/scratch-1337.json"
    shutil.copytree(project, alone, ignore=shutil.ignore_patterns(".git", ".dvc", "demo", "models"))
    for command in (
        "check",
        "download",
        "prepare",
        "base",
        "train scratch --seed 1337",
        "evaluate scratch --seed 1337",
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
