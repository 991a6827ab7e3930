"""`dvc push` and `dvc pull` over real SSH and WebDAV servers and a stand-in of S3 on this machine, and into a plain folder."""

import asyncio
import contextlib
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import boto3
import micro
import pytest
from moto.server import ThreadedMotoServer
from waitress import create_server
from wsgidav.fs_dav_provider import FilesystemProvider
from wsgidav.wsgidav_app import WsgiDAVApp

USER, PASSWORD = "reader", "no-secret"
PIPELINE = """
stages:
  train:
    cmd: mkdir model && printf weights > model/weights && printf config > model/config
    outs: [model]
"""


class SSH(asyncssh.SSHServer):
    """Lets one user in by password."""

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)


@contextlib.contextmanager
def ssh(folder: Path) -> Iterator[list[str]]:
    """A server with SFTP, whose root is the folder."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def chroot(channel: asyncssh.SSHServerChannel) -> asyncssh.SFTPServer:
        return asyncssh.SFTPServer(channel, chroot=str(folder).encode())

    async def listen() -> asyncssh.SSHAcceptor:
        key = asyncssh.generate_private_key("ssh-ed25519")
        return await asyncssh.create_server(SSH, "127.0.0.1", 0, server_host_keys=[key], sftp_factory=chroot)

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(20)
    try:
        yield [
            f"remote add --default there ssh://{USER}@127.0.0.1:{server.get_port()}/cache",
            f"remote modify --local there password {PASSWORD}",
        ]
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)


@contextlib.contextmanager
def webdav(folder: Path) -> Iterator[list[str]]:
    app = WsgiDAVApp({
        "provider_mapping": {"/": FilesystemProvider(str(folder))},
        "simple_dc": {"user_mapping": {"*": {USER: {"password": PASSWORD}}}},
        "verbose": 0,
    })  # fmt: skip
    server = create_server(app, host="127.0.0.1", port=0)
    threading.Thread(target=server.run, daemon=True).start()
    try:
        yield [
            f"remote add --default there webdav://127.0.0.1:{server.effective_port}/cache",
            f"remote modify there user {USER}",
            f"remote modify --local there password {PASSWORD}",
        ]
    finally:
        server.close()


@contextlib.contextmanager
def s3(folder: Path) -> Iterator[list[str]]:
    """A bucket in memory; what it holds at the end is written to the folder."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    keys = {"aws_access_key_id": USER, "aws_secret_access_key": PASSWORD}
    bucket = boto3.resource("s3", endpoint_url=address, region_name="us-east-1", **keys).Bucket("bucket")
    try:
        bucket.create()
        yield [
            "remote add --default there s3://bucket/cache",
            f"remote modify there endpointurl {address}",
            f"remote modify --local there access_key_id {USER}",
            f"remote modify --local there secret_access_key {PASSWORD}",
        ]
        for found in bucket.objects.all():
            (folder / found.key).parent.mkdir(parents=True, exist_ok=True)
            bucket.download_file(found.key, str(folder / found.key))
    finally:
        server.stop()


@contextlib.contextmanager
def local(folder: Path) -> Iterator[list[str]]:
    yield [f"remote add --default there {folder}"]


def dvc(project: Path, *arguments: str) -> str:
    done = micro.run(project, "dvc", *arguments, no_proxy="127.0.0.1")
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("server", [local, ssh, webdav, s3])
def test_what_is_pushed_is_pulled_by_a_clone_which_has_nothing_to_do(server, tmp_path):
    remote, project = tmp_path / "remote", tmp_path / "project"
    for folder in (remote / "cache", project):
        folder.mkdir(parents=True)
    micro.run(project, "git", "init", "--quiet")
    dvc(project, "init", "--quiet")
    (project / "dvc.yaml").write_text(PIPELINE)
    dvc(project, "repro", "--quiet")
    with server(remote) as setup:
        for command in setup:
            dvc(project, *command.split())
        assert PASSWORD not in (project / ".dvc/config").read_text()  # which is committed
        assert "3 files pushed" in dvc(project, "push")
        assert "Everything is up to date." in dvc(project, "push")
        micro.run(project, "git", "add", ".")
        assert micro.run(project, "git", "commit", "--quiet", "--message", "run").returncode == 0
        clone = tmp_path / "clone"
        subprocess.run(["git", "clone", "--quiet", str(project), str(clone)], check=True)
        for command in setup:
            if "--local" in command:
                dvc(clone, *command.split())
        dvc(clone, "pull")
    assert (clone / "model/weights").read_text() == "weights"
    assert "Data and pipelines are up to date." in dvc(clone, "repro")
    assert list(remote.rglob("*.dir"))
