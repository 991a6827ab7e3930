"""What is written into metrics/<scale>/, and that a report that fails leaves what was there."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from made_up import ADAPTING, COUNTED, ENSEMBLES, MODELS, ROWS, fill, line, metrics, params, part, with_row

from gpt2_shakespeare import report
from gpt2_shakespeare.report import files, pictures
from gpt2_shakespeare.report.files import ReportError
from gpt2_shakespeare.report.summary import summary
from gpt2_shakespeare.report.writing import write

CODE = Path(report.__file__).parent
TABLES = {"table.csv", "table.md", "curves.csv", "analysis.csv", "analysis.md", "samples.md", "page.html"}
PICTURES = {
    "loss_curves.png", "val_loss.png", "bits_per_char.png", "learning_curves.png", "learning_curves.csv", "forgetting.png", "names.png", "memorisation.png", "decoding.png",
}  # fmt: skip


def written(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_it_imports_no_torch_and_no_dvc():
    modules = [".".join(path.relative_to(CODE).with_suffix("").parts) for path in CODE.rglob("*.py")]
    names = ", ".join(f"gpt2_shakespeare.report.{name.removesuffix('.__init__')}" for name in modules)
    code = f"import sys, {names.replace('.__init__', '')}; assert not {{'torch', 'dvc'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_same_input_gives_the_same_bytes():
    at = fill(seeds=(1, 2))
    contents = []
    for seeds in ((1, 2), (1, 2), (2, 1)):
        write(params(seeds=seeds))
        contents.append(written(at.metrics))
    first, again, turned = contents
    assert first == again
    for name in (
        "samples.md",
        "analysis.md",
        "page.html",
    ):  # they name the first seed, whose models they are of
        del first[name], turned[name]
    assert first == turned
    rows = {f"rows/{row.name}.json" for row in ROWS}
    assert set(again) == TABLES | PICTURES | rows
    for name, raw in first.items():
        assert len(raw) < (400_000 if name == "decoding.png" else 200_000)
        if name.endswith(".png"):
            assert b"Software" not in raw and b"tEXt" not in raw


def test_an_added_row_appears_everywhere():
    seeds = (1, 2)
    settings = params("demo", seeds, change=with_row)
    at = fill("demo", seeds, rows=settings.rows)
    write(settings)
    assert {"finetune_quick", "quick_ensemble"} <= metrics(at).keys()
    assert (
        line(at, "finetune_quick")[3].startswith("4.26")
        and "2 seeds of finetune_quick" in line(at, "quick_ensemble")[-1]
    )
    assert "finetune_quick" in part(at, "Differences and their spread")[0]
    for name in ("table.csv", "curves.csv", "analysis.csv"):
        assert "finetune_quick" in set(pd.read_csv(at.metrics / name)["row"])
    for name in ("analysis.md", "samples.md"):
        assert "finetune_quick" in (at.metrics / name).read_text(encoding="utf-8")
    assert "finetune_quick" in summary("demo")
    pages = written(at.metrics)
    write(params("demo", seeds))
    unmeasured = {"forgetting.png", "names.png", "learning_curves.png", "learning_curves.csv"}
    for name in PICTURES - unmeasured:
        assert pages[name] != written(at.metrics)[name]


@pytest.mark.usefixtures("no_pictures")
def test_the_file_of_a_row_that_is_gone_goes():
    settings = params("demo", (1, 2), change=with_row)
    at = fill("demo", (1, 2), rows=settings.rows)
    write(settings)
    at.evaluation("scratch", 2).unlink()
    write(params("demo", (1, 2)))
    assert metrics(at).keys() == {*COUNTED, *MODELS, *ENSEMBLES, *ADAPTING} - {"scratch"}


@pytest.mark.usefixtures("no_pictures")
def test_no_row_but_those_of_the_registry_has_its_name_in_the_code():
    kinds = {row.kind for row in ROWS}  # three rows are called as their kinds are
    names = {row.name for row in ROWS} - kinds
    for path in [*CODE.rglob("*.py"), *CODE.rglob("templates/*")]:
        if path.name != "registry.py":
            text = path.read_text(encoding="utf-8")
            assert not [name for name in names if f'"{name}"' in text or f"`{name}`" in text], path


@pytest.mark.parametrize("where", ["data", "picture"])
def test_a_failing_report_leaves_the_old_files(where, monkeypatch):
    at = fill()
    monkeypatch.setattr(pictures, "OF_TEXTS", {})
    write(params())
    before = written(at.metrics)

    def fail(*_):
        raise RuntimeError("no picture")

    if where == "data":
        at.corpus_facts.unlink()
        with pytest.raises(ReportError, match="not there"):
            write(params())
    else:
        for path in at.data.joinpath("evaluation").glob("*.json"):
            path.write_text(path.read_text().replace("4.", "3."))
        monkeypatch.setitem(pictures.OF_LOSSES, "names.png", fail)
        with pytest.raises(RuntimeError, match="no picture"):
            write(params())
    assert written(at.metrics) == before


def test_files_are_replaced_when_all_new_ones_are_there(tmp_path):
    files.write(tmp_path, {"a": b"1", "folder/b": b"1", "folder/c": b"1"})
    with pytest.raises(TypeError):
        files.write(tmp_path, {"a": b"2", "folder/b": "no bytes"})  # type: ignore[dict-item]
    assert written(tmp_path) == {"a": b"1", "folder/b": b"1", "folder/c": b"1"}
    left = tmp_path / ".a.new"
    left.mkdir()  # as a killed process leaves it
    (tmp_path / "kept").write_bytes(b"0")
    files.write(tmp_path, {"a": b"3", "folder/c": b"3"})
    assert written(tmp_path) == {"a": b"3", "folder/c": b"3", "kept": b"0"}
    assert not left.exists()
