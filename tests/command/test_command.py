"""The command, as a user types it, in a small project; and each thing that may be missing, in one line."""

import json
import math
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny import gpt

from gpt2_shakespeare import params
from gpt2_shakespeare.command import doctor, page, project
from gpt2_shakespeare.command.main import app, main
from gpt2_shakespeare.paths import Paths
from gpt2_shakespeare.tokens import hugging_face, tokenizer

ROOT = Path(__file__).parents[2]
TEXT = "All the world's a stage, and all the men and women merely players.\n" * 40
AT = Paths("demo")
TYPES = 290


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A project with two trained rows, and without a network, data or results."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "params.yaml", folder)
    tokenizer.train([TEXT], TYPES, folder / AT.tokenizer)
    for seed, row in enumerate(("scratch", "finetune")):
        model = folder / AT.model(row, 1337)
        gpt(seed, vocab_size=TYPES).save_pretrained(model)
        hugging_face.write(model, folder / AT.tokenizer, 16)
    (folder / "my.txt").write_text(TEXT, encoding="utf-8")
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch) -> Path:
    folder = shutil.copytree(made, tmp_path / "project")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    return folder


def typed(capsys, *arguments: str) -> tuple[object, str, str]:
    """Exit code (or the message of a failure), and what was printed; as `python -m` of the entry point does it."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


def refused(capsys, *arguments: str) -> str:
    """The one line that a failure ends in."""
    code, out, err = typed(capsys, *arguments)
    assert isinstance(code, str) and "\n" not in code and code.startswith("gpt2-shakespeare: "), (
        code,
        out,
        err,
    )
    assert "Traceback" not in err
    return code


def test_help_has_examples_that_are_commands(capsys):
    code, out, _ = typed(capsys, "--help")
    assert code == 0 and 'gpt2-shakespeare sample "KING:"' in out
    for command in app.registered_commands:
        assert command.callback is not None
        name = command.callback.__name__
        code, out, _ = typed(capsys, name, "--help")
        assert code == 0 and f"\n  gpt2-shakespeare {name}" in out
        assert all(len(line) <= 100 for line in out.splitlines())


def test_help_and_completion_take_no_torch():
    code = "import sys, gpt2_shakespeare.command.main; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    done = subprocess.run(
        [sys.executable, "-c", "from gpt2_shakespeare.command.main import main; main()"],
        env=os.environ | {"_GPT2_SHAKESPEARE_COMPLETE": "complete_bash", "COMP_WORDS": "gpt2-shakespeare sa", "COMP_CWORD": "1"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.split() == ["sample"]


def test_a_sample_is_the_prompt_and_its_continuation_and_the_same_each_time(here, capsys):
    code, first, _ = typed(capsys, "sample", "All", "-n", "12")
    assert code == 0 and first.startswith("All") and first.endswith("\n" + "-" * 40 + "\n")
    assert typed(capsys, "sample", "All", "-n", "12", "-m", "finetune/1337")[1] == first
    folder = str(here / AT.model("finetune", 1337))
    assert typed(capsys, "sample", "All", "-n", "12", "-m", folder)[1] == first  # with its own tokenizer.json
    two = typed(capsys, "sample", "All", "-n", "12", "-m", "scratch", "-m", "finetune")[1]
    assert two.endswith(f"== finetune ==\n{first}") and two.startswith("== scratch ==\n")
    assert typed(capsys, "sample", "", "-n", "5", "--samples", "2")[1].count("-" * 40) == 2


def test_it_works_from_a_folder_below_and_from_outside_with_a_folder(here, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(here / "models")
    below = typed(capsys, "sample", "All", "-n", "8", "-m", "demo/finetune/1337")[1]
    monkeypatch.chdir(tmp_path)
    outside = typed(
        capsys, "sample", "All", "-n", "8", "-m", "project/models/demo/finetune/1337", "-t", "0.8"
    )
    assert outside[0] == 0 and outside[1] == below


def on_terminal(here: Path, term: str, *arguments: str, columns: int = 100) -> str:
    """What the command prints in a terminal of its own."""
    import fcntl
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    code = "from gpt2_shakespeare.command.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=here, stdout=slave, stderr=slave, stdin=slave,
        env=os.environ | {"TERM": term},
    )  # fmt: skip
    os.close(slave)
    found = b""
    while True:
        try:
            more = os.read(master, 4096)
        except OSError:  # the other end is closed
            break
        if not more:
            break
        found += more
    os.close(master)
    assert process.wait() == 0, found
    return found.decode()


def test_two_models_stand_side_by_side_in_a_terminal_and_one_after_the_other_in_a_dumb_one(here):
    ask = ("sample", "All", "-n", "8", "-m", "scratch", "-m", "finetune")
    wide = on_terminal(here, "xterm-256color", *ask)
    assert any("scratch" in line and "finetune" in line for line in wide.splitlines()), wide
    for dumb in (on_terminal(here, "dumb", *ask), on_terminal(here, "xterm", *ask, columns=40)):
        assert "== scratch ==" in dumb and "== finetune ==" in dumb and "\x1b" not in dumb


def test_a_text_of_the_users_is_evaluated(here, capsys):
    code, out, _ = typed(
        capsys, "evaluate", "my.txt", "-m", "finetune", "-m", str(here / AT.model("scratch", 1337))
    )
    assert code == 0 and f"{len(TEXT):,} characters" in out
    head, first, second = (line.split() for line in out.splitlines()[1:])
    assert head == ["model", "loss", "perplexity", "bits/char", "tokens"]
    assert first[0] == "finetune" and second[0] == "models/demo/scratch/1337"
    from gpt2_shakespeare.measure.losses import exact_loss
    from gpt2_shakespeare.tokens.corpus import encode

    tokens = encode(tokenizer.load(AT.tokenizer), [TEXT])
    loss, perplexity, bits, count = (float(cell.replace(",", "")) for cell in first[1:])
    assert loss == pytest.approx(exact_loss(gpt(1, vocab_size=TYPES), tokens), abs=1e-4)
    assert perplexity == pytest.approx(math.exp(loss), rel=1e-3) and count == len(tokens)
    assert bits == pytest.approx(loss * len(tokens) / len(TEXT) / math.log(2), rel=1e-3)


def test_what_is_missing_is_said_in_a_line(here, capsys, monkeypatch, tmp_path):
    assert "row scratch_tuned of scale demo is not there yet; run `dvc repro`" in refused(
        capsys, "sample", "x", "-m", "scratch_tuned"
    )
    assert "models/demo/finetune/5: not there; its seeds are 1337" in refused(
        capsys, "sample", "x", "-m", "finetune/5"
    )
    assert "'nobody' is neither a row (base, scratch" in refused(capsys, "sample", "x", "-m", "nobody")
    assert "temperature" in refused(capsys, "sample", "x", "-t", "-1")
    assert "metrics/demo: no readable table.csv" in refused(capsys, "table")
    assert "metrics/demo/page.html: not there; run `dvc repro`" in refused(capsys, "page")
    assert "scale 'huge' is none of demo" in refused(capsys, "table", "--scale", "huge")
    assert "nothing.txt: can't be read: No such file" in refused(capsys, "evaluate", "nothing.txt")
    Path("latin.txt").write_bytes("é".encode("latin-1"))
    assert "not UTF-8 at byte 0" in refused(capsys, "evaluate", "latin.txt")
    Path("empty.txt").touch()
    assert "empty" in refused(capsys, "evaluate", "empty.txt")
    Path("one.txt").write_text("A")
    assert "can't be scored" in refused(capsys, "evaluate", "one.txt")
    (here / AT.model("finetune", 1337) / "model.safetensors").write_bytes(b"broken")
    assert "model.safetensors" in refused(capsys, "sample", "x")
    Path("params.yaml").write_text("scale: [")
    assert "params.yaml: not valid YAML" in refused(capsys, "sample", "x")
    monkeypatch.chdir(tmp_path)
    assert "no project here" in refused(capsys, "sample", "x")
    assert "no project here" in refused(capsys, "table")


def test_a_folder_that_is_none_is_said_in_a_line_before_anything_is_printed(here, capsys, monkeypatch):
    Path("file").write_text("x")
    Path("empty").mkdir()
    for command in ("sample x", "evaluate my.txt"):
        words = [*command.split(), "-m"]
        assert "./empty: no model in this folder (no config.json)" in "./" + refused(
            capsys, *words, "empty/"
        ).removeprefix("gpt2-shakespeare: ")
        assert "'file' is neither a row" in refused(capsys, *words, "file")
        assert "'' is neither a row" in refused(capsys, *words, "")
        for wrong in ("file", "nowhere"):
            said = refused(capsys, *words, "finetune", "--tokenizer", wrong)
            assert f"{wrong}: no such folder; name one with vocab.bpe and encoder.json" in said
    gone = here / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for command in ("sample x", "evaluate my.txt", "table", "page", "doctor --no-speed"):
        assert "the current folder is gone" in refused(capsys, *command.split())
    monkeypatch.chdir(here)


def test_a_read_only_project_is_read(here):
    """As root too, whom rights don't stop."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"]).returncode:
        pytest.skip("no mount namespaces here")
    with_page(here)
    AT.log("base").parent.mkdir(parents=True)
    AT.log("base").write_text("{}")
    program = f"{sys.executable} -c 'from gpt2_shakespeare.command.main import main; main()'"
    script = f"mount --bind . . && mount -o remount,ro,bind . && cd {here} && "
    for command, code, wanted in (
        ("sample All -n 3", 0, "All"),
        ("evaluate my.txt -m scratch", 0, "bits/char"),
        ("page", 0, "open this address"),
        ("page --copy copy.html", 1, "Read-only file system"),
        ("doctor --no-speed", 1, "can't be written"),
    ):
        done = subprocess.run(
            ["unshare", "-rm", "sh", "-c", f"{script}{program} {command}"],
            cwd=here,
            capture_output=True,
            text=True,
        )
        said = done.stdout + done.stderr
        assert (done.returncode, wanted in said, "Traceback" in said) == (code, True, False), said


def test_a_folder_without_a_tokenizer_or_with_another_kind_is_refused(here, capsys):
    folder = here / AT.model("finetune", 1337)
    outside = folder.rename(here / "mine")
    file = outside / "tokenizer.json"
    facts = json.loads(file.read_text())
    for wrong, said in (
        (
            {"model": {"type": "WordPiece", "vocab": {}}, "added_tokens": []},
            "not a tokenizer",
        ),
        (facts | {"model": facts["model"] | {"merges": [["A", "@@"]]}}, "not a tokenizer"),
        (facts | {"pre_tokenizer": None}, "don't give the bytes of a text"),
    ):
        file.write_text(json.dumps(wrong))
        assert said in refused(capsys, "sample", "All", "-m", "./mine")
    file.unlink()
    assert "no tokenizer beside the model" in refused(capsys, "sample", "All", "-m", "./mine")
    assert typed(capsys, "sample", "All", "-n", "3", "-m", "./mine", "--tokenizer", str(AT.tokenizer))[0] == 0


def with_page(here: Path) -> None:
    AT.metrics.mkdir(parents=True)
    (AT.metrics / "page.html").write_text(f"<p></p>{page.SLOT}", encoding="utf-8")


def test_without_a_display_the_page_has_an_address(here, capsys, monkeypatch):
    with_page(here)
    code, out, _ = typed(capsys, "page")
    assert code == 0 and (here / AT.metrics / "page.html").as_uri() in out and "no browser" in out
    opened: list[str] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(page.webbrowser, "open", lambda address: opened.append(address) or True)
    assert typed(capsys, "page")[1].startswith("opened: file://") and len(opened) == 1
    monkeypatch.setattr(page.webbrowser, "open", lambda address: False)
    assert "no browser" in typed(capsys, "page")[1]


def test_a_copy_of_the_page_has_the_conditions_of_the_run(here, capsys):
    with_page(here)
    assert "no stage of scale demo has run here" in refused(capsys, "page", "--copy", "copy.html")
    log = AT.log("base")
    log.parent.mkdir(parents=True)
    log.write_text(json.dumps({"commit": "</script>", "seconds": 2.0}))
    assert typed(capsys, "page", "--copy", "copy.html")[0] == 0
    text = Path("copy.html").read_text()
    assert '"base": {"commit": "\\u003c/script>"' in text and "null" not in text
    AT.log("scratch-7").write_text("{}")  # of a seed that the settings don't have
    assert list(page.conditions(params.load())["stages"]) == ["base"]
    assert "a folder; name a file" in refused(capsys, "page", "--copy", ".")
    (AT.metrics / "page.html").write_text("<p>")
    assert "made by another version" in refused(capsys, "page", "--copy", "copy.html")


def test_a_place_that_can_not_be_written_is_named(here, capsys):
    with_page(here)
    log = AT.log("base")
    log.parent.mkdir(parents=True)
    log.write_text("{}")
    Path("file").touch()
    assert "file" in refused(capsys, "page", "--copy", "file/copy.html")


def test_the_doctor_times_a_scale_whose_tokenizer_is_the_bases(here, capsys, monkeypatch):
    monkeypatch.setattr(doctor, "STEPS", 1)
    raw = Path("params.yaml").read_text()
    changed = raw.replace("{source: bpe, vocab_size: 1024}", "{source: base}").replace(
        "{source: pretrain, corpus: prose}", "{source: path}"
    )
    assert changed != raw
    Path("params.yaml").write_text(changed)
    assert "tokens a second in training" in typed(capsys, "doctor")[1]


def test_the_doctor_goes_on_where_the_model_does_not_fit_and_a_large_scale_needs_room(
    here, capsys, monkeypatch
):
    def too_large(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(doctor, "_speed", too_large)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 5e9))
    micro = Path("params.yaml").read_text()
    Path("params.yaml").write_text(micro.replace("scale: demo", "scale: laptop"))
    out = typed(capsys, "doctor")[1]
    assert "BAD   speed      the scale's model doesn't fit into the free memory of the cpu" in out
    assert "BAD   disk       5 GB free here; 20 are needed" in out


def test_the_doctor_says_what_is_here_and_what_to_mend(here, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "STEPS", 1)
    subprocess.run(["git", "init", "-q"], check=True)
    code, out, _ = typed(capsys, "doctor")
    names = {line[6:17].strip(): line[:4].strip() for line in out.splitlines()}
    assert code == 0 and {
        "Python",
        "torch",
        "CPU",
        "git",
        "DVC",
        "mirror",
        "disk",
        "threads",
        "speed",
    } <= set(names)
    assert "BAD" not in names.values() and "tokens a second" in out
    shutil.rmtree(".git")
    monkeypatch.setenv("GPT2_SHAKESPEARE_MIRROR", "nowhere")
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1))
    code, out, _ = typed(capsys, "doctor", "--no-speed")
    assert "0 GB free here; 2 are needed" in out
    bad = [line.split()[1] for line in out.splitlines() if line.startswith("BAD")]
    assert (
        code == 1
        and bad == ["git", "disk", "folder", "mirror"]
        and out.splitlines()[-1].startswith("4 of these")
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    Path("params.yaml").write_text("scale: 5")
    out = typed(capsys, "doctor", "--no-speed")[1]
    assert "BAD   project" in out and "git        not there" in out


def test_a_reader_that_goes_ends_it_quietly(here):
    code = "from gpt2_shakespeare.command.main import main; main()"
    done = subprocess.run(
        f'"{sys.executable}" -c "{code}" sample All --samples 50 -n 5 | head -1',
        shell=True, executable="/bin/bash", capture_output=True, text=True, cwd=here,
    )  # fmt: skip
    assert done.stdout.startswith("All") and not done.stderr


def test_a_row_and_its_folder_are_the_same(here):
    found = project.settings()
    assert project.resolve("finetune", None, found) == project.resolve("finetune/1337", None, found)
    assert project.default_model(found) == "finetune"
