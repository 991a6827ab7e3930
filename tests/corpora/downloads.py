"""What the tests of downloads share."""

import hashlib
import socket
from pathlib import Path

DATA = bytes(range(256)) * 1000  # 256 kB
WRONG = bytes(len(DATA))
SHA256 = hashlib.sha256(DATA).hexdigest()
DEAD = "http://127.0.0.1:9"  # the discard port: nobody listens


def no_sockets(monkeypatch):
    def refuse(*_):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def left_over() -> list[str]:
    """What is in .downloads beside the lock."""
    return sorted(path.name for path in Path(".downloads").iterdir() if path.name != "lock")


def ranges(server) -> list[str | None]:
    return [wanted for _, _, wanted in server.seen]
