"""Files on disk: checked against a hash, and installed so that none is ever half written."""

import hashlib
import os
import shutil
from pathlib import Path


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


def install(source: Path, target: Path) -> None:
    """Copies a file so that `target` is never half written, not even after a power cut."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temp = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with source.open("rb") as reader, temp.open("wb") as writer:
            shutil.copyfileobj(reader, writer)
            writer.flush()
            os.fsync(writer.fileno())
        os.replace(temp, target)
    finally:
        temp.unlink(missing_ok=True)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
