"""Fixtures of the tests of downloads."""

import pytest
import servers
from downloads import DATA, SHA256

from gpt2_shakespeare.corpora import fetch, transfer
from gpt2_shakespeare.corpora.assets import Asset


@pytest.fixture
def impatient(monkeypatch, tmp_path):
    """Short waits, no mirrors from outside, and `.downloads` in a folder of the test's own."""
    monkeypatch.setattr(transfer, "BACKOFF", 0.01)
    monkeypatch.setattr(transfer, "CONNECT_TIMEOUT", 1.0)
    monkeypatch.setattr(transfer, "READ_TIMEOUT", 0.2)
    monkeypatch.delenv(fetch.MIRROR_VARIABLE, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server():
    with servers.Server({"/f.txt": DATA, "/mirror/f.txt": DATA}) as running:
        yield running


@pytest.fixture
def asset(server):
    return Asset("f.txt", f"{server.address}/f.txt", SHA256, len(DATA))
