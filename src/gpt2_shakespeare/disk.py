"""Files on disk: written so that none is ever half there, read only if they are what they should be."""

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from gpt2_shakespeare.errors import UserError, printable

LFS_POINTER = b"version https://git-lfs.github.com/spec/"  # how Git LFS's stand-ins for files begin


class FileError(UserError, ValueError):
    """A file can't be read or written; the message names it and the reason."""


# --- writing -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def aside(target: Path, folder: bool = False) -> Iterator[Path]:
    """A path beside `target` to write to; after the block it takes the place of `target`, in one go.

    What was there before stays until then, and stays for good if the block raises. A link is replaced, not followed.
    The bytes are on the disk before the name is, so that not even a power cut leaves half a file. Rights are those of
    any new file, whatever the writer gives its own.

    Args:
        target: its folder is made if needed.
        folder: whether a folder is written, not a file; it is given empty.

    Raises:
        OSError: of the disk, always with a number and the name of a file.
    """
    # the same name for all, so that what a kill leaves goes with the next run
    temp = target.with_name(f".{target.name}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove(temp)  # of a process that was killed
        temp.mkdir() if folder else temp.touch()
        mode = temp.stat().st_mode & 0o666
        yield temp
        for path in (*(temp.rglob("*") if folder else ()), temp):
            if not path.is_dir():
                path.chmod(mode)
            _sync(path)
        if folder or (target.is_dir() and not target.is_symlink()):
            remove(target)
        os.replace(temp, target)
        _sync(target.parent)
    except (OSError, SafetensorError) as error:
        if isinstance(error, OSError) and error.errno and error.filename not in (None, str(temp)):
            raise
        # numpy and safetensors tell neither number nor file
        number = getattr(error, "errno", None) or errno.EIO
        said = " ".join(str(getattr(error, "strerror", None) or error).split())
        reason = printable(said, 200) or type(error).__name__
        raise OSError(number, reason, str(target)) from None
    finally:
        with contextlib.suppress(OSError):
            remove(temp)


def install(source: Path, target: Path) -> None:
    """Copy a file so that `target` is never half written."""
    with aside(target) as temp:
        shutil.copyfile(source, temp)


def write_text(target: Path, text: str) -> None:
    """Write a text as UTF-8 with its line ends as they are; see `aside`."""
    with aside(target) as temp:
        temp.write_text(text, encoding="utf-8", newline="")


def write_json(target: Path, value: Any, **layout: Any) -> None:
    """Write JSON; see `aside`.

    Args:
        layout: of json.dumps.

    Raises:
        FileError: a number in it is not finite, which JSON doesn't have; the message names it.
    """
    if wrong := _not_finite(value):
        raise FileError(f"{target}: not written, as {wrong}, which is no figure")
    write_text(target, json.dumps(value, allow_nan=False, **layout) + "\n")


def _not_finite(value: Any, name: str = "") -> str | None:
    """The first number in a value for JSON that is not finite, by its keys; None if there is none."""
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{name or 'it'} is {value}"
    if isinstance(value, dict | list | tuple):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return next((w for key, v in pairs if (w := _not_finite(v, f"{name}.{key}".lstrip(".")))), None)
    return None


def remove(path: Path) -> None:
    """Delete a file, a link or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- reading -----------------------------------------------------------------------------------------------------


def require_file(path: Path) -> int:
    """The size of a plain file (or of one that a link leads to), in bytes.

    Raises:
        FileError: it is not there, is something else (a pipe would be waited for without end), or is a Git LFS pointer.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise FileError(f"{path}: can't be read: not a file")
        with path.open("rb") as file:
            if file.read(len(LFS_POINTER)) == LFS_POINTER:
                raise FileError(
                    f"{path}: only a Git LFS pointer; run `git lfs pull` in the repository that it comes from"
                )
    except OSError as error:
        raise FileError(f"{path}: can't be read: {error.strerror}") from None
    except ValueError as error:  # a name with a null byte
        raise (
            error if isinstance(error, FileError) else FileError(f"{printable(str(path))}: {error}")
        ) from None
    return found.st_size


def read_json(path: Path, largest: int = 2**20) -> dict[str, Any]:
    """A JSON object; a byte order mark before it is dropped.

    Args:
        largest: bytes; a file that is larger is refused unread.

    Raises:
        FileError: as `require_file`; or it is larger, or no JSON object.
    """
    if (size := require_file(path)) > largest:
        raise FileError(f"{path}: {size} bytes are too many for it")
    try:
        found = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise FileError(f"{path}: can't be read: {error.strerror}") from None
    except RecursionError:
        raise FileError(f"{path}: not JSON: nested too deeply") from None
    except ValueError as error:
        raise FileError(f"{path}: not JSON: {printable(str(error), 200)}") from None
    if not isinstance(found, dict):
        raise FileError(f"{path}: not a JSON object")
    return found


def mismatch(path: Path, digest: str, size: int | None = None) -> str | None:
    """What is wrong with a file's bytes, or None.

    Args:
        path: the file.
        digest: in hex; 64 digits are a sha256, 40 git's name for it (sha1 of "blob <size>\\0" and bytes).
        size: in bytes, where known.
    """
    with path.open("rb") as file:
        have = os.fstat(file.fileno()).st_size
        if len(digest) == 64:
            kind, hasher = "sha256", hashlib.sha256()
        else:
            kind, hasher = "git blob", hashlib.sha1(b"blob %d\0" % have, usedforsecurity=False)
        got = hashlib.file_digest(file, lambda: hasher).hexdigest()
    if got == digest and size in (None, have):
        return None
    expected = digest if size is None else f"{digest} ({size} bytes)"
    return f"got {kind} {got} ({have} bytes), expected {expected}"
