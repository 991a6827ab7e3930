"""Local servers that misbehave on demand, for the tests of downloads."""

import base64
import hashlib
import json
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Fault = Callable[["Handler", bytes], None]


class Server(ThreadingHTTPServer):
    """Serves `files` (path -> bytes), with Range.

    Each GET of a path uses up one of its `faults`, while there are any. `seen` lists the requests:
    (method, path, Range header).
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), self.handler())
        self.files = dict(files or {})
        self.faults: dict[str, Iterator[Fault]] = defaultdict(lambda: iter(()))
        self.seen: list[tuple[str, str, str | None]] = []
        self.closing = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handler(self) -> type["Handler"]:
        return Handler

    def headers(self, path: str, data: bytes) -> dict[str, str]:
        return {"Content-Type": "text/plain"}

    def missing(self, path: str) -> dict[str, str]:
        return {}

    def handle_error(self, *_: object) -> None:
        """Clients that go away are part of the game."""

    def __enter__(self) -> "Server":
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.seen.append((self.command, self.path, wanted))
        data = self.server.files.get(self.path)
        if fault := next(self.server.faults[self.path], None) if self.command == "GET" else None:
            fault(self, data or b"")
        elif data is None:
            self.answer(404, b"no such file", **self.server.missing(self.path))
        elif not wanted:
            self.answer(200, data, **self.server.headers(self.path, data))
        else:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start < len(data):
                span = f"bytes {start}-{len(data) - 1}/{len(data)}"
                self.answer(206, data[start:], **{"Content-Range": span})
            else:
                self.answer(416)

    do_HEAD = do_GET

    def answer(self, status: int, body: bytes = b"", length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def status(code: int, **headers: str) -> Fault:
    return lambda handler, data: handler.answer(code, b"not now", **headers)


def cut(after: int) -> Fault:
    """Promises everything from where it is asked to go on, and hangs up after so many bytes."""

    def fault(handler: Handler, data: bytes) -> None:
        start = int(re.sub("[^0-9]", "", handler.headers.get("Range") or "0"))
        span = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        handler.answer(206 if start else 200, data[start : start + after], len(data) - start, **span)
        handler.close_connection = True

    return fault


def hang(after: int = 0) -> Fault:
    """Says nothing more after so many bytes (after 0, nothing at all)."""

    def fault(handler: Handler, data: bytes) -> None:
        if after:
            handler.answer(200, data[:after], len(data))
        handler.server.closing.wait(10)
        handler.close_connection = True

    return fault


def slow(pause: float, status: int = 200, **headers: str) -> Fault:
    """Sends the file byte by byte, with a pause after each, under any status."""

    def fault(handler: Handler, data: bytes) -> None:
        handler.answer(status, b"", len(data), **headers)
        for i in range(len(data)):
            handler.wfile.write(data[i : i + 1])
            if handler.server.closing.wait(pause):
                break
        handler.close_connection = True

    return fault


def late(seconds: float) -> Fault:
    """Answers well, but not soon."""

    def fault(handler: Handler, data: bytes) -> None:
        handler.server.closing.wait(seconds)
        handler.answer(200, data)

    return fault


def other(body: bytes, **headers: str) -> Fault:
    """Serves other bytes than the file's, whatever the range asked for."""
    return lambda handler, data: handler.answer(200, body, **headers)


def html(handler: Handler, data: bytes) -> None:
    handler.answer(200, b"<html>Please log in</html>", **{"Content-Type": "text/html; charset=utf-8"})


class Hub(Server):
    """Speaks what huggingface_hub asks of a hub, for one repository at one commit; files can be pushed to it too.

    Announces sha256 for safetensors and git's sha1 for the rest, also where a fault then sends other bytes. What is
    pushed stands on `main` and at the commit, under the rules of git LFS: large files first, by their hash.
    """

    def handler(self) -> type["Handler"]:
        return HubHandler

    def __init__(self, repo_id: str, commit: str, files: dict[str, bytes]) -> None:
        super().__init__({f"/{repo_id}/resolve/{commit}/{name}": data for name, data in files.items()})
        self.files |= {f"/{repo_id}/resolve/main/{name}": data for name, data in files.items()}
        self.repo_id, self.commit = repo_id, commit

    def headers(self, path: str, data: bytes) -> dict[str, str]:
        if path.endswith(".safetensors"):
            etag = hashlib.sha256(data).hexdigest()
        else:
            etag = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        return {"ETag": f'"{etag}"', "X-Repo-Commit": self.commit}

    def missing(self, path: str) -> dict[str, str]:
        if not path.startswith(f"/{self.repo_id}/"):
            return {"X-Error-Code": "RepoNotFound"}
        if f"/{self.commit}/" not in path and "/main/" not in path:
            return {"X-Error-Code": "RevisionNotFound"}
        return {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": self.commit}

    def asked(self) -> list[str]:
        """The names of the files that were asked for, in any way."""
        return [path.rsplit("/", 1)[-1] for _, path, _ in self.seen]


class HubHandler(Handler):
    server: Hub

    def do_POST(self) -> None:
        hub = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != "Bearer secret":
            return self.answer(401, b"no token")
        if self.path == "/api/repos/create":
            return self.json({"url": f"{hub.address}/{hub.repo_id}"})
        if self.path == "/api/validate-yaml":  # of the model card
            return self.json({"errors": [], "warnings": []})
        if self.path == f"/api/models/{hub.repo_id}/preupload/main":
            paths = [file["path"] for file in json.loads(body)["files"]]
            modes = {path: "lfs" if path.endswith(".safetensors") else "regular" for path in paths}
            return self.json({"files": [
                {"path": path, "uploadMode": mode, "shouldIgnore": False} for path, mode in modes.items()
            ]})  # fmt: skip
        if self.path == f"/{hub.repo_id}.git/info/lfs/objects/batch":
            return self.json({"transfer": "basic", "objects": [
                one | {"actions": {"upload": {"href": f"{hub.address}/lfs/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]})  # fmt: skip
        if self.path == f"/api/models/{hub.repo_id}/commit/main":
            for line in map(json.loads, body.splitlines()):
                what = line["value"]
                if line["key"] == "file":
                    self.put(what["path"], base64.b64decode(what["content"]))
                elif line["key"] == "lfsFile":
                    self.put(what["path"], hub.files[f"/lfs/{what['oid']}"])
            url = f"{hub.address}/{hub.repo_id}/commit/{hub.commit}"
            return self.json({"success": True, "commitOid": hub.commit, "commitUrl": url})
        self.answer(404)

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        right = self.path == f"/lfs/{hashlib.sha256(data).hexdigest()}"
        if right:
            self.server.files[self.path] = data
        self.answer(200 if right else 422)

    def put(self, name: str, data: bytes) -> None:
        for revision in ("main", self.server.commit):
            self.server.files[f"/{self.server.repo_id}/resolve/{revision}/{name}"] = data

    def json(self, value: object) -> None:
        self.answer(200, json.dumps(value).encode(), **{"Content-Type": "application/json"})
