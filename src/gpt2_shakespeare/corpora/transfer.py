"""One file from one http(s) address: retried when the server says "later", continued when it was cut, and checked.

Waiting has an end: for an answer (`ANSWER_LIMIT`), for the next byte (`READ_TIMEOUT`) and for the whole file
(`LEAST_SPEED`).
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import requests
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util import Retry

from gpt2_shakespeare.corpora.assets import Asset
from gpt2_shakespeare.disk import mismatch

log = logging.getLogger(__name__)
T = TypeVar("T")

CONNECT_TIMEOUT = 10.0  # seconds
READ_TIMEOUT = 30.0  # seconds without a byte
RETRIES = 3  # of a request refused with "later" (429, 5xx), and of a transfer that was cut
BACKOFF = 1.0  # seconds before the second retry; doubles
MAX_WAIT = 60.0  # seconds; a server that asks for more than this is not worth waiting for
ANSWER_LIMIT = (1 + RETRIES) * (
    CONNECT_TIMEOUT + READ_TIMEOUT + MAX_WAIT
)  # seconds; what all of these come to
LEAST_SPEED = 5_000.0  # bytes per second on average, which a telephone modem of 56 kbit/s reaches
CHUNK = 1 << 14  # bytes; what a cut transfer may lose
LATER = (429, 500, 502, 503, 504)


class Refused(Exception):
    """One source can't give one file; the message says why."""


class Absent(Refused):
    """It doesn't have the file, which is no news: the next source may."""


class Down(Refused):
    """Nor will it give another: the source doesn't answer, only with "later", or too slowly."""


class _Cut(Exception):
    """A transfer broke off; it can go on from what has arrived."""


class _Patience(Retry):
    """urllib3's retries, but never waiting longer than MAX_WAIT, and ignoring a Retry-After that makes no sense."""

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        try:
            wait = super().get_retry_after(response)
        except InvalidHeader:
            return None
        return None if wait is None else min(wait, MAX_WAIT)


def open_session() -> requests.Session:
    """A session whose requests are retried; for `download`."""
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


def download(session: requests.Session, url: str, asset: Asset, part: Path) -> None:
    """Brings the asset's bytes from `url` to `part`. Wrong bytes are deleted and asked for once more.

    Args:
        session: from `open_session`.
        url: where to ask.
        asset: what the bytes must be.
        part: the file to write. What it has already is not asked for again; what has arrived when the source
            fails stays there, and another source can continue from it.

    Raises:
        Refused, Down: this source can't give the file.
        OSError: the file can't be written.
    """
    for last in (False, True):
        _stream_until_whole(session, url, asset, part)
        wrong = mismatch(part, asset.sha256, asset.size)
        if not wrong:
            return
        part.unlink()
        if last:
            raise Refused(wrong)
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
    raise Down(f"{reason}, and so {RETRIES + 1} times")


def _stream(session: requests.Session, url: str, asset: Asset, part: Path) -> None:
    """Makes one request and writes what comes to `part`, after what is there if the server can go on from it.

    Raises:
        _Cut: the transfer broke off, or what `part` had was of no use to the server (and is deleted).
        Refused, Down: the server won't give the file.
    """
    have = part.stat().st_size if part.exists() else 0
    if have >= asset.size:  # it has been checked: these are the wrong bytes
        part.unlink()
        have = 0
    with _answer(session, url, have) as response:
        status = response.status_code
        if status in LATER:
            raise Down(f"HTTP {status} {response.reason}, after {RETRIES} retries")
        starts = response.headers.get("Content-Range", "")
        if status == 416 or (status == 206 and not starts.startswith(f"bytes {have}-")):
            part.unlink(missing_ok=True)
            raise _Cut(f"can't go on from byte {have}")
        if status not in (200, 206):
            raise Refused(f"HTTP {status} {response.reason}")
        if "text/html" in response.headers.get("Content-Type", ""):
            raise Refused("an HTML page came in place of the file (a login page or a proxy?)")
        limit = READ_TIMEOUT + (asset.size - (have if status == 206 else 0)) / LEAST_SPEED
        deadline = time.monotonic() + limit
        # Unbuffered, so that a kill loses no more than a chunk.
        with part.open("ab" if status == 206 else "wb", buffering=0) as file:
            while chunk := _next_bytes(response, file.tell(), asset.size):
                file.write(chunk)
                if file.tell() > asset.size:
                    break  # the wrong bytes already; don't fill the disk
                if file.tell() < asset.size and time.monotonic() > deadline:
                    raise Down(
                        f"too slow: {file.tell()} of {asset.size} bytes when {limit:.0f} s were over, which is less "
                        f"than {LEAST_SPEED:.0f} bytes per second"
                    )


def _answer(session: requests.Session, url: str, start: int) -> requests.Response:
    """The server's answer to a request for the bytes from `start` on; its body is not read yet."""
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    timeouts = (CONNECT_TIMEOUT, READ_TIMEOUT)
    try:
        return _within(ANSWER_LIMIT, lambda: session.get(url, headers=headers, stream=True, timeout=timeouts))
    except TimeoutError as error:
        raise Down(f"no answer in {ANSWER_LIMIT:.0f} s") from error
    except (requests.RequestException, HTTPError) as error:
        raise Down(f"can't be reached ({plain(error)})") from error
    except Exception as error:  # a malformed redirect, for one, is a ValueError
        raise Refused(f"the answer makes no sense ({plain(error)})") from error


def _next_bytes(response: requests.Response, have: int, size: int) -> bytes:
    """The next bytes of the body, as soon as any come; none at its end."""
    try:
        return response.raw.read1(CHUNK, decode_content=True)
    except Exception as error:  # of urllib3, or what it lets through
        raise _Cut(f"cut at byte {have} of {size} ({plain(error)})") from error


def _within(seconds: float, call: Callable[[], T]) -> T:
    """What the call returns. If that takes longer: TimeoutError, and the call is left behind in its thread.

    A timeout of requests is for each read of the socket, and it reads whole headers, and whole bodies of redirects and of
    answers to be retried, before it returns; a server that sends them byte by byte would hold us for ever.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future.result(seconds)


def plain(error: BaseException) -> str:
    """The heart of a library's error, on one line: "Connection refused" without the pools around it."""
    while inner := [e for e in (getattr(error, "reason", None), *error.args) if isinstance(e, BaseException)]:
        error = inner[-1]
    text = str(error).rsplit(": ", 1)[-1] if isinstance(error, HTTPError) else str(error)
    if isinstance(error, OSError) and error.filename and error.strerror:  # callers name the place
        text = error.strerror
    return " ".join(text.split()).rstrip(".") or type(error).__name__
