"""Downloads survive every fault of the network, and no wrong byte gets through."""

import hashlib
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from itertools import repeat
from pathlib import Path

import pytest
import servers

from gpt2_shakespeare.corpora import assets
from gpt2_shakespeare.corpora.assets import Asset, AssetError, fetch, fetch_hub

DATA = bytes(range(256)) * 1000  # 256 kB
WRONG = bytes(len(DATA))
SHA256 = hashlib.sha256(DATA).hexdigest()
DEAD = "http://127.0.0.1:9"  # the discard port: nobody listens


@pytest.fixture(autouse=True)
def impatient(monkeypatch, tmp_path):
    """Short waits, no mirrors from outside, and `.downloads` in a folder of the test's own."""
    monkeypatch.setattr(assets, "BACKOFF", 0.01)
    monkeypatch.setattr(assets, "CONNECT_TIMEOUT", 1.0)
    monkeypatch.setattr(assets, "READ_TIMEOUT", 0.2)
    monkeypatch.delenv(assets.MIRROR_VARIABLE, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server():
    with servers.Server({"/f.txt": DATA, "/mirror/f.txt": DATA}) as running:
        yield running


@pytest.fixture
def asset(server):
    return Asset("f.txt", f"{server.address}/f.txt", SHA256, len(DATA))


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


# The registry


def test_the_registry_is_consistent():
    everything = [assets.TINY_SHAKESPEARE, *assets.GPT2_BPE, assets.WIKITEXT2_TEST, *assets.NOVELS]
    assert len({asset.path for asset in everything}) == len({asset.sha256 for asset in everything}) == 104
    for asset in everything:
        assert re.fullmatch("[0-9a-f]{64}", asset.sha256)
        assert asset.size > 0
        assert asset.url.startswith("https://") and asset.url.endswith("/" + asset.path.split("/")[-1])
        assert "raw.githubusercontent.com" not in asset.url or re.search("/[0-9a-f]{40}/", asset.url)


def test_the_novels_are_sorted_and_four_are_held_out():
    names = [Path(novel.path).stem for novel in assets.NOVELS]
    assert len(names) == 100 and names == sorted(names)
    assert len(assets.NOVELS_HELD_OUT) == 4 and set(assets.NOVELS_HELD_OUT) < set(names)


def test_the_hub_names_are_pinned():
    for repo_id, revision in assets.HUB_NAMES.values():
        assert repo_id.startswith("openai-community/gpt2") and re.fullmatch("[0-9a-f]{40}", revision)
    repo_id, revision = assets.HUB_NAMES["gpt2"]
    pinned_revision, files = assets.HUB_PINS[repo_id]
    assert pinned_revision == revision and set(files) == set(assets.HUB_FILES)


def test_importing_is_cheap():
    heavy = "{'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)"
    subprocess.run(
        [sys.executable, "-c", f"import sys, gpt2_shakespeare.assets; sys.exit(bool({heavy}))"],
        check=True,
        env=os.environ | {"PYTHONPATH": str(Path(assets.__file__).parents[1])},
    )


MIRROR = os.environ.get(assets.MIRROR_VARIABLE) or str(Path(__file__).parents[3] / "shared" / "assets")


@pytest.mark.skipif(not Path(MIRROR).is_dir(), reason="no mirror folder at hand")
def test_a_mirror_at_hand_has_what_the_registry_says(monkeypatch, tmp_path):
    no_sockets(monkeypatch)
    wanted = [assets.TINY_SHAKESPEARE, *assets.GPT2_BPE, assets.WIKITEXT2_TEST, *assets.NOVELS]
    paths = fetch(wanted, tmp_path / "data", mirrors=[MIRROR])
    assert [path.stat().st_size for path in paths] == [asset.size for asset in wanted]


# One source


def test_fetches_a_file(server, asset, tmp_path):
    assert fetch([asset], tmp_path / "data") == [tmp_path / "data" / "f.txt"]
    assert (tmp_path / "data" / "f.txt").read_bytes() == DATA
    assert os.listdir("data") == ["f.txt"] and left_over() == []


def test_intact_files_open_no_socket(asset, tmp_path, monkeypatch):
    (tmp_path / "f.txt").write_bytes(DATA)
    no_sockets(monkeypatch)
    assert fetch([asset], tmp_path) == [tmp_path / "f.txt"]
    assert not Path(".downloads").exists()


def test_a_damaged_file_is_replaced(asset, tmp_path, caplog):
    (tmp_path / "f.txt").write_bytes(WRONG)
    fetch([asset], tmp_path)
    assert (tmp_path / "f.txt").read_bytes() == DATA
    assert "f.txt is damaged" in caplog.text


def test_with_nothing_in_reach_the_error_says_what_to_do(tmp_path):
    asset = Asset("some/f.txt", f"{DEAD}/f.txt", SHA256, len(DATA))
    with pytest.raises(AssetError) as error:
        fetch([asset], tmp_path / "data")
    for part in (
        f"some/f.txt: {DEAD}/f.txt: can't be reached",
        assets.MIRROR_VARIABLE + "=",
        "-S scale=demo",
    ):
        assert part in str(error.value)
    assert not (tmp_path / "data").exists()


def test_a_hundred_missing_files_make_a_short_error_and_one_attempt(server, tmp_path):
    many = [Asset(f"{i}.txt", f"{server.address}/{i}.txt", f"{i:064x}", 9) for i in range(100)]
    server.faults["/0.txt"] = repeat(servers.status(503))
    with pytest.raises(AssetError, match="100 of 100 files") as error:
        fetch(many, tmp_path / "data")
    assert "... and 97 more" in str(error.value) and len(str(error.value).splitlines()) == 6
    assert len(server.seen) == 1 + assets.RETRIES


def test_all_or_none_but_nothing_is_fetched_twice(server, asset, tmp_path):
    server.files["/g.txt"] = b"late"
    late = Asset("g.txt", f"{server.address}/g.txt", hashlib.sha256(b"late").hexdigest(), 4)
    server.faults["/g.txt"] = iter([servers.status(404)])
    with pytest.raises(AssetError, match="1 of 2 files"):
        fetch([asset, late], tmp_path / "data")
    assert not (tmp_path / "data").exists()
    fetch([asset, late], tmp_path / "data")
    assert [path for _, path, _ in server.seen] == ["/f.txt", "/g.txt", "/g.txt"]


def test_a_cut_transfer_goes_on_where_it_was_cut(server, asset, tmp_path):
    server.faults["/f.txt"] = iter([servers.cut(100_000), servers.cut(50_000)])
    fetch([asset], tmp_path)
    assert (tmp_path / "f.txt").read_bytes() == DATA
    first, second, third = ranges(server)
    assert first is None
    assert 100_000 - assets.CHUNK <= int(second[len("bytes=") : -1]) <= 100_000
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
    assert len(server.seen) == 1 + assets.RETRIES
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
    monkeypatch.setattr(assets, "MAX_WAIT", 0.02)
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
    assert int(size) <= len(DATA) + assets.CHUNK


@pytest.mark.parametrize("after", [0, 100_000])
def test_a_server_that_hangs_is_timed_out(server, asset, tmp_path, after):
    server.faults["/f.txt"] = repeat(servers.hang(after))
    start = time.monotonic()
    with pytest.raises(AssetError, match="timed out"):
        fetch([asset], tmp_path)
    assert time.monotonic() - start < 5


def test_a_folder_that_can_not_be_written_is_named(asset, tmp_path):
    (tmp_path / "data").write_text("a file, where a folder is wanted")
    with pytest.raises(AssetError, match="can't write to .* or .*data"):
        fetch([asset], tmp_path / "data")


# Mirrors


def test_a_mirror_folder_comes_first(server, asset, tmp_path, monkeypatch):
    mirror = tmp_path / "my mirror"
    mirror.mkdir()
    (mirror / "f.txt").write_bytes(DATA)
    monkeypatch.setenv(assets.MIRROR_VARIABLE, str(mirror))
    no_sockets(monkeypatch)
    (path,) = fetch([asset], tmp_path / "data")
    assert path.read_bytes() == DATA


def test_several_mirrors_are_tried_in_order(server, asset, tmp_path, monkeypatch, caplog):
    nowhere = tmp_path / "nowhere"
    monkeypatch.setenv(assets.MIRROR_VARIABLE, f"{nowhere}; {server.address}/mirror/")
    fetch([asset], tmp_path)
    assert [path for _, path, _ in server.seen] == ["/mirror/f.txt"]
    assert f"there is no folder {nowhere}" in caplog.text


@pytest.mark.parametrize(
    "fault", [servers.status(500), servers.status(429, **{"Retry-After": "0"}), servers.html]
)
def test_a_mirror_that_fails_is_passed_over(server, asset, tmp_path, fault, caplog):
    server.faults["/mirror/f.txt"] = repeat(fault)
    fetch([asset], tmp_path, mirrors=[f"{server.address}/mirror"])
    assert server.seen[-1][1] == "/f.txt"
    assert f"{server.address}/mirror/f.txt: " in caplog.text


def test_what_a_cut_mirror_gave_the_next_source_continues(server, asset, tmp_path):
    server.faults["/mirror/f.txt"] = iter([servers.cut(100_000), *[servers.status(404)] * 9])
    fetch([asset], tmp_path, mirrors=[f"{server.address}/mirror"])
    method, path, wanted = server.seen[-1]
    assert path == "/f.txt" and wanted is not None


def test_a_damaged_file_in_a_mirror_is_reported_by_name(asset, tmp_path, caplog):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "f.txt").write_bytes(WRONG)
    fetch([asset], tmp_path / "data", mirrors=[str(mirror)])
    (warning,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert str(mirror / "f.txt") in warning and "damaged" in warning
    assert hashlib.sha256(WRONG).hexdigest() in warning and SHA256 in warning


def test_when_all_fail_each_source_has_its_reason(server, asset, tmp_path):
    (tmp_path / "f.txt").write_bytes(WRONG)
    del server.files["/f.txt"]
    with pytest.raises(AssetError) as error:
        fetch([asset], tmp_path / "data", mirrors=[str(tmp_path), DEAD])
    for reason in (f"{tmp_path}/f.txt: the mirror's file is damaged", f"{DEAD}/f.txt: can't", "HTTP 404"):
        assert reason in str(error.value)


# Two at once, and kills


def download(asset: Asset, **settings: float) -> subprocess.Popen:
    """A process that fetches into data/, with constants of the module set."""
    code = "; ".join(
        [
            "from pathlib import Path",
            "from gpt2_shakespeare import assets",
            *(f"assets.{name} = {value}" for name, value in settings.items()),
            f"assets.fetch([assets.{asset}], Path('data'))",
        ]
    )
    source = str(Path(assets.__file__).parents[1])
    return subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": source})


def test_of_two_at_once_one_downloads(server, asset):
    server.faults["/f.txt"] = iter([servers.late(1)])
    both = [download(asset), download(asset)]
    assert [process.wait(20) for process in both] == [0, 0]
    assert len(server.seen) == 1
    assert Path("data/f.txt").read_bytes() == DATA


def test_killed_in_a_download_leaves_no_file_and_the_next_goes_on(server, asset):
    server.faults["/f.txt"] = iter([servers.hang(after=100_000)])
    process = download(asset, READ_TIMEOUT=60)
    part = Path(".downloads") / SHA256
    deadline = time.monotonic() + 8  # the server holds the line for 10 s
    while not (part.exists() and part.stat().st_size > 80_000):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    assert not Path("data").exists()
    have = part.stat().st_size
    fetch([asset], Path("data"))
    assert ranges(server) == [None, f"bytes={have}-"]
    assert Path("data/f.txt").read_bytes() == DATA and left_over() == []


# The hub

REPO, COMMIT = "someone/tiny-gpt2", "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def tiny_gpt2(tmp_path_factory) -> dict[str, bytes]:
    """The files of a GPT-2 of two layers."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("tiny")
    config = transformers.GPT2Config(n_layer=2, n_head=2, n_embd=8, vocab_size=32, n_positions=16)
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def hub_cache(monkeypatch, tmp_path):
    """A cache of the test's own. huggingface_hub reads the environment at import, so set its constants."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    return tmp_path / "hub"


@pytest.fixture
def hub(tiny_gpt2, monkeypatch):
    with servers.Hub(REPO, COMMIT, tiny_gpt2) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        yield running


def flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize("revision", [COMMIT, "main"])
def test_a_snapshot_is_plain_files_that_transformers_reads(hub, tiny_gpt2, tmp_path, revision):
    into = fetch_hub(REPO, revision, tmp_path / "base")
    assert sorted(os.listdir(into)) == sorted(assets.HUB_FILES)
    for name in assets.HUB_FILES:
        assert not (into / name).is_symlink() and (into / name).read_bytes() == tiny_gpt2[name]
    from transformers import GPT2LMHeadModel

    assert GPT2LMHeadModel.from_pretrained(into, local_files_only=True).config.n_layer == 2


def test_a_cached_snapshot_opens_no_socket(hub, tmp_path, monkeypatch):
    fetch_hub(REPO, COMMIT, tmp_path / "base")
    no_sockets(monkeypatch)
    assert len(os.listdir(fetch_hub(REPO, COMMIT, tmp_path / "again"))) == 3


def test_generation_settings_are_optional_even_from_the_cache(hub, tmp_path, monkeypatch):
    del hub.files[f"/{REPO}/resolve/{COMMIT}/generation_config.json"]
    fetch_hub(REPO, COMMIT, tmp_path / "base")
    no_sockets(monkeypatch)
    assert sorted(os.listdir(fetch_hub(REPO, COMMIT, tmp_path / "again"))) == [
        "config.json",
        "model.safetensors",
    ]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_wrong_bytes_of_the_right_size_are_refused(hub, tiny_gpt2, tmp_path, name, hub_cache):
    path = f"/{REPO}/resolve/{COMMIT}/{name}"
    hub.faults[path] = repeat(servers.other(flip(tiny_gpt2[name])))
    with pytest.raises(AssetError) as error:
        fetch_hub(REPO, COMMIT, tmp_path / "base")
    (announced,) = re.findall("[0-9a-f]{40,}", hub.headers(path, tiny_gpt2[name])["ETag"])
    assert name in str(error.value) and f"expected {announced}" in str(error.value)
    assert hub.seen.count(("GET", path, None)) == 2
    assert not (tmp_path / "base").exists()
    assert not list(hub_cache.rglob(announced)) and not list(hub_cache.rglob(name))


def test_wrong_bytes_in_the_cache_are_fetched_anew(hub, tiny_gpt2, tmp_path, hub_cache, caplog):
    fetch_hub(REPO, COMMIT, tmp_path / "base")
    (cached,) = hub_cache.rglob("model.safetensors")
    cached.resolve().write_bytes(flip(tiny_gpt2["model.safetensors"]))
    into = fetch_hub(REPO, COMMIT, tmp_path / "again")
    assert (into / "model.safetensors").read_bytes() == tiny_gpt2["model.safetensors"]
    assert f"{cached}: got sha256" in caplog.text


def test_a_cache_without_links_is_checked_too(hub, tiny_gpt2, tmp_path, hub_cache):
    fetch_hub(REPO, COMMIT, tmp_path / "base")
    (cached,) = hub_cache.rglob("model.safetensors")
    cached.unlink()
    cached.write_bytes(flip(tiny_gpt2["model.safetensors"]))
    into = fetch_hub(REPO, COMMIT, tmp_path / "again")
    assert (into / "model.safetensors").read_bytes() == tiny_gpt2["model.safetensors"]


def test_wrong_bytes_under_gpt2s_own_name_are_refused(tiny_gpt2, tmp_path):
    repo_id, revision = assets.HUB_NAMES["gpt2"]
    sha256, size = assets.HUB_PINS[repo_id][1]["config.json"]
    with servers.Hub(repo_id, revision, tiny_gpt2) as hub, pytest.raises(AssetError) as error:
        fetch_hub(repo_id, revision, tmp_path / "base", endpoint=hub.address)
    assert f"expected {sha256} ({size} bytes), twice" in str(error.value)
    assert not (tmp_path / "base").exists()


@pytest.mark.parametrize("name", assets.HUB_FILES)
def test_pins_hold_whatever_the_hub_announces(hub, tiny_gpt2, tmp_path, name, monkeypatch):
    good = {file: tiny_gpt2[file] for file in assets.HUB_FILES}
    pins = {file: (hashlib.sha256(data).hexdigest(), len(data)) for file, data in good.items()}
    monkeypatch.setitem(assets.HUB_PINS, REPO, (COMMIT, pins))
    hub.files[f"/{REPO}/resolve/{COMMIT}/{name}"] = flip(tiny_gpt2[name])
    with pytest.raises(AssetError, match=f"{name} could not be fetched .* expected {pins[name][0]}"):
        fetch_hub(REPO, COMMIT, tmp_path / "base")
    assert not (tmp_path / "base").exists()


def test_pickles_are_never_asked_for(hub, tiny_gpt2, tmp_path):
    path = f"/{REPO}/resolve/{COMMIT}/"
    hub.files[path + "pytorch_model.bin"] = hub.files.pop(path + "model.safetensors")
    with pytest.raises(AssetError, match=r"model\.safetensors could not be fetched .* other formats"):
        fetch_hub(REPO, COMMIT, tmp_path / "base")
    assert set(hub.asked()) <= set(assets.HUB_FILES)


def test_an_unknown_revision_is_named(hub, tmp_path):
    with pytest.raises(AssetError, match=rf"{REPO} at revision v9: .* 404 .*Revision Not Found"):
        fetch_hub(REPO, "v9", tmp_path / "base")


def test_a_hub_that_announces_no_hash_is_refused(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "headers", lambda path, data: {"ETag": '"5f"', "X-Repo-Commit": COMMIT})
    with pytest.raises(AssetError, match="announces no hash"):
        fetch_hub(REPO, COMMIT, tmp_path / "base")


def test_with_no_hub_in_reach_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # huggingface_hub's own patience is 23 s
    with pytest.raises(AssetError) as error:
        fetch_hub(REPO, COMMIT, tmp_path / "base", endpoint=DEAD)
    for part in (
        REPO,
        COMMIT,
        DEAD,
        "refused",
        *assets.HUB_FILES,
        "base.source=path",
        "base.source=pretrain",
    ):
        assert part in str(error.value)
    assert not (tmp_path / "base").exists()


def test_offline_mode_is_honoured(hub, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(AssetError, match="offline"):
        fetch_hub(REPO, COMMIT, tmp_path / "base")
    assert hub.seen == []
