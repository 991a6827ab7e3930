"""The registry of all files that come from outside: where each lies and what its bytes must be, from assets.yaml."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpt2_shakespeare.corpora import tables
from gpt2_shakespeare.errors import UserError


class AssetError(UserError, RuntimeError):
    """A file can't be had; the message says which, from where, and what to do."""


@dataclass(frozen=True)
class Asset:
    """A pinned file. `path` is relative to a mirror's root; `sha256` is in hex, `size` in bytes; `url` may be empty."""

    path: str
    url: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Package:
    """A model's file in a wheel: `inside` is its name there."""

    distribution: str
    version: str
    wheel: Asset
    member: Asset
    inside: str


_registry = tables.read(Path(__file__).with_name("assets.yaml"))


def _files(folder: str) -> tuple[Asset, ...]:
    group = _registry["files"][folder]
    return tuple(
        Asset(f"{folder}/{name}", f"{group['address']}/{name}", **facts)
        for name, facts in group["files"].items()
    )


(TINY_SHAKESPEARE,) = _files("tinyshakespeare")
GPT2_BPE = _files("gpt2")
(WIKITEXT2_TEST,) = _files("wikitext-2")
NOVELS = _files("english-novels")
NOVELS_HELD_OUT = tuple(
    novel for novel in NOVELS if Path(novel.path).stem in _registry["files"]["english-novels"]["held_out"]
)


def _in_packages(facts: dict[str, Any]) -> Asset:
    return Asset(f"packages/{Path(facts['name']).name}", "", facts["sha256"], facts["size"])


PACKAGES: dict[str, Package] = {
    name: Package(
        facts["distribution"],
        facts["version"],
        _in_packages(facts["wheel"]),
        _in_packages(facts["member"]),
        facts["member"]["name"],
    )
    for name, facts in _registry["packages"].items()
}

HUB_NAMES: dict[str, tuple[str, str]] = {
    name: (model["repository"], model["revision"]) for name, model in _registry["hub"].items()
}
"""Short name -> (repository, pinned revision)."""

HUB_PINS: dict[tuple[str, str], dict[str, tuple[str, int]]] = {
    HUB_NAMES[name]: {file: (facts["sha256"], facts["size"]) for file, facts in model["files"].items()}
    for name, model in _registry["hub"].items()
    if "files" in model
}
"""(Repository, revision) -> file -> (sha256, bytes)."""
