"""Files written aside and renamed, JSON from anywhere, and names that are safe to show."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gpt2_shakespeare import disk
from gpt2_shakespeare.disk import FileError
from gpt2_shakespeare.errors import printable


def writers():
    def text(path):
        path.write_text("new")

    def numpy(path):
        with path.open("wb") as file:
            np.save(file, np.arange(9))

    def safetensors(path):  # which gives its files the mode 0600
        save_file({"a": torch.ones(9)}, path)

    return [text, numpy, safetensors]


@pytest.mark.parametrize("write", writers())
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_rights_are_those_of_any_new_file(tmp_path, write, umask, mode):
    before = os.umask(umask)
    try:
        with disk.aside(tmp_path / "sub" / "file") as temp:
            write(temp)
        with disk.aside(tmp_path / "folder", folder=True) as temp:
            write(temp / "file")
    finally:
        os.umask(before)
    for folder in ("sub", "folder"):
        assert (tmp_path / folder / "file").stat().st_mode & 0o777 == mode
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "file", "folder", "sub"]


def test_what_was_there_stays_if_writing_fails(tmp_path):
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(RuntimeError), disk.aside(target) as temp:
        temp.write_text("half")
        assert target.read_text() == "old"
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and target.read_text() == "old"


def test_what_a_killed_process_has_left_goes_and_all_else_stays(tmp_path):
    others = {".file.swp", ".file.20240101", ".other.new"}
    for name in (".file.new", *others):
        (tmp_path / name).write_text("half")
    disk.write_text(tmp_path / "file", "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"file", *others}


def test_a_link_is_replaced_and_what_it_leads_to_is_not_written(tmp_path):
    """DVC's cache, with cache.type symlink or hardlink."""
    cache, soft, hard = (tmp_path / name for name in ("cache", "soft", "hard"))
    cache.write_text("old")
    soft.symlink_to(cache)
    os.link(cache, hard)
    for target in (soft, hard):
        disk.write_text(target, "new")
        assert target.read_text() == "new" and not target.is_symlink()
    assert cache.read_text() == "old"


def test_a_folder_takes_the_place_of_one(tmp_path):
    for content in ("1", "2"):
        with disk.aside(tmp_path / "out", folder=True) as temp:
            (temp / content).write_text(content)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["2"]


@pytest.mark.parametrize(
    "writer", ["np.save(file, np.zeros(10**6))", "save_file({'a': torch.zeros(10**6)}, temp)"]
)
def test_on_a_full_disk_the_error_has_a_number_and_the_files_name(tmp_path, writer):
    """numpy's and safetensors' own errors have neither. On a file system of 1 MB in a mount namespace of our own."""
    script = f"""
import sys; sys.path.insert(0, {str(Path(disk.__file__).parents[1])!r})
from pathlib import Path; import numpy as np, torch; from safetensors.torch import save_file
from gpt2_shakespeare import disk
target = Path({str(tmp_path / "small" / "file")!r})
try:
    with disk.aside(target) as temp, temp.open("wb") as file:
        {writer}
except OSError as error:
    print(error.errno, error.filename, "|", error.strerror, "|", list(target.parent.iterdir()))
"""
    (tmp_path / "small").mkdir()
    mount = f"mount -t tmpfs -o size=1m none '{tmp_path}/small' && exec '{sys.executable}' -c \"$0\""
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", mount, script], capture_output=True, text=True
    )
    if done.returncode and "mount" in done.stderr:
        pytest.skip(f"no mount namespaces here: {done.stderr.strip()}")
    number, _, rest = done.stdout.strip().partition(" ")
    assert int(number) in (errno.ENOSPC, errno.EIO), done.stdout + done.stderr
    assert rest.startswith(f"{tmp_path}/small/file | ") and rest.endswith("| []")


def test_numbers_that_json_lacks_are_not_written(tmp_path):
    for value in (float("nan"), float("inf")):
        with pytest.raises(FileError, match=f"file: not written, as kinds.1.loss is {value}"):
            disk.write_json(tmp_path / "file", {"kinds": [{"loss": 1.0}, {"loss": value}]})
    assert not list(tmp_path.iterdir())
    disk.write_json(tmp_path / "file", {"loss": 1.5}, indent=2)
    assert json.loads((tmp_path / "file").read_text()) == {"loss": 1.5}


def test_json_is_read_with_and_without_a_mark(tmp_path):
    for mark in (b"", b"\xef\xbb\xbf"):
        (tmp_path / "a.json").write_bytes(mark + b'{"a": 1}')
        assert disk.read_json(tmp_path / "a.json") == {"a": 1}


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a": \xff}', "not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b" " * (2**20 + 1), "too many"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n", "git lfs pull"),
    ],
)
def test_json_that_is_none_is_refused_in_a_line(tmp_path, content, word):
    file = tmp_path / "a.json"
    file.write_bytes(content)
    refused(file, word)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "not a file")
    refused(tmp_path, "not a file")
    refused(tmp_path / "nothing", "No such file")
    (tmp_path / "link").symlink_to("link")
    refused(tmp_path / "link", "symbolic links")
    (tmp_path / "dangling").symlink_to("nothing")
    refused(tmp_path / "dangling", "No such file")


def refused(file, word):
    with pytest.raises(FileError, match=word) as error:
        disk.read_json(file)
    assert str(error.value).startswith(f"{file}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 漢", "plain é 漢"),
        ("a\nb\x1b[31m\r\x00", r"a\nb\x1b[31m\r\x00"),
        ("\u202eabc\u2028\udc80", r"\u202eabc\u2028\udc80"),
        ("x" * 200, "x" * 80 + "..."),
        pytest.param(10**5000, "a number with too many digits", id="digits"),
    ],
)
def test_names_from_elsewhere_are_escaped_and_cut(text, shown):
    assert printable(text) == shown
