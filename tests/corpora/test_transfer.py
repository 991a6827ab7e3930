"""One file from one address survives every fault of the network, and no wrong byte gets through."""

import hashlib
import re
import time
from itertools import repeat
from pathlib import Path

import pytest
import servers
from downloads import DATA, SHA256, WRONG, left_over, ranges

from gpt2_shakespeare.corpora import transfer
from gpt2_shakespeare.corpora.assets import AssetError
from gpt2_shakespeare.corpora.fetch import fetch

pytestmark = pytest.mark.usefixtures("impatient")


def test_a_cut_transfer_goes_on_where_it_was_cut(server, asset, tmp_path):
    server.faults["/f.txt"] = iter([servers.cut(100_000), servers.cut(50_000)])
    fetch([asset], tmp_path)
    assert (tmp_path / "f.txt").read_bytes() == DATA
    first, second, third = ranges(server)
    assert first is None
    assert 100_000 - transfer.CHUNK <= int(second[len("bytes=") : -1]) <= 100_000
    assert int(third[len("bytes=") : -1]) > 100_000


def test_a_server_that_ignores_range_is_read_from_the_start(server, asset, tmp_path):
    server.faults["/f.txt"] = iter([servers.cut(100_000), servers.other(DATA)])
    fetch([asset], tmp_path)
    assert (tmp_path / "f.txt").read_bytes() == DATA
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    "answer", [servers.status(416), servers.status(206, **{"Content-Range": "bytes 7-9/10"})]
)
def test_a_partial_file_the_server_can_not_continue_is_dropped(server, asset, tmp_path, answer):
    server.faults["/f.txt"] = iter([servers.cut(100_000), answer])
    fetch([asset], tmp_path)
    assert (tmp_path / "f.txt").read_bytes() == DATA
    assert ranges(server)[-1] is None


@pytest.mark.parametrize("size", [1000, len(DATA), len(DATA) + 1])
def test_a_wrong_partial_file_costs_one_retry(server, asset, tmp_path, size):
    Path(".downloads").mkdir()
    (Path(".downloads") / SHA256).write_bytes(b"x" * size)
    fetch([asset], tmp_path)
    assert (tmp_path / "f.txt").read_bytes() == DATA
    assert ranges(server)[-1] is None


def test_cut_for_ever_fails_and_keeps_what_came(server, asset, tmp_path):
    server.faults["/f.txt"] = repeat(servers.cut(20_000))
    with pytest.raises(AssetError, match="cut at byte .* of 256000"):
        fetch([asset], tmp_path)
    assert len(server.seen) == 1 + transfer.RETRIES
    assert left_over() == [SHA256] and not (tmp_path / "f.txt").exists()


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_server_that_says_later_is_asked_again(server, asset, tmp_path, code):
    server.faults["/f.txt"] = iter([servers.status(code), servers.status(code)])
    fetch([asset], tmp_path)
    assert len(server.seen) == 3


def test_retry_after_is_honoured(server, asset, tmp_path):
    server.faults["/f.txt"] = iter([servers.status(429, **{"Retry-After": "1"})])
    start = time.monotonic()
    fetch([asset], tmp_path)
    assert time.monotonic() - start >= 1


@pytest.mark.parametrize("wait", ["86400", "Fri, 31 Dec 2100 23:59:59 GMT", "soon"])
def test_retry_after_is_capped(server, asset, tmp_path, monkeypatch, wait):
    monkeypatch.setattr(transfer, "MAX_WAIT", 0.02)
    server.faults["/f.txt"] = iter([servers.status(503, **{"Retry-After": wait})])
    fetch([asset], tmp_path)
    assert len(server.seen) == 2


def test_404_fails_at_once(server, asset, tmp_path):
    del server.files["/f.txt"]
    with pytest.raises(AssetError, match=r"/f\.txt: HTTP 404 Not Found"):
        fetch([asset], tmp_path)
    assert len(server.seen) == 1 and left_over() == []


def test_an_html_page_with_200_is_not_the_file(server, asset, tmp_path):
    server.faults["/f.txt"] = repeat(servers.html)
    with pytest.raises(AssetError, match="an HTML page came"):
        fetch([asset], tmp_path)
    assert len(server.seen) == 1 and left_over() == []


@pytest.mark.parametrize("body", [WRONG, b"short", DATA + b"!"], ids=["flipped", "short", "long"])
def test_wrong_bytes_are_asked_for_once_more_then_refused(server, asset, tmp_path, body):
    server.faults["/f.txt"] = repeat(servers.other(body))
    with pytest.raises(AssetError) as error:
        fetch([asset], tmp_path)
    assert f"got sha256 {hashlib.sha256(body).hexdigest()} ({len(body)} bytes)" in str(error.value)
    assert f"expected {SHA256} ({len(DATA)} bytes)" in str(error.value)
    assert len(server.seen) == 2
    assert left_over() == [] and not (tmp_path / "f.txt").exists()


def test_wrong_bytes_once_are_forgiven(server, asset, tmp_path, caplog):
    server.faults["/f.txt"] = iter([servers.other(WRONG)])
    fetch([asset], tmp_path)
    assert "trying once more from the start" in caplog.text


def test_an_endless_body_does_not_fill_the_disk(server, asset, tmp_path):
    server.faults["/f.txt"] = repeat(servers.other(DATA * 10))
    with pytest.raises(AssetError) as error:
        fetch([asset], tmp_path)
    (size,) = re.findall(r"got sha256 \w+ \((\d+) bytes\)", str(error.value))
    assert int(size) <= len(DATA) + transfer.CHUNK


@pytest.mark.parametrize("after", [0, 100_000])
def test_a_server_that_hangs_is_timed_out(server, asset, tmp_path, after):
    server.faults["/f.txt"] = repeat(servers.hang(after))
    start = time.monotonic()
    with pytest.raises(AssetError, match="timed out"):
        fetch([asset], tmp_path)
    assert time.monotonic() - start < 5


def test_a_server_that_is_too_slow_is_given_up(server, asset, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "LEAST_SPEED", 1_000_000)
    server.faults["/f.txt"] = repeat(servers.slow(0.01))
    start = time.monotonic()
    with pytest.raises(AssetError, match=r"/f\.txt: too slow: \d+ of 256000 bytes when 0 s were over"):
        fetch([asset], tmp_path)
    assert time.monotonic() - start < 5
    assert len(server.seen) == 1 and left_over() == [SHA256]


@pytest.mark.parametrize(
    "answer", [servers.slow(0.01, 503), servers.slow(0.01, 302, Location="/mirror/f.txt")], ids=["503", "302"]
)
def test_an_answer_that_never_ends_is_given_up(server, asset, tmp_path, monkeypatch, answer):
    """The library reads the bodies of such answers whole, before it tries again or goes where they lead."""
    monkeypatch.setattr(transfer, "ANSWER_LIMIT", 0.5)
    server.faults["/f.txt"] = repeat(answer)
    start = time.monotonic()
    with pytest.raises(AssetError, match=r"/f\.txt: no answer in 0 s"):
        fetch([asset], tmp_path)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://[::", "Invalid IPv6 URL"),
        ("http://127.0.0.1:port/", "can't be reached"),
        ("ftp://127.0.0.1/f.txt", "No connection adapters"),
        ("/f.txt", "Exceeded 30 redirects"),
    ],
)
def test_a_redirect_that_leads_nowhere_is_named(server, asset, tmp_path, location, reason):
    server.faults["/f.txt"] = repeat(servers.status(302, Location=location))
    with pytest.raises(AssetError) as error:
        fetch([asset], tmp_path)
    assert f"{server.address}/f.txt: " in str(error.value) and reason in str(error.value)
