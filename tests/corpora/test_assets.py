"""The registry names each file's address, size and hash."""

import os
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest
from downloads import no_sockets

from gpt2_shakespeare.corpora import assets, fetch, hub
from gpt2_shakespeare.params import schema


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
    assert len(assets.NOVELS_HELD_OUT) == 4 and set(assets.NOVELS_HELD_OUT) < set(assets.NOVELS)


def test_the_hub_names_are_pinned():
    for repo_id, revision in assets.HUB_NAMES.values():
        assert repo_id.startswith("openai-community/gpt2") and re.fullmatch("[0-9a-f]{40}", revision)
    repo_id, revision = assets.HUB_NAMES["gpt2"]
    files = assets.HUB_PINS[repo_id, revision]
    assert set(files) == set(hub.FILES)
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) and size > 0 for sha256, size in files.values())


def test_packages_are_pinned_to_a_version_and_the_schema_knows_them():
    known = typing.get_args(schema.Base.model_fields["package"].annotation)[0]
    assert set(assets.PACKAGES) == set(typing.get_args(known))
    for package in assets.PACKAGES.values():
        name = package.distribution.replace("-", "_")
        assert package.wheel.path == f"packages/{name}-{package.version}-py3-none-any.whl"
        assert package.inside.startswith(f"{name}/") and package.inside.endswith(".gguf")
        assert package.member.path == f"packages/{Path(package.inside).name}"
        for asset in (package.wheel, package.member):
            assert re.fullmatch("[0-9a-f]{64}", asset.sha256) and asset.size > 0 and not asset.url


def test_importing_is_cheap():
    heavy = "{'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)"
    modules = (
        "gpt2_shakespeare.corpora.fetch, gpt2_shakespeare.corpora.hub, gpt2_shakespeare.corpora.pastiche"
    )
    subprocess.run(
        [sys.executable, "-c", f"import sys, {modules}; sys.exit(str({heavy}) if {heavy} else 0)"],
        check=True,
        env=os.environ | {"PYTHONPATH": str(Path(assets.__file__).parents[2])},
    )


MIRROR = os.environ.get(fetch.MIRROR_VARIABLE) or str(Path(__file__).parents[3] / "shared" / "assets")


@pytest.mark.skipif(not Path(MIRROR).is_dir(), reason="no mirror folder at hand")
def test_a_mirror_at_hand_has_what_the_registry_says(monkeypatch, tmp_path):
    no_sockets(monkeypatch)
    wanted = [assets.TINY_SHAKESPEARE, *assets.GPT2_BPE, assets.WIKITEXT2_TEST, *assets.NOVELS]
    paths = fetch.fetch(wanted, tmp_path / "data", mirrors=[MIRROR])
    assert [path.stat().st_size for path in paths] == [asset.size for asset in wanted]
