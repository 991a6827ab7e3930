"""Fetching the files of the registry from mirrors and public addresses.

A download goes to a folder of its own first, under the name of its sha256. There it survives a lost connection, a
kill and DVC's deleting of a stage's outputs, and the next run continues from it. Only checked files leave.
"""

import contextlib
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

import requests
from filelock import FileLock, Timeout
from tqdm import tqdm

from gpt2_shakespeare.corpora.assets import Asset, AssetError
from gpt2_shakespeare.corpora.transfer import Absent, Down, Refused, download, open_session, plain
from gpt2_shakespeare.disk import install, mismatch

log = logging.getLogger(__name__)

MIRROR_VARIABLE = "GPT2_SHAKESPEARE_MIRROR"
"""Environment variable naming mirrors, tried in order before the public addresses. Each is a folder or an
http(s) address that holds the files under the same relative paths; several are separated by `;`, which,
unlike a space, hardly occurs in either."""

LOCK_TIMEOUT = 3600.0  # seconds to wait for another download to end
SHOWN = 3  # of many missing files, how many an error spells out


def fetch(
    assets: Iterable[Asset],
    into: Path,
    *,
    partial: Path = Path(".downloads"),
    mirrors: Sequence[str] | None = None,
) -> list[Path]:
    """Puts each asset at `into / asset.path`, all of them or none.

    Whatever is there and intact is used as it is, and if that is everything no socket is opened. The rest is
    sought on each mirror in turn, then at its public address. Size and sha256 are checked for all of them.

    Args:
        assets: what to fetch.
        into: the folder to fill.
        partial: where unfinished downloads wait, named by their sha256, out of DVC's reach. Its lock lets one
            download run at a time, so of two at once the second finds the first one's files.
        mirrors: folders or http(s) addresses; None reads the environment variable `MIRROR_VARIABLE`.

    Returns:
        The paths, in the order of `assets`.

    Raises:
        AssetError: a file is nowhere to be had, or the disk can't be written.
    """
    paths = {asset: into / asset.path for asset in assets}
    missing = [asset for asset, path in paths.items() if not is_intact(path, asset)]
    if missing:
        log.info("fetching %d files to %s", len(missing), into)
        with alone(partial, into):
            missing = [asset for asset in missing if not is_intact(paths[asset], asset)]
            _obtain_all(missing, partial, known_mirrors() if mirrors is None else mirrors)
            for asset in missing:
                install(partial / asset.sha256, paths[asset])
            for asset in paths:
                (partial / asset.sha256).unlink(missing_ok=True)
    return list(paths.values())


def known_mirrors() -> list[str]:
    """The mirrors that `MIRROR_VARIABLE` names."""
    listed = os.environ.get(MIRROR_VARIABLE, "").split(";")
    return [mirror.strip() for mirror in listed if mirror.strip()]


@contextlib.contextmanager
def alone(partial: Path, into: Path) -> Iterator[None]:
    """One download at a time, and a failing disk as one line.

    Raises:
        AssetError: another one doesn't end, or the disk can't be written.
    """
    try:
        partial.mkdir(parents=True, exist_ok=True)
        with FileLock(partial / "lock", timeout=LOCK_TIMEOUT):
            yield
    except Timeout as error:
        raise AssetError(
            f"{partial / 'lock'}: another download has held it for {LOCK_TIMEOUT:.0f} s; end that or wait"
        ) from error
    except OSError as error:  # those of the sources have been caught
        raise AssetError(
            f"can't write to {partial} or {into}: {plain(error)}; check space and rights"
        ) from error


def is_intact(path: Path, asset: Asset) -> bool:
    """Whether the file is there and right; a wrong one is worth a warning, as it will be replaced."""
    if not path.is_file():
        return False
    wrong = mismatch(path, asset.sha256, asset.size)
    if wrong:
        log.warning("%s is damaged and will be replaced: %s", path, wrong)
    return not wrong


def _obtain_all(assets: Sequence[Asset], partial: Path, mirrors: Sequence[str]) -> None:
    """Brings each asset's checked bytes to `partial / sha256`; AssetError names all that could not be had."""
    failures: dict[Asset, list[str]] = {}
    down: dict[str, str] = {}
    with open_session() as session:
        for asset in tqdm(assets, desc="download", unit="file", leave=False, disable=None):
            reasons = obtain(asset, partial / asset.sha256, mirrors, session, down)
            if reasons is not None:
                failures[asset] = reasons
    if not failures:
        return
    lines = [f"{len(failures)} of {len(assets)} files could not be fetched:"]
    lines += [f"  {asset.path}: {'; '.join(reasons)}" for asset, reasons in list(failures.items())[:SHOWN]]
    if len(failures) > SHOWN:
        lines.append(f"  ... and {len(failures) - SHOWN} more")
    lines.append(
        f"Put them under a folder by these same paths and set {MIRROR_VARIABLE}=/path/to/folder (or to an "
        "http(s) address that has them), or run the built-in scale, which downloads nothing: "
        "dvc exp run -S scale=demo"
    )
    raise AssetError("\n".join(lines))


def obtain(
    asset: Asset, part: Path, mirrors: Sequence[str], session: requests.Session, down: dict[str, str]
) -> list[str] | None:
    """Brings one asset's checked bytes to `part`; returns None, or why each of its sources failed.

    `down` maps a source that is out of reach to the reason; what it names is not asked again.
    """
    if part.exists() and part.stat().st_size == asset.size and not mismatch(part, asset.sha256, asset.size):
        return None
    reasons = []
    for origin, address in _sources(asset, mirrors):
        try:
            if origin in down:
                raise Refused(down[origin])
            if _is_http(address):
                download(session, address, asset, part)
            else:
                _copy(origin, asset, part)
            log.debug("%s: fetched from %s", asset.path, address)
            return None
        except Refused as refusal:
            if origin not in down and not isinstance(refusal, Absent):
                log.warning("%s: %s", address, refusal)
            if isinstance(refusal, Down):
                down[origin] = str(refusal)
            reasons.append(f"{address}: {refusal}")
    return reasons


def _sources(asset: Asset, mirrors: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Where to look, in order: (what is down if it is down, the file's own address)."""
    for mirror in mirrors:
        yield mirror, f"{mirror.rstrip('/')}/{quote(asset.path) if _is_http(mirror) else asset.path}"
    if asset.url:
        yield urlsplit(asset.url).netloc, asset.url


def _is_http(address: str) -> bool:
    return address.startswith(("http://", "https://"))


def _copy(mirror: str, asset: Asset, part: Path) -> None:
    """Brings a file from a mirror's folder; it is checked where it lies, so that a damaged one costs no partial download.

    Raises:
        Refused, Absent, Down: the mirror can't give the file.
        OSError: the copy can't be written.
    """
    try:
        folder = Path(mirror).expanduser()
        if not folder.is_dir():
            raise Down(f"there is no folder {mirror}")
        wrong = mismatch(folder / asset.path, asset.sha256, asset.size)
    except FileNotFoundError as error:
        raise Absent(str(error.strerror)) from error
    except (OSError, RuntimeError, ValueError) as error:  # a RuntimeError where there is no such home
        raise Refused(getattr(error, "strerror", None) or plain(error)) from error
    if wrong:
        raise Refused(f"the mirror's file is damaged: {wrong}")
    shutil.copyfile(folder / asset.path, part)
    if wrong := mismatch(part, asset.sha256, asset.size):
        part.unlink()
        raise Refused(f"damaged in copying: {wrong}")
