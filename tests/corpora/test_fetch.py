"""Files are fetched from mirrors and public addresses, all or none, by one process at a time."""

import errno
import hashlib
import logging
import os
import signal
import subprocess
import sys
import time
from itertools import repeat
from pathlib import Path

import pytest
import servers
from downloads import DATA, DEAD, SHA256, WRONG, left_over, no_sockets, ranges

from gpt2_shakespeare.corpora import transfer
from gpt2_shakespeare.corpora.assets import Asset, AssetError
from gpt2_shakespeare.corpora.fetch import MIRROR_VARIABLE, fetch

pytestmark = pytest.mark.usefixtures("impatient")


def test_fetches_a_file(server, asset, tmp_path):
    assert fetch([asset], tmp_path / "data") == [tmp_path / "data" / "f.txt"]
    assert (tmp_path / "data" / "f.txt").read_bytes() == DATA
    assert os.listdir("data") == ["f.txt"] and left_over() == []


def test_intact_files_open_no_socket(asset, tmp_path, monkeypatch):
    (tmp_path / "f.txt").write_bytes(DATA)
    no_sockets(monkeypatch)
    assert fetch([asset], tmp_path) == [tmp_path / "f.txt"]
    assert not Path(".downloads").exists()


def test_a_damaged_file_is_replaced(asset, tmp_path, caplog):
    (tmp_path / "f.txt").write_bytes(WRONG)
    fetch([asset], tmp_path)
    assert (tmp_path / "f.txt").read_bytes() == DATA
    assert "f.txt is damaged" in caplog.text


def test_with_nothing_in_reach_the_error_says_what_to_do(tmp_path):
    asset = Asset("some/f.txt", f"{DEAD}/f.txt", SHA256, len(DATA))
    with pytest.raises(AssetError) as error:
        fetch([asset], tmp_path / "data")
    for part in (
        f"some/f.txt: {DEAD}/f.txt: can't be reached",
        MIRROR_VARIABLE + "=",
        "-S scale=demo",
    ):
        assert part in str(error.value)
    assert not (tmp_path / "data").exists()


def test_a_hundred_missing_files_make_a_short_error_and_one_attempt(server, tmp_path):
    many = [Asset(f"{i}.txt", f"{server.address}/{i}.txt", f"{i:064x}", 9) for i in range(100)]
    server.faults["/0.txt"] = repeat(servers.status(503))
    with pytest.raises(AssetError, match="100 of 100 files") as error:
        fetch(many, tmp_path / "data")
    assert "... and 97 more" in str(error.value) and len(str(error.value).splitlines()) == 6
    assert len(server.seen) == 1 + transfer.RETRIES


def test_all_or_none_but_nothing_is_fetched_twice(server, asset, tmp_path):
    server.files["/g.txt"] = b"late"
    late = Asset("g.txt", f"{server.address}/g.txt", hashlib.sha256(b"late").hexdigest(), 4)
    server.faults["/g.txt"] = iter([servers.status(404)])
    with pytest.raises(AssetError, match="1 of 2 files"):
        fetch([asset, late], tmp_path / "data")
    assert not (tmp_path / "data").exists()
    fetch([asset, late], tmp_path / "data")
    assert [path for _, path, _ in server.seen] == ["/f.txt", "/g.txt", "/g.txt"]


def test_a_folder_that_can_not_be_written_is_named(asset, tmp_path):
    (tmp_path / "data").write_text("a file, where a folder is wanted")
    with pytest.raises(AssetError, match="can't write to .* or .*data"):
        fetch([asset], tmp_path / "data")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (OSError(), "OSError"),
        (OSError("the disk says\nsomething odd"), "the disk says something odd"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "No space left on device"),
    ],
    ids=["bare", "two lines", "with errno"],
)
def test_a_disk_that_fails_ends_in_one_line(asset, tmp_path, monkeypatch, fault, reason):
    def fail(_):
        raise fault

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(AssetError) as error:
        fetch([asset], tmp_path / "data")
    message = str(error.value)
    assert message.startswith("can't write to .downloads or ") and "\n" not in message
    assert f"{reason}; check space and rights" in message
    assert os.listdir("data") == [] and left_over() == [SHA256]


# Mirrors


def test_a_mirror_folder_comes_first(server, asset, tmp_path, monkeypatch):
    mirror = tmp_path / "my mirror"
    mirror.mkdir()
    (mirror / "f.txt").write_bytes(DATA)
    monkeypatch.setenv(MIRROR_VARIABLE, str(mirror))
    no_sockets(monkeypatch)
    (path,) = fetch([asset], tmp_path / "data")
    assert path.read_bytes() == DATA


def test_several_mirrors_are_tried_in_order(server, asset, tmp_path, monkeypatch, caplog):
    nowhere = tmp_path / "nowhere"
    monkeypatch.setenv(MIRROR_VARIABLE, f"{nowhere}; {server.address}/mirror/")
    fetch([asset], tmp_path)
    assert [path for _, path, _ in server.seen] == ["/mirror/f.txt"]
    assert f"there is no folder {nowhere}" in caplog.text


@pytest.mark.parametrize(
    "fault", [servers.status(500), servers.status(429, **{"Retry-After": "0"}), servers.html]
)
def test_a_mirror_that_fails_is_passed_over(server, asset, tmp_path, fault, caplog):
    server.faults["/mirror/f.txt"] = repeat(fault)
    fetch([asset], tmp_path, mirrors=[f"{server.address}/mirror"])
    assert server.seen[-1][1] == "/f.txt"
    assert f"{server.address}/mirror/f.txt: " in caplog.text


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (servers.slow(0.01), "too slow"),
        (servers.status(302, Location="http://[::"), "Invalid IPv6 URL"),
    ],
)
def test_after_a_mirror_that_is_slow_or_leads_nowhere_comes_the_next(
    server, asset, tmp_path, monkeypatch, caplog, fault, reason
):
    monkeypatch.setattr(transfer, "LEAST_SPEED", 1_000_000)
    server.faults["/mirror/f.txt"] = repeat(fault)
    fetch([asset], tmp_path, mirrors=[f"{server.address}/mirror"])
    assert [path for _, path, _ in server.seen] == ["/mirror/f.txt", "/f.txt"]
    assert (tmp_path / "f.txt").read_bytes() == DATA
    assert f"{server.address}/mirror/f.txt: " in caplog.text and reason in caplog.text


def test_a_mirror_that_is_too_slow_is_not_asked_again(server, asset, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "LEAST_SPEED", 1_000_000)
    server.files |= {"/g.txt": DATA + b"!", "/mirror/g.txt": DATA + b"!"}
    other = Asset("g.txt", f"{server.address}/g.txt", hashlib.sha256(DATA + b"!").hexdigest(), len(DATA) + 1)
    server.faults["/mirror/f.txt"] = repeat(servers.slow(0.01))
    fetch([asset, other], tmp_path, mirrors=[f"{server.address}/mirror"])
    assert [path for _, path, _ in server.seen] == ["/mirror/f.txt", "/f.txt", "/g.txt"]


@pytest.mark.parametrize(
    ("mirror", "reason"),
    [
        ("~nobody-of-this-name/assets", "home directory"),
        ("m" * 300, "File name too long"),
        ("http://[::", "can't be reached"),
        ("folders", "Is a directory"),
    ],
)
def test_a_mirror_that_is_none_is_named(server, asset, tmp_path, caplog, mirror, reason):
    Path("folders/f.txt").mkdir(parents=True)
    fetch([asset], tmp_path, mirrors=[mirror])
    assert (tmp_path / "f.txt").read_bytes() == DATA
    (warning,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.startswith(f"{mirror}/f.txt: ") and reason in warning


def test_what_a_cut_mirror_gave_the_next_source_continues(server, asset, tmp_path):
    server.faults["/mirror/f.txt"] = iter([servers.cut(100_000), *[servers.status(404)] * 9])
    fetch([asset], tmp_path, mirrors=[f"{server.address}/mirror"])
    method, path, wanted = server.seen[-1]
    assert path == "/f.txt" and wanted is not None


def test_a_mirror_without_the_file_is_no_news(server, asset, tmp_path, caplog):
    (tmp_path / "mirror").mkdir()
    fetch([asset], tmp_path, mirrors=[str(tmp_path / "mirror")])
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    del server.files["/f.txt"]
    (tmp_path / "f.txt").unlink()
    with pytest.raises(AssetError, match="mirror/f.txt: No such file or directory; .*HTTP 404"):
        fetch([asset], tmp_path, mirrors=[str(tmp_path / "mirror")])


def test_a_damaged_file_in_a_mirror_is_reported_by_name(asset, tmp_path, caplog):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "f.txt").write_bytes(WRONG)
    fetch([asset], tmp_path / "data", mirrors=[str(mirror)])
    (warning,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert str(mirror / "f.txt") in warning and "damaged" in warning
    assert hashlib.sha256(WRONG).hexdigest() in warning and SHA256 in warning


def test_when_all_fail_each_source_has_its_reason(server, asset, tmp_path):
    (tmp_path / "f.txt").write_bytes(WRONG)
    del server.files["/f.txt"]
    with pytest.raises(AssetError) as error:
        fetch([asset], tmp_path / "data", mirrors=[str(tmp_path), DEAD])
    for reason in (f"{tmp_path}/f.txt: the mirror's file is damaged", f"{DEAD}/f.txt: can't", "HTTP 404"):
        assert reason in str(error.value)


# Two at once, and kills


def download(asset: Asset, **settings: float) -> subprocess.Popen:
    """A process that fetches into data/, with constants of `transfer` set."""
    code = "; ".join(
        [
            "from pathlib import Path",
            "from gpt2_shakespeare.corpora import assets, fetch, transfer",
            *(f"transfer.{name} = {value}" for name, value in settings.items()),
            f"fetch.fetch([assets.{asset}], Path('data'))",
        ]
    )
    source = str(Path(transfer.__file__).parents[2])
    return subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": source})


def test_of_two_at_once_one_downloads(server, asset):
    server.faults["/f.txt"] = iter([servers.late(1)])
    both = [download(asset), download(asset)]
    assert [process.wait(20) for process in both] == [0, 0]
    assert len(server.seen) == 1
    assert Path("data/f.txt").read_bytes() == DATA


def test_killed_in_a_download_leaves_no_file_and_the_next_goes_on(server, asset):
    server.faults["/f.txt"] = iter([servers.hang(after=100_000)])
    process = download(asset, READ_TIMEOUT=60)
    part = Path(".downloads") / SHA256
    deadline = time.monotonic() + 8  # the server holds the line for 10 s
    while not (part.exists() and part.stat().st_size > 80_000):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    assert not Path("data").exists()
    have = part.stat().st_size
    fetch([asset], Path("data"))
    assert ranges(server) == [None, f"bytes={have}-"]
    assert Path("data/f.txt").read_bytes() == DATA and left_over() == []
