"""Every file that comes from outside: where it lies, what its bytes must be, and how to fetch it safely.

A download goes to a folder of its own first, under the name of its sha256. There it survives a cut line, a
kill and DVC's deleting of a stage's outputs, and the next run goes on from it. Only checked files leave.
"""

import hashlib
import logging
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import requests
from filelock import FileLock, Timeout
from requests.adapters import HTTPAdapter
from tqdm import tqdm
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util import Retry

from gpt2_shakespeare.errors import UserError

log = logging.getLogger(__name__)

MIRROR_VARIABLE = "GPT2_SHAKESPEARE_MIRROR"
"""Environment variable naming mirrors, tried in order before the public addresses. Each is a folder or an
http(s) address that holds the files under the same relative paths; several are separated by `;`, which,
unlike a space, hardly occurs in either."""

CONNECT_TIMEOUT = 10.0  # seconds
READ_TIMEOUT = 30.0  # seconds without a byte
RETRIES = 3  # of a request refused with "later" (429, 5xx), and of a transfer that was cut
BACKOFF = 1.0  # seconds before the second retry; doubles
MAX_WAIT = 60.0  # seconds; a server that asks for more than this is not worth waiting for
LOCK_TIMEOUT = 3600.0  # seconds to wait for another download to end
CHUNK = 1 << 14  # bytes; what a cut transfer may lose
LATER = (429, 500, 502, 503, 504)
SHOWN = 3  # of many missing files, how many an error spells out


class AssetError(UserError, RuntimeError):
    """A file can't be had; the message says which, from where, and what to do."""


class _Refused(Exception):
    """One source can't give one file; the message says why."""


class _Down(_Refused):
    """Nor will it give another: the source doesn't answer, or only with "later"."""


class _Cut(Exception):
    """A transfer broke off; it can go on from what has arrived."""


@dataclass(frozen=True)
class Asset:
    """A pinned file. `path` is relative to a mirror's root; `sha256` is in hex, `size` in bytes."""

    path: str
    url: str
    sha256: str
    size: int


_RAW = "https://raw.githubusercontent.com"
_CHAR_RNN = f"{_RAW}/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare"
_GPT2 = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main"
_EXAMPLES = f"{_RAW}/pytorch/examples/77f55b912142e11fcfdf5b530231fb9c52f181e8"
_NOVELS = f"{_RAW}/computationalstylistics/100_english_novels/143e601875d70e195f2cc5ebd8b034609271194d/corpus"

TINY_SHAKESPEARE = Asset(
    "tinyshakespeare/input.txt",
    f"{_CHAR_RNN}/input.txt",
    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    1_115_394,
)
GPT2_BPE = (
    Asset(
        "gpt2/vocab.bpe",
        f"{_GPT2}/vocab.bpe",
        "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
        456_318,
    ),
    Asset(
        "gpt2/encoder.json",
        f"{_GPT2}/encoder.json",
        "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
        1_042_301,
    ),
)
WIKITEXT2_TEST = Asset(
    "wikitext-2/test.txt",
    f"{_EXAMPLES}/word_language_model/data/wikitext-2/test.txt",
    "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
    1_256_449,
)


def _read_novels() -> Iterator[Asset]:
    """One line of the table for each: name, bytes, sha256."""
    for line in Path(__file__).with_name("novels.tsv").read_text(encoding="ascii").splitlines():
        name, size, sha256 = line.split("\t")
        yield Asset(f"english-novels/{name}.txt", f"{_NOVELS}/{name}.txt", sha256, int(size))


NOVELS = tuple(_read_novels())
NOVELS_HELD_OUT = (
    "Conrad_Rover_1923",
    "Gissing_Unclassed_1884",
    "Meredith_Marriage_1895",
    "Woolf_Years_1937",
)

HUB_NAMES = {
    "gpt2": ("openai-community/gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e"),
    "gpt2-medium": ("openai-community/gpt2-medium", "6dcaa7a952f72f9298047fd5137cd6e4f05f41da"),
    "gpt2-large": ("openai-community/gpt2-large", "32b71b12589c2f8d625668d2335a01cac3249519"),
    "gpt2-xl": ("openai-community/gpt2-xl", "15ea56dee5df4983c59b2538573817e1667135e2"),
}
"""Short name -> (repository, pinned revision)."""

HUB_PINS: dict[str, tuple[str, dict[str, tuple[str, int]]]] = {
    "openai-community/gpt2": (
        "607a30d783dfa663caf39e06633721c8d4cfcd7e",
        {
            "config.json": ("0daed7749b4f02b8f76240d5444551d7b08712dab4d0adb8239c56ba823bb7b4", 665),
            "generation_config.json": (
                "ed0b32ac72c0f5f44a719abb2d7786ea5146c871f83717b7f2018065954de02b",
                124,
            ),
            "model.safetensors": (
                "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
                548_105_171,
            ),
        },
    ),
}
"""Repository -> (revision, file -> (sha256, bytes))."""

HUB_FILES = ("config.json", "generation_config.json", "model.safetensors")  # never a pickle
HUB_OPTIONAL = "generation_config.json"


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
    missing = [asset for asset, path in paths.items() if not _is_intact(path, asset)]
    if missing:
        if mirrors is None:
            listed = os.environ.get(MIRROR_VARIABLE, "").split(";")
            mirrors = [mirror.strip() for mirror in listed if mirror.strip()]
        log.info("fetching %d files to %s", len(missing), into)
        try:
            partial.mkdir(parents=True, exist_ok=True)
            with FileLock(partial / "lock", timeout=LOCK_TIMEOUT):
                missing = [asset for asset in missing if not _is_intact(paths[asset], asset)]
                _obtain_all(missing, partial, mirrors)
                for asset in missing:
                    _install(partial / asset.sha256, paths[asset])
                for asset in paths:
                    (partial / asset.sha256).unlink(missing_ok=True)
        except Timeout as error:
            raise AssetError(
                f"{partial / 'lock'}: another download has held it for {LOCK_TIMEOUT:.0f} s; end that or wait"
            ) from error
        except OSError as error:
            raise AssetError(
                f"can't write to {partial} or {into}: {error}; check space and rights"
            ) from error
    return list(paths.values())


def _obtain_all(assets: Sequence[Asset], partial: Path, mirrors: Sequence[str]) -> None:
    """Brings each asset's checked bytes to `partial / sha256`; AssetError names all that could not be had."""
    failures: dict[Asset, list[str]] = {}
    down: dict[str, str] = {}
    with _session() as session:
        for asset in tqdm(assets, desc="download", unit="file", leave=False, disable=None):
            reasons = _obtain(asset, partial / asset.sha256, mirrors, session, down)
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


def _obtain(
    asset: Asset, part: Path, mirrors: Sequence[str], session: requests.Session, down: dict[str, str]
) -> list[str] | None:
    """Brings one asset's checked bytes to `part`; returns None, or why each of its sources failed.

    `down` maps a source that is out of reach to the reason; what it names is not asked again.
    """
    if part.exists() and part.stat().st_size == asset.size and not _mismatch(part, asset.sha256, asset.size):
        return None
    reasons = []
    for origin, address in _sources(asset, mirrors):
        try:
            if origin in down:
                raise _Refused(down[origin])
            if _is_http(address):
                _download(session, address, asset, part)
            elif Path(origin).expanduser().is_dir():
                _copy_from_mirror(Path(address), asset, part)
            else:
                raise _Down(f"there is no folder {origin}")
            log.debug("%s: fetched from %s", asset.path, address)
            return None
        except _Refused as refusal:
            if origin not in down:
                log.warning("%s: %s", address, refusal)
            if isinstance(refusal, _Down):
                down[origin] = str(refusal)
            reasons.append(f"{address}: {refusal}")
    return reasons


def _sources(asset: Asset, mirrors: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Where to look, in order: (what is down if it is down, the file's own address)."""
    for mirror in mirrors:
        if _is_http(mirror):
            yield mirror, f"{mirror.rstrip('/')}/{quote(asset.path)}"
        else:
            yield mirror, str(Path(mirror).expanduser() / asset.path)
    yield urlsplit(asset.url).netloc, asset.url


def _is_http(address: str) -> bool:
    return address.startswith(("http://", "https://"))


def _copy_from_mirror(source: Path, asset: Asset, part: Path) -> None:
    """Checks the mirror's file where it lies, so that a damaged one costs no partial download."""
    try:
        wrong = _mismatch(source, asset.sha256, asset.size)
    except OSError as error:
        raise _Refused(error.strerror or str(error)) from error
    if wrong:
        raise _Refused(f"the mirror's file is damaged: {wrong}")
    shutil.copyfile(source, part)
    if wrong := _mismatch(part, asset.sha256, asset.size):
        part.unlink()
        raise _Refused(f"damaged in copying: {wrong}")


def _download(session: requests.Session, url: str, asset: Asset, part: Path) -> None:
    """Brings checked bytes from `url` to `part`. Wrong bytes are deleted and asked for once more."""
    for last in (False, True):
        _stream_until_whole(session, url, asset, part)
        wrong = _mismatch(part, asset.sha256, asset.size)
        if not wrong:
            return
        part.unlink()
        if last:
            raise _Refused(wrong)
        log.warning("%s: %s; trying once more from the start", url, wrong)


def _stream_until_whole(session: requests.Session, url: str, asset: Asset, part: Path) -> None:
    """Streams, going on after each cut, until the server says that this was all."""
    for retry in range(RETRIES + 1):
        if retry:
            time.sleep(min(BACKOFF * 2 ** (retry - 1), MAX_WAIT))
        try:
            return _stream(session, url, asset, part)
        except _Cut as cut:
            reason = str(cut)
            log.info("%s: %s", url, reason)
    raise _Down(f"{reason}, and so {RETRIES + 1} times")


def _stream(session: requests.Session, url: str, asset: Asset, part: Path) -> None:
    """Makes one request and writes what comes to `part`, after what is there if the server can go on from it.

    Raises:
        _Cut: the transfer broke off, or what `part` had was of no use to the server (and is deleted).
        _Refused, _Down: the server won't give the file.
    """
    have = part.stat().st_size if part.exists() else 0
    if have >= asset.size:  # it has been checked: these are the wrong bytes
        part.unlink()
        have = 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = session.get(url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT))
    except (requests.RequestException, HTTPError) as error:
        raise _Down(f"can't be reached ({_plain(error)})") from error
    with response:
        status = response.status_code
        if status in LATER:
            raise _Down(f"HTTP {status} {response.reason}, after {RETRIES} retries")
        starts = response.headers.get("Content-Range", "")
        if status == 416 or (status == 206 and not starts.startswith(f"bytes {have}-")):
            part.unlink(missing_ok=True)
            raise _Cut(f"can't go on from byte {have}")
        if status not in (200, 206):
            raise _Refused(f"HTTP {status} {response.reason}")
        if "text/html" in response.headers.get("Content-Type", ""):
            raise _Refused("an HTML page came in place of the file (a login page or a proxy?)")
        # Unbuffered, so that a kill loses no more than a chunk.
        with part.open("ab" if status == 206 else "wb", buffering=0) as file:
            try:
                for chunk in response.iter_content(CHUNK):
                    file.write(chunk)
                    if file.tell() > asset.size:
                        break  # the wrong bytes already; don't fill the disk
            except (requests.RequestException, HTTPError) as error:
                raise _Cut(f"cut at byte {file.tell()} of {asset.size} ({_plain(error)})") from error


class _Patience(Retry):
    """urllib3's retries, never waiting longer than MAX_WAIT, nor stumbling over an odd Retry-After."""

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        try:
            wait = super().get_retry_after(response)
        except InvalidHeader:
            return None
        return None if wait is None else min(wait, MAX_WAIT)


def _session() -> requests.Session:
    retry = _Patience(
        RETRIES,
        read=1,  # a server that accepts and then hangs tends to do so again
        backoff_factor=BACKOFF,
        backoff_max=MAX_WAIT,
        status_forcelist=LATER,
        raise_on_status=False,
    )
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def _plain(error: BaseException) -> str:
    """The heart of a library's error, on one line: "Connection refused" without the pools around it."""
    while inner := [e for e in (getattr(error, "reason", None), *error.args) if isinstance(e, BaseException)]:
        error = inner[-1]
    text = str(error).rsplit(": ", 1)[-1] if isinstance(error, HTTPError) else str(error)
    return " ".join(text.split()).rstrip(".") or type(error).__name__


def _is_intact(path: Path, asset: Asset) -> bool:
    """Whether the file is there and right; a wrong one is worth a warning, as it will be replaced."""
    if not path.is_file():
        return False
    wrong = _mismatch(path, asset.sha256, asset.size)
    if wrong:
        log.warning("%s is damaged and will be replaced: %s", path, wrong)
    return not wrong


def _mismatch(path: Path, digest: str, size: int | None = None) -> str | None:
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


def _install(source: Path, target: Path) -> None:
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


def fetch_hub(repo_id: str, revision: str, into: Path, *, endpoint: str | None = None) -> Path:
    """Puts a GPT-2 in Hugging Face format into a folder as plain files: config, generation settings, weights.

    Goes through huggingface_hub and its cache (HF_HOME, HF_HUB_OFFLINE), which checks sizes only. So the
    bytes are checked here: against `HUB_PINS` for a revision pinned there, else the hash the hub announces.
    Only safetensors are asked for, since pickled weights run code when read.

    Args:
        repo_id: as in "openai-community/gpt2".
        revision: a commit hash; or a branch or tag, and all files are of the commit that it names now.
        into: the folder to fill, once every file is had and checked.
        endpoint: the hub's address; None reads HF_ENDPOINT.

    Returns:
        `into`.

    Raises:
        AssetError: a file can't be had, or has the wrong bytes.
    """
    from huggingface_hub import constants

    endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
    pinned_revision, pins = HUB_PINS.get(repo_id, ("", {}))
    pins = pins if revision == pinned_revision else {}
    files: dict[str, Path] = {}
    commit = revision
    for name in HUB_FILES:
        try:
            path = _hub_file(repo_id, commit, name, endpoint, pins.get(name))
        except _Refused as refusal:
            raise AssetError(
                f"{repo_id} at revision {revision}: {name} could not be fetched from {endpoint}: {refusal}. "
                f"Needed are {', '.join(HUB_FILES)}; if you have them, set base.source=path and base_path to "
                "their folder, or pretrain a small base on the spot with base.source=pretrain"
            ) from refusal
        if path:
            files[name] = path
            commit = path.parent.name  # a branch may move between two files
    try:
        for name, path in files.items():
            _install(path, into / name)
    except OSError as error:
        raise AssetError(f"can't write {repo_id} to {into}: {error}; check space and rights") from error
    return into


def _hub_file(
    repo_id: str, revision: str, name: str, endpoint: str, pin: tuple[str, int] | None
) -> Path | None:
    """Brings one checked file to huggingface_hub's cache; None if it is optional and the repository has none.

    Wrong bytes are deleted from the cache, and asked for once more.
    """
    from huggingface_hub import _CACHED_NO_EXIST, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    optional = name == HUB_OPTIONAL and not pin
    history = ""
    for _ in range(2):
        try:
            # A commit never changes, so a cached file will do; hf_hub_download opens a socket even then.
            is_commit = re.fullmatch("[0-9a-f]{40}", revision)
            cached = try_to_load_from_cache(repo_id, name, revision=revision) if is_commit else None
            if cached is _CACHED_NO_EXIST and optional:
                return None
            if not isinstance(cached, str):
                cached = hf_hub_download(repo_id, name, revision=revision, endpoint=endpoint)
            path = Path(cached)
            digest, size = pin or (_announced_hash(path, repo_id, revision, endpoint), None)
            wrong = _mismatch(path, digest, size)
            if not wrong:
                return path
            log.warning("%s: %s; deleted", path, wrong)
            history = f"{wrong}; then "
            path.resolve().unlink()
            path.unlink(missing_ok=True)
        except LocalEntryNotFoundError as error:  # "an error happened": what it was is behind it
            raise _Refused(history + _plain(error.__cause__ or error)) from error
        except EntryNotFoundError as error:
            if optional:
                return None
            raise _Refused("the repository has none (weights in other formats are not read)") from error
        except Exception as error:  # of this or that HTTP library, by huggingface_hub's version
            raise _Refused(history + _plain(error)) from error
    raise _Refused(f"{wrong}, twice")


def _announced_hash(path: Path, repo_id: str, revision: str, endpoint: str) -> str:
    """The hash the hub gave with a cached file: the name of the blob its link leads to, or else asked for."""
    if path.is_symlink():
        digest = os.readlink(path).rsplit("/", 1)[-1]
    else:  # a cache without links
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        url = hf_hub_url(repo_id, path.name, revision=revision, endpoint=endpoint)
        digest = get_hf_file_metadata(url).etag or ""
    if not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", digest):
        raise _Refused(f"{endpoint} announces no hash to check it against (its ETag is {digest!r})")
    return digest
