"""Every file and every number under metrics/<scale>/ takes part in the comparison with what was regenerated."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import compare_metrics
import pandas as pd
import pytest
from comparison import pages
from comparison.finding import Verdict
from comparison.folders import Comparison, between, compare
from comparison.lock import _of_folder
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny import fuzz

METRICS = Path(__file__).parents[2] / "metrics"
# metrics/results is no scale but a DVC remote, whose files are named by their hashes
SCALES = sorted(file.parent for file in METRICS.glob("*/conditions.json"))
FILES = sorted(
    path.relative_to(METRICS).as_posix() for scale in SCALES for path in scale.rglob("*") if path.is_file()
)
RUN = ("conditions.json", "dvc.lock")  # of one run: times and commits may differ


def worst(committed, regenerated):
    return max(each.verdict for each in compare(committed, regenerated))


def worst_between(committed, regenerated):
    """Without a look at their locks."""
    found = between(committed, regenerated)
    return max(Comparison(name, findings).verdict for name, findings in found.items())


def verdicts(committed, regenerated):
    return {each.name: each.verdict for each in compare(committed, regenerated)}


def md5(content):
    return hashlib.md5(content).hexdigest()


def hashes(folder):
    """Path, as dvc.lock has it -> hash, of all that stages/record.py found under metrics/."""
    scale = METRICS.name + "/" + json.loads((folder / "conditions.json").read_text())["params"]["scale"]
    files = {
        f"{scale}/{file.relative_to(folder).as_posix()}": md5(file.read_bytes())
        for file in folder.rglob("*")
        if file.is_file() and file.name not in RUN
    }
    rows = {path: found for path, found in files.items() if "/rows/" in path}
    return files | ({f"{scale}/rows": _of_folder(f"{scale}/rows", rows)} if rows else {})


def relock(folder, before):
    """dvc.lock as it would be, had the run made what lies there now; `before`: the hashes of what lay there."""
    lock, now = (folder / "dvc.lock").read_text(), hashes(folder)
    for path, old in before.items():
        if path in now:
            lock = re.sub(
                rf"(path: {re.escape(path)}\n(?:(?! *- ).*\n)*? +md5: ){re.escape(old)}",
                rf"\g<1>{now[path]}",
                lock,
            )
    (folder / "dvc.lock").write_text(lock)


def nudged(folder, column, by, name="table.csv"):
    """A figure of every row moved in a table, in the run itself: its lock belongs to it."""
    before = hashes(folder)
    table = pd.read_csv(folder / name, dtype=str, keep_default_na=False)
    table[column] = [
        f"{float(cell) + by:.4f}" if cell and row != "human" else cell
        for row, cell in zip(table["row"], table[column], strict=True)
    ]
    table.to_csv(folder / name, index=False, lineterminator="\n")
    relock(folder, before)


@pytest.fixture
def demo(tmp_path):
    return Path(shutil.copytree(METRICS / "demo", tmp_path / "same"))


@pytest.fixture
def elsewhere(tmp_path):
    """The demo as another class of machine makes it: losses and figures of texts a bit moved."""
    folder = Path(shutil.copytree(METRICS / "demo", tmp_path / "elsewhere"))
    nudged(folder, "val_loss", 0.0002)
    nudged(folder, "dev_loss", 0.0002, "curves.csv")
    nudged(folder, "zipf", 0.0002, "analysis.csv")
    assert worst(METRICS / "demo", folder) == Verdict.WITHIN_TOLERANCE
    return folder


@pytest.fixture(params=["same", "another"])
def machine(request):
    """A copy of the demo, made on the same class of machine or on another."""
    return request.getfixturevalue("demo" if request.param == "same" else "elsewhere")


@pytest.fixture(params=FILES)
def copied(request, tmp_path):
    scale, _, rest = request.param.partition("/")
    copy = tmp_path / "copy"
    shutil.copytree(METRICS / scale, copy)
    return METRICS / scale, copy, copy / rest


def test_a_copy_is_the_same_bits(tmp_path):
    for scale in SCALES:
        shutil.copytree(scale, tmp_path / scale.name)
        assert worst(scale, tmp_path / scale.name) == Verdict.SAME_BITS


# --- each folder for itself: what isn't of the run is named, on every machine ------------------------------------


def test_a_file_that_is_deleted_replaced_or_cut_is_different(copied):
    scale, copy, file = copied
    data = file.read_bytes()
    for damaged in (None, b"word", b"", data[: len(data) // 2], data + b"\n# one line more\n"):
        file.unlink() if damaged is None else file.write_bytes(damaged)
        assert worst(scale, copy) == Verdict.DIFFERENT, damaged
        assert worst(copy, scale) == Verdict.DIFFERENT, damaged


def rewrite_analysis(folder):
    lines = (folder / "analysis.csv").read_text().replace("0.1", "0.2")
    (folder / "analysis.csv").write_text(lines)


def one_word(folder):
    (folder / "samples.md").write_text("word\n")


def no_pictures(folder):
    for picture in folder.glob("*.png"):
        picture.unlink()


def blank_pictures(folder):
    for picture in folder.glob("*.png"):
        with Image.open(picture) as image:
            Image.new(image.mode, image.size, "white").save(picture)


def another_picture(folder):
    (folder / "names.png").write_bytes((folder / "forgetting.png").read_bytes())


def times_three(folder):
    nudge = pd.read_csv(folder / "table.csv", dtype=str, keep_default_na=False)
    for column in ("perplexity", "val_loss_std"):
        nudge[column] = [f"{3 * float(cell):.4f}" if cell else cell for cell in nudge[column]]
    nudge.to_csv(folder / "table.csv", index=False, lineterminator="\n")


def another_loss(folder):
    file = folder / "rows/finetune.json"
    facts = json.loads(file.read_text())
    file.write_text(json.dumps(facts | {"val_loss": round(facts["val_loss"] + 0.001, 4)}, indent=2) + "\n")


def fewer_digits(folder):
    page = (folder / "table.md").read_text()
    assert re.search(r"\| 4\.\d{4} ±", page)
    (folder / "table.md").write_text(re.sub(r"\| 4\.\d{4} ±", "| 4 ±", page, count=1))


def other_texts(folder):
    samples = (folder / "samples.md").read_text()
    (folder / "samples.md").write_text(samples.replace("```text\n", "```text\nAnother text.\n"))


def other_settings(folder):
    file = folder / "conditions.json"
    file.write_text(file.read_text().replace('"learning_rate": 0.004', '"learning_rate": 0.0033'))


def one_other_hash(folder):
    """Of the settings, where one of their readers depends on them."""
    lock = (folder / "dvc.lock").read_text()
    (folder / "dvc.lock").write_text(
        re.sub(
            r"(data/demo/settings/evaluate.json\n +hash: md5\n +md5: )\w+", rf"\g<1>{32 * 'f'}", lock, count=1
        )
    )


def lock_of_another_run(folder):
    lock = (folder / "dvc.lock").read_text()
    for path, old in hashes(folder).items():
        if path.endswith("table.csv"):
            lock = lock.replace(old, 32 * "f")
    (folder / "dvc.lock").write_text(lock)


def one_file_more(folder):
    (folder / "more.md").write_text("more\n")


FAULTS = {
    rewrite_analysis: "analysis.csv", one_word: "samples.md", no_pictures: "decoding.png",
    blank_pictures: "names.png", another_picture: "names.png", times_three: "table.csv", another_loss: "rows",
    fewer_digits: "table.md", other_texts: "samples.md", other_settings: "conditions.json",
    one_other_hash: "dvc.lock", lock_of_another_run: "table.csv", one_file_more: "more.md",
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_was_changed_after_the_run_is_named(machine, fault):
    fault(machine)
    assert verdicts(METRICS / "demo", machine)[FAULTS[fault]] == Verdict.DIFFERENT
    assert verdicts(machine, METRICS / "demo")[FAULTS[fault]] == Verdict.DIFFERENT


def test_without_a_lock_nothing_vouches_for_the_files(machine):
    (machine / "dvc.lock").unlink()
    assert worst(machine, machine) == Verdict.DIFFERENT


# --- the two with each other, each with a lock of its own ---------------------------------------------------------

IN_THE_RUN = [
    rewrite_analysis, one_word, blank_pictures, times_three, fewer_digits,
]  # fmt: skip


@pytest.mark.parametrize("fault", IN_THE_RUN)
def test_a_run_that_makes_something_else_is_different(machine, fault):
    before = hashes(machine)
    fault(machine)
    relock(machine, before)
    assert worst(machine, machine) == Verdict.SAME_BITS or fault is blank_pictures
    assert verdicts(METRICS / "demo", machine)[FAULTS[fault]] == Verdict.DIFFERENT


@pytest.mark.parametrize("fault", [other_texts, another_picture, another_loss])
def test_where_no_figure_behind_it_differs_a_file_may_not_either(demo, fault):
    before = hashes(demo)
    fault(demo)
    relock(demo, before)
    assert worst(METRICS / "demo", demo) == Verdict.DIFFERENT


def test_other_settings_are_no_other_machine(machine):
    """A run with other settings, all of whose hashes fit."""
    facts = json.loads((machine / "conditions.json").read_text())
    facts["params"]["sample"]["seed"] = 2
    (machine / "conditions.json").write_text(json.dumps(facts, indent=1) + "\n")
    settings = json.dumps({k: v for k, v in facts["params"].items() if k != "scale"}, indent=1) + "\n"
    lock = (machine / "dvc.lock").read_text()
    old = re.search(r"settings/report.json\n +hash: md5\n +md5: (\w+)", lock)[1]
    folder = re.search(r"path: data/demo/settings\n +hash: md5\n +md5: ([\w.]+)", lock)[1]
    lock = lock.replace(old, md5(settings.encode()))
    inside = dict(re.findall(r"path: (data/demo/settings/[\w/.]+)\n +hash: md5\n +md5: (\w+)", lock))
    (machine / "dvc.lock").write_text(lock.replace(folder, _of_folder("data/demo/settings", inside)))
    assert worst(machine, machine) == Verdict.SAME_BITS
    found = verdicts(METRICS / "demo", machine)
    assert found["dvc.lock"] == found["conditions.json"] == Verdict.DIFFERENT


def numbers(file):
    """Where numbers with a decimal point stand in a text file."""
    if file.suffix == ".png":
        return []
    return [match.span() for match in re.finditer(r"(?<![\w.])\d+\.\d+(?![\w.])", file.read_text())]


def test_any_number_times_three_is_different(copied):
    scale, copy, file = copied
    if file.suffix == ".png" or file.name in RUN:
        return
    text, places = file.read_text(), numbers(file)
    for start, end in places[:: max(1, len(places) // 25)]:
        if float(text[start:end]) == 0:
            continue
        digits = len(text[start:end].partition(".")[2])
        file.write_text(f"{text[:start]}{3 * float(text[start:end]):.{digits}f}{text[end:]}")
        assert worst_between(scale, copy) == Verdict.DIFFERENT, text[max(0, start - 40) : end]


def test_params_and_hashes_of_a_run_must_be_equal(tmp_path):
    for scale in ("demo", "novels"):
        copy = tmp_path / scale
        shutil.copytree(METRICS / scale, copy)
        file = copy / "conditions.json"
        facts = json.loads(file.read_text())
        for change in (
            {"params": facts["params"] | {"seeds": [5]}},
            {"sha256": dict.fromkeys(facts["sha256"], "0")},
            {"stages": dict(list(facts["stages"].items())[1:])},
        ):
            file.write_text(json.dumps(facts | change))
            assert worst(METRICS / scale, copy) == Verdict.DIFFERENT
        file.write_text(
            json.dumps(
                facts
                | {"stages": {k: v | {"seconds": 1.0, "commit": "x"} for k, v in facts["stages"].items()}}
            )
        )
        assert worst(METRICS / scale, copy) == Verdict.OTHER_RUN
        file.write_text(json.dumps(facts, indent=1) + "\n")
        lock = (copy / "dvc.lock").read_text()
        (copy / "dvc.lock").write_text(
            re.sub(r"(path: stages/train.py\n.*\n.*md5: )\w+", r"\g<1>" + 32 * "f", lock)
        )
        assert worst(METRICS / scale, copy) == Verdict.DIFFERENT


@pytest.mark.parametrize(
    ("column", "within", "beyond"),
    [("val_loss", 0.0015, 0.003), ("val_loss_std", 0.0004, 0.0006), ("bits_per_char", 0.0012, 0.0015),
     ("perplexity", 0.005, 5), ("dev_loss", -0.0015, -0.0025)],
)  # fmt: skip
def test_each_kind_of_figure_has_its_own_tolerance(tmp_path, column, within, beyond):
    for by, verdict in ((within, Verdict.WITHIN_TOLERANCE), (beyond, Verdict.DIFFERENT)):
        copy = Path(shutil.copytree(METRICS / "demo", tmp_path / str(by)))
        nudged(copy, column, by)
        assert worst(METRICS / "demo", copy) == verdict


def test_a_share_of_train_that_follows_from_losses_may_move_a_little():
    line = b"- finetune on 8.5 % of train equals scratch on all of it (95 % interval: 6.9 % to 10 %).\n"
    for new, verdict in ((b"8.6 %", Verdict.WITHIN_TOLERANCE), (b"9.6 %", Verdict.DIFFERENT)):
        (found,) = pages.compare(line, line.replace(b"8.5 %", new))
        assert found.verdict == verdict
    (found,) = pages.compare(b"4.5 % of the text\n", b"4.6 % of the text\n")
    assert found.verdict == Verdict.DIFFERENT


def test_texts_and_pictures_may_differ_only_where_a_figure_does(demo, elsewhere):
    for copy, verdict in ((demo, Verdict.DIFFERENT), (elsewhere, Verdict.WITHIN_TOLERANCE)):
        before, picture = hashes(copy), copy / "names.png"
        with Image.open(picture) as image:
            image.putpixel((3, 3), (1, 2, 3, 255))
            image.save(picture)
        samples = (copy / "samples.md").read_text()
        (copy / "samples.md").write_text(
            re.sub(r"(\nseed \d+\n\n```text\n)[^`]+", r"\1Another text.\n", samples, count=1)
        )
        relock(copy, before)
        found = verdicts(METRICS / "demo", copy)
        assert found[picture.name] == found["samples.md"] == verdict
    for damaged in (
        samples.replace("seed 1", "seed 9", 1),
        re.sub(r"(\nseed \d+\n\n```text\n)[^`]+", r"\1", samples, count=1),
    ):
        before = hashes(copy)
        (copy / "samples.md").write_text(damaged)
        relock(copy, before)
        assert verdicts(METRICS / "demo", copy)["samples.md"] == Verdict.DIFFERENT


def test_the_pages_texts_and_figures_may_differ_only_where_a_figure_does(tmp_path):
    copy = tmp_path / "demo"
    shutil.copytree(METRICS / "demo", copy)
    page = (copy / "page.html").read_text()

    def verdict(text):
        (copy / "page.html").write_text(text)
        return Comparison("page.html", between(METRICS / "demo", copy)["page.html"]).verdict

    other = re.sub(r'("text": )"[^"\\]+', r'\1"Another', page, count=1)
    assert other != page and verdict(other) == Verdict.DIFFERENT
    nudged(copy, "val_loss", 0.001)
    assert verdict(other) == Verdict.WITHIN_TOLERANCE
    for wrong in (other.replace('"seed": 1', '"seed": 9'), other.replace("<h2>Table", "<h2>A table")):
        assert wrong != other and verdict(wrong) == Verdict.DIFFERENT
    loss = re.search(r'"dev_loss": \[([\d.]+)', page)
    assert loss and verdict(page.replace(loss[1], f"{float(loss[1]) + 1:.4f}", 1)) == Verdict.DIFFERENT


@fuzz
@given(st.data())
def test_no_number_of_any_csv_or_json_can_leave_its_tolerance_unseen(tmp_path_factory, data):
    name = data.draw(
        st.sampled_from([n for n in FILES if n.endswith((".csv", ".json")) and not n.endswith(RUN)])
    )
    scale, _, rest = name.partition("/")
    copy = tmp_path_factory.mktemp("fuzz") / "copy"
    shutil.copytree(METRICS / scale, copy)
    text = (METRICS / name).read_text()
    start, end = data.draw(st.sampled_from(numbers(METRICS / name)))
    factor = data.draw(st.sampled_from([-1, 0, 2.5, 1e3]))
    if float(text[start:end]) * (factor - 1) == 0:
        return
    (copy / rest).write_text(f"{text[:start]}{float(text[start:end]) * factor:.6f}{text[end:]}")
    verdict = worst_between(METRICS / scale, copy)
    if abs(float(text[start:end])) > 0.4 or "loss" in text[:start].rpartition("\n")[2]:
        assert verdict == Verdict.DIFFERENT
    assert verdict != Verdict.SAME_BITS


def test_it_needs_no_torch_and_tells_in_words(demo):
    (demo / "samples.md").write_text("word\n")

    def run(*arguments, options=()):
        command = [sys.executable, *options, compare_metrics.__file__, *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    done = run(METRICS / "demo", demo, options=["-X", "importtime"])
    assert done.returncode == 1 and "torch" not in done.stderr
    assert re.search(r"^samples.md +different$", done.stdout, re.MULTILINE)
    assert "regenerated: is not what the run made" in done.stdout and "all of it: different" in done.stdout
    done = run(METRICS / "demo", METRICS / "demo")
    assert done.returncode == 0 and "all of it: same bits" in done.stdout
    done = run(METRICS / "demo", demo / "x")
    assert done.returncode == 2 and "no such folder" in done.stderr
