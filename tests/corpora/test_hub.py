"""A snapshot of a model from the hub is whole, checked against hashes, and never a pickle."""

import hashlib
import json
import os
import re
import time
from itertools import repeat

import pytest
import servers
from downloads import DEAD, no_sockets

from gpt2_shakespeare.corpora import assets
from gpt2_shakespeare.corpora.assets import AssetError
from gpt2_shakespeare.corpora.hub import FILES, INDEX, fetch_hub

pytestmark = pytest.mark.usefixtures("impatient")

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
    assert sorted(os.listdir(into)) == sorted(FILES)
    for name in FILES:
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
    sha256, size = assets.HUB_PINS[repo_id, revision]["config.json"]
    with servers.Hub(repo_id, revision, tiny_gpt2) as hub, pytest.raises(AssetError) as error:
        fetch_hub(repo_id, revision, tmp_path / "base", endpoint=hub.address)
    assert f"expected {sha256} ({size} bytes), twice" in str(error.value)
    assert not (tmp_path / "base").exists()


@pytest.mark.parametrize("name", FILES)
def test_pins_hold_whatever_the_hub_announces(hub, tiny_gpt2, tmp_path, name, monkeypatch):
    good = {file: tiny_gpt2[file] for file in FILES}
    pins = {file: (hashlib.sha256(data).hexdigest(), len(data)) for file, data in good.items()}
    monkeypatch.setitem(assets.HUB_PINS, (REPO, COMMIT), pins)
    hub.files[f"/{REPO}/resolve/{COMMIT}/{name}"] = flip(tiny_gpt2[name])
    with pytest.raises(AssetError, match=f"{name} could not be fetched .* expected {pins[name][0]}"):
        fetch_hub(REPO, COMMIT, tmp_path / "base")
    assert not (tmp_path / "base").exists()


def test_pickles_are_never_asked_for(hub, tiny_gpt2, tmp_path):
    path = f"/{REPO}/resolve/{COMMIT}/"
    hub.files[path + "pytorch_model.bin"] = hub.files.pop(path + "model.safetensors")
    with pytest.raises(AssetError, match=r"model\.safetensors could not be fetched .* other formats"):
        fetch_hub(REPO, COMMIT, tmp_path / "base")
    assert set(hub.asked()) <= {*FILES, INDEX}


def sharded(hub, tiny_gpt2, names=("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")):
    """The weights in two files, and the index that names them."""
    path = f"/{REPO}/resolve/{COMMIT}/"
    hub.files.pop(path + "model.safetensors")
    hub.files |= {path + name: tiny_gpt2["model.safetensors"] + name.encode() for name in names}
    index = {"metadata": {}, "weight_map": {f"w{i}": name for i, name in enumerate((*names, names[0]))}}
    hub.files[path + INDEX] = json.dumps(index).encode()
    return path


def test_weights_in_several_files_are_all_fetched_and_checked(hub, tiny_gpt2, tmp_path, monkeypatch):
    path = sharded(hub, tiny_gpt2)
    into = fetch_hub(REPO, COMMIT, tmp_path / "base")
    shards = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    assert sorted(os.listdir(into)) == sorted(["config.json", "generation_config.json", INDEX, *shards])
    assert all((into / name).read_bytes() == hub.files[path + name] for name in shards)
    no_sockets(monkeypatch)
    assert len(os.listdir(fetch_hub(REPO, COMMIT, tmp_path / "again"))) == 5


def test_a_missing_or_damaged_shard_leaves_nothing(hub, tiny_gpt2, tmp_path):
    path = sharded(hub, tiny_gpt2)
    second = "model-00002-of-00002.safetensors"
    hub.faults[path + second] = repeat(servers.other(flip(hub.files[path + second])))
    with pytest.raises(AssetError, match=f"{second} could not be fetched .* expected"):
        fetch_hub(REPO, COMMIT, tmp_path / "base")
    del hub.files[path + second]
    with pytest.raises(AssetError, match=f"{second} could not be fetched .* has none"):
        fetch_hub(REPO, COMMIT, tmp_path / "base")
    assert not (tmp_path / "base").exists()


@pytest.mark.parametrize(
    "name", ["../evil.safetensors", "/etc/x.safetensors", "a/b.safetensors", "pytorch_model.bin", ".x", 5]
)
def test_an_index_that_names_something_else_is_refused(hub, tiny_gpt2, tmp_path, name):
    path = sharded(hub, tiny_gpt2)
    hub.files[path + INDEX] = json.dumps({"weight_map": {"w": name}}).encode()
    with pytest.raises(AssetError, match="names no file of weights"):
        fetch_hub(REPO, COMMIT, tmp_path / "base")
    assert not (tmp_path / "base").exists()


TOKENIZER = {"tokenizer.json": b"{}", "tokenizer_config.json": b"{} "}


def test_the_tokenizer_comes_along_where_it_is_wanted(hub, tmp_path):
    hub.files |= {f"/{REPO}/resolve/{COMMIT}/{name}": data for name, data in TOKENIZER.items()}
    for wanted in (True, False):
        into = fetch_hub(REPO, COMMIT, tmp_path / str(wanted), tokenizer=wanted)
        assert sorted(os.listdir(into)) == sorted([*FILES, *TOKENIZER])
    assert sorted(os.listdir(fetch_hub(REPO, COMMIT, tmp_path / "none"))) == sorted(FILES)


def test_a_repository_without_a_tokenizer_is_refused_where_it_is_needed_alone(hub, tmp_path):
    assert sorted(os.listdir(fetch_hub(REPO, COMMIT, tmp_path / "a", tokenizer=False))) == sorted(FILES)
    with pytest.raises(AssetError, match=r"tokenizer\.json could not be fetched .* the repository has none"):
        fetch_hub(REPO, COMMIT, tmp_path / "b", tokenizer=True)
    hub.files[f"/{REPO}/resolve/{COMMIT}/tokenizer.json"] = b"{}"
    (tmp_path / "hub").rename(tmp_path / "old cache")
    assert "tokenizer.json" in os.listdir(fetch_hub(REPO, COMMIT, tmp_path / "b", tokenizer=True))


def test_a_pinned_revision_is_taken_as_pinned(hub, tiny_gpt2, tmp_path, monkeypatch):
    hub.files |= {f"/{REPO}/resolve/{COMMIT}/{name}": data for name, data in TOKENIZER.items()}
    pins = {file: (hashlib.sha256(tiny_gpt2[file]).hexdigest(), len(tiny_gpt2[file])) for file in FILES}
    monkeypatch.setitem(assets.HUB_PINS, (REPO, COMMIT), pins)
    assert sorted(os.listdir(fetch_hub(REPO, COMMIT, tmp_path / "a", tokenizer=False))) == sorted(FILES)
    assert "tokenizer.json" in os.listdir(fetch_hub(REPO, COMMIT, tmp_path / "b", tokenizer=True))


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
        *FILES,
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
