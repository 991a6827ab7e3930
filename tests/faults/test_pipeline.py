"""What a whole pipeline survives: signals to DVC and to every stage, partial pulls, full disks, hostile names.

The tests share one project, whose pipeline has run, and leave it as they found it.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import kills_pipeline
import micro
import pytest
from comparison.finding import Verdict
from comparison.folders import compare

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(finished, tmp_path_factory):
    """A pipeline with one row of each kind that has run, committed, and pushed to a remote."""
    project, remote = finished, tmp_path_factory.mktemp("remote")
    for command in (f"dvc remote add --default local {remote}", "dvc push"):
        done = micro.run(project, *command.split())
        assert done.returncode == 0, done.stdout
    micro.run(project, "git", "add", ".")
    assert micro.run(project, "git", "commit", "--quiet", "--message", "results").returncode == 0
    return project


@pytest.fixture
def clone(project, tmp_path):
    micro.run(tmp_path, "git", "clone", "--quiet", str(project), "clone")
    return tmp_path / "clone"


@pytest.fixture
def params(project):
    """Edits params.yaml for the length of a test."""
    saved = (project / "params.yaml").read_bytes()
    yield lambda change: micro.edit(project, change)
    (project / "params.yaml").write_bytes(saved)
    if not (project / "data/demo/settings").exists():  # a `check` that failed under DVC
        assert micro.run(project, "dvc", "checkout", "data/demo/settings").returncode == 0


def files(project):
    """All files of the data, the models and the metrics, with their bytes."""
    places = (project / name for name in ("data/demo", "models", "metrics"))
    return {file: file.read_bytes() for place in places for file in place.rglob("*") if file.is_file()}


# --- a broken lock ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        lambda lock: b"",
        lambda lock: lock[:8192],
        lambda lock: lock[:-1],
        lambda lock: lock[: lock.index(b"outs:") + 6],
        lambda lock: b"<<<<<<< HEAD\n" + lock,
        lambda lock: lock.replace(b"schema", b"\xff"),
    ],
)
def test_a_broken_lock_is_put_aside_and_gits_copy_taken(project, broken):
    lock = project / "dvc.lock"
    good = lock.read_bytes()
    lock.write_bytes(broken(good))
    done = micro.stage(project, "mend")
    assert done.returncode == 0 and done.stdout.count("\n") == 1
    for word in ("dvc.lock was broken", "dvc.lock.broken", "git's index", "`dvc repro` goes on"):
        assert word in done.stdout
    assert lock.read_bytes() == good
    assert (project / "dvc.lock.broken").read_bytes() == broken(good)
    (project / "dvc.lock.broken").unlink()
    assert micro.stage(project, "mend").stdout == ""  # a good one stays


def test_without_gits_copy_the_finished_stages_come_from_the_run_cache(clone, project):
    shutil.copytree(project / ".dvc/cache", clone / ".dvc/cache")
    good = (clone / "dvc.lock").read_bytes()
    micro.run(clone, "git", "rm", "--quiet", "--cached", "dvc.lock")
    micro.run(clone, "git", "commit", "--quiet", "--message", "no lock")
    (clone / "dvc.lock").write_bytes(good[:5000])
    (clone / ".dvc/tmp").mkdir(exist_ok=True)
    (clone / ".dvc/tmp/rwlock").write_bytes(b"")
    assert "corrupted" in micro.run(clone, "dvc", "repro").stdout
    done = micro.stage(clone, "mend")
    assert "DVC writes a new one" in done.stdout and "rwlock was broken" in done.stdout
    done = micro.run(clone, "dvc", "repro")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("Running stage") <= 1  # the report, which the run cache doesn't hold
    assert (clone / "dvc.lock").read_bytes() == good


def test_signals_to_dvc_at_any_moment_change_nothing(project, clone):
    """Four of those of tests/kills_pipeline.py."""
    wanted, seen = kills_pipeline.results(project), []
    (clone / "dvc.lock").unlink()
    micro.run(clone, "git", "rm", "--quiet", "--cached", "dvc.lock")

    def check():
        seen.append(kills_pipeline.results(clone) == wanted)

    kills_pipeline.disturbed(clone, signals=4, seed=3, longest=6, check=check)
    assert seen and all(seen)


# --- every stage --------------------------------------------------------------------------------------------------

STAGES = [
    "check", "download", "prepare", "base", "train --row scratch --seed 1337", "train --row finetune --seed 1337",
    "evaluate --row scratch --seed 1337", "evaluate_baselines", "evaluate_ensembles", "learning_curve --row scratch --share 0.5",
    "texts --row scratch --seed 1337", "texts_human", "decode --row scratch --seed 1337", "report",
]  # fmt: skip


@pytest.mark.parametrize("command", STAGES)
def test_a_stage_is_stopped_or_killed_at_random_moments_and_run_again(project, command):
    script, *args = command.split()
    before, chance = files(project), random.Random(command)
    begun = time.monotonic()
    assert micro.stage(project, script, *args).returncode == 0
    length = time.monotonic() - begun
    assert files(project) == before
    for number in (signal.SIGINT, signal.SIGKILL, signal.SIGINT, signal.SIGKILL):
        with subprocess.Popen(
            ["python", f"stages/{script}.py", *args], cwd=project, env=micro.environment(project),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            maps = Path(f"/proc/{process.pid}/maps")
            while "pydantic_core" not in maps.read_text() and process.poll() is None:
                time.sleep(0.01)  # before, it is Python that starts, and stage.py has no say
            time.sleep(chance.uniform(0, length))
            process.send_signal(number)
            output = process.communicate()[0]
        assert process.returncode in (0, -number, 128 + number), output
        assert "Traceback" not in output
        if process.returncode == -signal.SIGINT and output:  # nothing is said of what ends anyway
            assert f"{script}: stopped by Ctrl-C; nothing of this stage is kept, run it again" in output
    done = micro.stage(project, script, *args)
    assert done.returncode == 0, done.stdout
    assert files(project) == before


def test_a_share_without_a_window_gets_one_line(project, params):
    params(lambda p: p["learning_curves"].update(shares=[0.001, 0.5]))
    before = files(project)
    done = micro.stage(project, "learning_curve", "--row", "scratch", "--share", "0.001")
    assert done.returncode == 1 and "Traceback" not in done.stdout
    assert "too few for" in done.stdout and "share" in done.stdout
    assert files(project) == before


@pytest.mark.parametrize(
    ("command", "folder", "size"),
    [
        ("evaluate --row scratch --seed 1337", "data/demo/evaluation", "size=4k"),  # inside safetensors
        ("evaluate --row scratch --seed 1337", "data/demo/evaluation", "nr_inodes=1"),
        ("texts --row scratch --seed 1337", "data/demo/texts", "nr_inodes=1"),
        ("decode --row scratch --seed 1337", "data/demo/decoding", "nr_inodes=1"),
        ("train --row scratch --seed 1337", "data/demo/histories", "nr_inodes=1"),
        ("train --row scratch --seed 1337", "models/demo/scratch", "size=8k"),
    ],
)
def test_a_full_disk_gets_one_line_and_leaves_no_part_of_a_file(project, command, folder, size):
    before = files(project)
    done = micro.run(
        project, "unshare", "--mount", "--map-root-user", "sh", "-c",
        f"mount -t tmpfs -o {size} none {folder} && python stages/{command.replace(' ', '.py ', 1)}; code=$?; "
        f"find {folder} -type f -size +0; exit $code",
    )  # fmt: skip
    if "unshare" in done.stdout or "mount:" in done.stdout:
        pytest.skip(f"no mount namespaces here: {done.stdout.strip()}")
    assert done.returncode == 1 and "Traceback" not in done.stdout, done.stdout
    *_, last = done.stdout.strip().splitlines()
    assert last.startswith(f"{command.split()[0]}: ") and folder in last and "o space left on device" in last
    model = project / "models/demo/scratch/1337"
    goes = command.startswith("train") and not model.is_relative_to(
        project / folder
    )  # when a training begins
    kept = {file for file in before if not goes or model not in file.parents}
    assert files(project) == {file: before[file] for file in kept}
    if kept != before.keys():
        assert micro.stage(project, "train", "--row", "scratch", "--seed", "1337").returncode == 0
        assert files(project) == before


def test_a_stage_run_by_hand_writes_through_no_link(project):
    out, kept = project / "data/demo/evaluation/scratch-1337.json", project / "kept"
    content = out.read_bytes()
    kept.write_bytes(b"in DVC's cache")
    out.unlink()
    out.symlink_to(kept)
    assert micro.stage(project, "evaluate", "--row", "scratch", "--seed", "1337").returncode == 0
    assert kept.read_bytes() == b"in DVC's cache"
    assert out.read_bytes() == content and not out.is_symlink()
    kept.unlink()


# --- a part of the results ----------------------------------------------------------------------------------------


def test_a_clone_that_pulls_is_up_to_date(clone):
    assert micro.run(clone, "dvc", "pull").returncode == 0
    assert "Data and pipelines are up to date." in micro.run(clone, "dvc", "repro").stdout


def test_after_a_partial_pull_nothing_is_made_from_the_part_that_is_there(clone, project):
    assert micro.run(clone, "dvc", "pull", "models/demo/finetune/1337").returncode == 0
    done = micro.run(clone, "dvc", "repro", "--pull", "--allow-missing")
    assert "Data and pipelines are up to date." in done.stdout
    micro.edit(clone, lambda params: params.update(epochs=2))
    done = micro.run(clone, "dvc", "repro", "--pull", "--allow-missing")
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert "data/demo/evaluation/base-0.json is not there" in done.stdout and "`dvc pull`" in done.stdout
    assert micro.run(clone, "git", "status", "--short", "metrics").stdout == ""
    assert micro.run(clone, "dvc", "pull").returncode == 0
    done = micro.run(clone, "dvc", "repro")
    assert done.returncode == 0 and "missing" not in done.stdout, done.stdout
    assert " D " not in micro.run(clone, "git", "status", "--short", "metrics").stdout


def test_a_report_that_fails_leaves_the_committed_files(project):
    before = files(project)
    missing = project / "data/demo/texts/human.json"
    missing.unlink()
    done = micro.run(project, "dvc", "repro", "--single-item", "--force", "report")
    missing.write_bytes(before[missing])
    assert done.returncode != 0 and "texts/human.json is not there" in done.stdout
    assert files(project) == before


def test_a_notebooks_matplotlib_backend_does_not_reach_the_report(project):
    before = files(project)
    done = micro.stage(project, "report", MPLBACKEND="module://matplotlib_inline.backend_inline")
    assert done.returncode == 0, done.stdout
    assert files(project) == before


# --- names, folders and terminals ---------------------------------------------------------------------------------


def test_no_value_of_params_reaches_the_shell_unquoted(project, params):
    """DVC fills in commands before `check` has seen params.yaml, and `--single-item` leaves `check` out."""
    seeds = ["1; touch hacked", "$(touch hacked)", "1'; touch hacked; '", "1\ntouch hacked\n"]
    params(lambda p: p.update(seeds=seeds))
    for seed in seeds:
        done = micro.run(project, "dvc", "repro", "--single-item", f"scratch@scratch-{seed}")
        assert done.returncode != 0
        assert not (project / "hacked").exists(), done.stdout
    done = micro.run(project, "dvc", "repro")
    assert done.returncode != 0 and "params.yaml: seeds.0: Input should be a valid integer" in done.stdout


@pytest.mark.parametrize("scale", ["Demo", "demo.v2", "../../x", "x/y"])
def test_a_mistyped_scale_leaves_no_folder(project, params, scale):
    def folders():
        return sorted(path for path in project.rglob("*") if path.is_dir() and ".dvc" not in path.parts)

    before = folders()
    params(lambda p: p.update(scale=scale))
    for target in ([], ["--single-item", "prepare"], ["--single-item", "scratch@scratch-1337"]):
        assert micro.run(project, "dvc", "repro", *target).returncode != 0
    for name in ("check", "download", "prepare", "base", "evaluate_baselines", "report"):
        done = micro.stage(project, name)
        assert done.returncode == 1 and f"'{scale}' is none of demo" in done.stdout
    assert folders() == before


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_a_terminal_that_is_not_utf_8_gets_escapes(project, encoding):
    for command in (["report", "--print"], ["sample", "--prompt", "Ōé→", "--max-new-tokens", "2"]):
        done = subprocess.run(
            ["python", f"stages/{command[0]}.py", *command[1:]], cwd=project, capture_output=True,
            env=micro.environment(project) | {"PYTHONIOENCODING": encoding},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert b"\\u2192" in done.stdout


@pytest.mark.parametrize(
    "command", ["report --print", "check --help", "check --show scratch", "sample --prompt KING:"]
)
@pytest.mark.parametrize("reader", ["true", "head -n 1"])
def test_whoever_reads_may_have_enough(project, command, reader):
    script, _, arguments = command.partition(" ")
    done = micro.run(
        project, "bash", "-c", f"python stages/{script}.py {arguments} | {reader}; echo ${{PIPESTATUS[0]}}"
    )  # fmt: skip
    *shown, code = done.stdout.splitlines()
    assert code in ("0", "141") and len(shown) <= 1, done.stdout


@pytest.mark.parametrize("command", ["report --print", "check --show scratch", "sample --prompt KING:"])
def test_what_is_printed_to_a_full_disk_gets_one_line(project, command):
    script, _, arguments = command.partition(" ")
    done = micro.run(project, "bash", "-c", f"python stages/{script}.py {arguments} > /dev/full")
    assert done.returncode == 1 and done.stdout.count("\n") == 1, done.stdout
    assert done.stdout.startswith(f"{script}: No space left on device"), done.stdout
    assert micro.run(project, "bash", "-c", f"python stages/{script}.py {arguments} >&-").returncode == 0


def test_what_a_killed_report_was_writing_is_not_in_git_and_goes(project):
    before = files(project)
    left = [
        project / "metrics/demo" / name for name in (".table.md.new", ".rows.new/base.json", ".names.png.new")
    ]
    for file in left:
        file.parent.mkdir(exist_ok=True)
        file.write_text("half")
    assert micro.run(project, "git", "status", "--short", "metrics").stdout == ""
    assert "up to date" in micro.run(project, "dvc", "status", "report").stdout
    assert micro.stage(project, "report").returncode == 0
    assert files(project) == before


def test_conditions_are_recorded_only_of_the_run_that_made_the_files(project):
    metrics, page = project / "metrics/demo", project / "metrics/demo/table.md"
    content, lock = page.read_bytes(), (project / "dvc.lock").read_bytes()
    assert micro.stage(project, "record").returncode == 0
    assert max(each.verdict for each in compare(metrics, metrics)) == Verdict.SAME_BITS
    recorded = (metrics / "conditions.json").read_bytes()
    for file, damaged in ((page, b"word"), (project / "dvc.lock", lock.replace(b"report.py", b"other.py"))):
        before = file.read_bytes()
        file.write_bytes(damaged)
        done = micro.stage(project, "record")
        file.write_bytes(before)
        assert done.returncode == 1 and "Traceback" not in done.stdout, done.stdout
        assert "record: dvc.lock isn't of the files that lie here: report " in done.stdout, done.stdout
        assert "`dvc repro`" in done.stdout and (metrics / "conditions.json").read_bytes() == recorded
    # logs of another run, of a row that is no longer listed, and a lock in conflict
    log = project / "logs/demo/scratch-1337.json"
    facts = json.loads(log.read_text())
    log.write_text(json.dumps(facts | {"seconds": 9999.5}))
    (log.parent / "gone-1337.json").write_text(json.dumps(facts))
    assert micro.stage(project, "record").returncode == 0
    assert (metrics / "conditions.json").read_bytes() == recorded
    (metrics / "dvc.lock").write_text("<<<<<<< HEAD\n")
    assert micro.stage(project, "record").returncode == 0
    assert (metrics / "dvc.lock").read_bytes() == lock
    stages = json.loads((metrics / "conditions.json").read_text())["stages"]
    assert stages["scratch-1337"]["seconds"] == 9999.5 and "gone-1337" not in stages
    log.write_text(json.dumps(facts))
    for name in ("conditions.json", "dvc.lock"):
        (metrics / name).unlink()
    (log.parent / "gone-1337.json").unlink()
    assert page.read_bytes() == content


def test_no_experiment_holds_a_text_of_ones_own(clone):
    (clone / "data/own/mine.txt").write_text("A secret of mine.\n" * 1000)
    (clone / "data/own/base/model.safetensors").write_text("A secret model of mine.")
    micro.run(clone, "git", "add", ".")
    done = micro.run(clone, "dvc", "exp", "run", "-S", "corpus_path=data/own/mine.txt", "download")
    assert done.returncode == 0, done.stdout
    (name,) = micro.run(clone, "dvc", "exp", "list", "--name-only").stdout.split()
    refs = micro.run(clone, "git", "for-each-ref", "--format=%(refname)", "refs/exps").stdout.split()
    (head,) = (ref for ref in refs if ref.endswith(f"/{name}"))
    held = micro.run(clone, "git", "ls-tree", "-r", "--name-only", head).stdout.split()
    assert "dvc.lock" in held and "data/own/corpus.txt" in held
    assert not [name for name in held if "mine" in name or name.endswith("safetensors")]
    assert (
        micro.run(clone, "git", "grep", "-c", "secret of mine", head, "--", "data", "metrics").returncode == 1
    )
    assert "data/own/mine.txt" in micro.run(clone, "git", "show", f"{head}:dvc.lock").stdout


def test_a_row_that_is_removed_goes_from_the_results(clone):
    """But not from models/, which docs/troubleshooting.md tells how to clear."""

    def remove(p, settings_too):
        p["rows"]["scratch"] = []
        p["adapting"]["rows"] = ["finetune"]
        p["learning_curves"]["rows"] = ["finetune"]
        if settings_too:
            for scale in p["scales"].values():
                scale["rows"].pop("scratch", None)

    assert micro.run(clone, "dvc", "pull").returncode == 0
    micro.edit(clone, lambda p: remove(p, False))
    done = micro.run(clone, "dvc", "repro")
    assert done.returncode != 0 and "scales.demo.rows.scratch: `rows` lists no such row" in done.stdout
    micro.edit(clone, lambda p: remove(p, True))
    done = micro.run(clone, "dvc", "repro")
    assert done.returncode == 0, done.stdout
    assert "scratch" not in (clone / "metrics/demo/table.csv").read_text()
    assert not list((clone / "metrics/demo/rows").glob("scratch*"))
    assert not list((clone / "data/demo").glob("*/scratch*"))
    assert (clone / "models/demo/scratch/1337").is_dir()
    shutil.rmtree(clone / "models/demo/scratch")
    assert "up to date" in micro.run(clone, "dvc", "status").stdout


HOSTILE = [
    "two words",
    "$(touch hacked)",
    "`touch hacked`",
    "; touch hacked",
    "../x",
    "x/y",
    "a" * 41,
    "Ophélie",
    "base",
    "",
    "-x",
    "x\ny",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_of_a_row_is_refused_in_a_line(project, params, name):
    def add(p):
        p["rows"]["finetune"].append(name)
        p["scales"]["demo"]["rows"][name] = dict(p["scales"]["demo"]["rows"]["finetune"])

    before = files(project)
    params(add)
    done = micro.stage(project, "check")
    assert done.returncode == 1 and "Traceback" not in done.stdout, done.stdout
    assert all(line.startswith(("check: ", "params.yaml: ")) for line in done.stdout.splitlines()), (
        done.stdout
    )
    assert "rows.finetune" in done.stdout and files(project) == before
    if "hacked" in name or name == "../x":
        for target in ([], ["--single-item", f"finetune@{name}-1337"]):
            done = micro.run(project, "dvc", "repro", *target)
            assert done.returncode != 0 and "Traceback" not in done.stdout, done.stdout
    assert not list(project.rglob("hacked"))


def test_a_sample_from_any_folder_and_from_no_prompt(project, tmp_path):
    script = str(project / "stages/sample.py")
    done = micro.run(tmp_path, "python", script, "--prompt", "", "--samples", "2", "--max-new-tokens", "5")
    assert done.returncode == 0 and done.stdout.count("-" * 40) == 2, done.stdout
    shutil.copytree(project / "models/demo/scratch/1337", tmp_path / "mine")
    done = micro.run(tmp_path, "python", script, "--prompt", "KING:", "--model", "mine")
    assert done.returncode == 0 and "KING:" in done.stdout, done.stdout
    assert sorted(os.listdir(tmp_path)) == ["mine"]
