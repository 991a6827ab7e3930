"""Every file and every number under metrics/<scale>/ takes part in the comparison with what was regenerated."""

import json
import re
import shutil
from pathlib import Path

import compare_metrics
import pytest
from compare_metrics import Verdict
from hypothesis import given
from hypothesis import strategies as st
from tiny import fuzz

METRICS = Path(__file__).parents[2] / "metrics"
FILES = sorted(path.relative_to(METRICS).as_posix() for path in METRICS.rglob("*") if path.is_file())
RUN = ("conditions.json", "dvc.lock")  # of one run: times and commits may differ


def worst(committed, regenerated):
    return max(each.verdict for each in compare_metrics.compare(committed, regenerated))


def place(name, folder):
    """A copy of the scale that a file is of, and the file there."""
    scale, _, rest = name.partition("/")
    return METRICS / scale, folder / "copy", folder / "copy" / rest


@pytest.fixture(params=FILES)
def copied(request, tmp_path):
    scale, copy, file = place(request.param, tmp_path)
    shutil.copytree(scale, copy)
    return scale, copy, file


def test_a_copy_is_the_same_bits(tmp_path):
    for scale in sorted(METRICS.iterdir()):
        if scale.is_dir():
            shutil.copytree(scale, tmp_path / scale.name)
            assert worst(scale, tmp_path / scale.name) == Verdict.SAME_BITS


def test_a_file_that_is_deleted_replaced_or_cut_is_different(copied):
    scale, copy, file = copied
    data = file.read_bytes()
    for damaged in (None, b"word", b"", data[: len(data) // 2], data + b"\n# one line more\n"):
        file.unlink() if damaged is None else file.write_bytes(damaged)
        if damaged is not None and file.suffix == ".png" and damaged.startswith(data):
            continue  # what stands after a picture's end is not looked at
        assert worst(scale, copy) == Verdict.DIFFERENT, damaged
        assert worst(copy, scale) == Verdict.DIFFERENT, damaged


def numbers(file):
    """Where numbers with a decimal point stand in a text file."""
    if file.suffix == ".png":
        return []
    return [match.span() for match in re.finditer(r"(?<![\w.])\d+\.\d+(?![\w.])", file.read_text())]


def test_any_number_times_three_is_different(copied):
    scale, copy, file = copied
    text, places = (file.read_text(), numbers(file)) if file.suffix != ".png" else ("", [])
    if file.name in RUN:
        places = []  # below
    for start, end in places[:: max(1, len(places) // 25)]:
        if float(text[start:end]) == 0:
            continue
        digits = len(text[start:end].partition(".")[2])
        file.write_text(f"{text[:start]}{3 * float(text[start:end]):.{digits}f}{text[end:]}")
        assert worst(scale, copy) == Verdict.DIFFERENT, text[max(0, start - 40) : end]


def test_params_and_hashes_of_a_run_must_be_equal(tmp_path):
    for scale in ("demo", "laptop"):
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
            re.sub(r"(path: stages/train.py\n.*\n.*md5: )\w+", r"\g<1>" + 32 * "0", lock)
        )
        assert worst(METRICS / scale, copy) == Verdict.DIFFERENT


def nudged(folder, column, by):
    """The copy with a figure of every row of table.csv moved."""
    import pandas as pd

    file = folder / "table.csv"
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    table[column] = [f"{float(cell) + by:.4f}" if cell else cell for cell in table[column]]
    table.to_csv(file, index=False, lineterminator="\n")


@pytest.mark.parametrize(
    ("column", "within", "beyond"),
    [("val_loss", 0.0015, 0.003), ("val_loss_std", 0.0004, 0.0006), ("bits_per_char", 0.0012, 0.0015),
     ("perplexity", 0.005, 5), ("dev_loss", -0.0015, -0.0025)],
)  # fmt: skip
def test_each_kind_of_figure_has_its_own_tolerance(tmp_path, column, within, beyond):
    for by, verdict in ((within, Verdict.WITHIN_TOLERANCE), (beyond, Verdict.DIFFERENT)):
        shutil.copytree(METRICS / "demo", tmp_path / str(by))
        nudged(tmp_path / str(by), column, by)
        assert worst(METRICS / "demo", tmp_path / str(by)) == verdict


def test_texts_and_pictures_may_differ_only_where_a_figure_does(tmp_path):
    from PIL import Image

    copy = tmp_path / "demo"
    shutil.copytree(METRICS / "demo", copy)
    picture = next(copy.glob("*.png"))
    with Image.open(picture) as image:
        image.putpixel((3, 3), (1, 2, 3, 255))
        image.save(picture)
    samples = (copy / "samples.md").read_text()
    (copy / "samples.md").write_text(
        re.sub(r"(\nseed \d+\n\n```text\n)[^`]+", r"\1Another text.\n", samples, count=1)
    )
    found = {each.name: each.verdict for each in compare_metrics.compare(METRICS / "demo", copy)}
    assert found[picture.name] == found["samples.md"] == Verdict.DIFFERENT
    nudged(copy, "val_loss", 0.001)
    found = {each.name: each.verdict for each in compare_metrics.compare(METRICS / "demo", copy)}
    assert found[picture.name] == found["samples.md"] == found["table.csv"] == Verdict.WITHIN_TOLERANCE
    (copy / "samples.md").write_text(samples.replace("seed 1", "seed 9", 1))
    assert worst(METRICS / "demo", copy) == Verdict.DIFFERENT


@pytest.mark.skipif(not (METRICS / "demo/page.html").exists(), reason="the page isn't committed yet")
def test_the_pages_texts_and_figures_may_differ_only_where_a_figure_does(tmp_path):
    copy = tmp_path / "demo"
    shutil.copytree(METRICS / "demo", copy)
    page = (copy / "page.html").read_text()

    def verdict(text):
        (copy / "page.html").write_text(text)
        found = {each.name: each.verdict for each in compare_metrics.compare(METRICS / "demo", copy)}
        return found["page.html"]

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
    scale, copy, file = place(name, tmp_path_factory.mktemp("fuzz"))
    text = (METRICS / name).read_text()
    start, end = data.draw(st.sampled_from(numbers(METRICS / name)))
    factor = data.draw(st.sampled_from([-1, 0, 2.5, 1e3]))
    if float(text[start:end]) * (factor - 1) == 0:
        return
    copy.mkdir()
    single = copy / "old" / file.name, copy / "new" / file.name
    for path in single:
        path.parent.mkdir()
    single[0].write_text(text)
    single[1].write_text(f"{text[:start]}{float(text[start:end]) * factor:.6f}{text[end:]}")
    verdict = worst(copy / "old", copy / "new")
    if abs(float(text[start:end])) > 0.4 or "loss" in text[:start].rpartition("\n")[2]:
        assert verdict == Verdict.DIFFERENT
    assert verdict != Verdict.SAME_BITS


def test_it_needs_no_torch_and_tells_in_words(tmp_path):
    import subprocess
    import sys

    script = Path(__file__).parents[1] / "compare_metrics.py"
    copy = tmp_path / "demo"
    shutil.copytree(METRICS / "demo", copy)
    (copy / "samples.md").write_text("word\n")
    run = [sys.executable, "-X", "importtime", script, METRICS / "demo", copy]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 1 and "torch" not in done.stderr
    assert (
        re.search(r"^samples.md +different$", done.stdout, re.MULTILINE)
        and "all of it: different" in done.stdout
    )
    done = subprocess.run(
        [sys.executable, script, METRICS / "demo", METRICS / "demo"], capture_output=True, text=True
    )
    assert done.returncode == 0 and "all of it: same bits" in done.stdout
    done = subprocess.run(
        [sys.executable, script, METRICS / "demo", tmp_path / "x"], capture_output=True, text=True
    )
    assert done.returncode == 2 and "no such folder" in done.stderr
