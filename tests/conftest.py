"""Before any test imports torch: the package's environment, and one thread, as pytest runs several processes."""

import gpt2_shakespeare  # noqa: F401  # isort: skip  (sets what OpenMP reads when torch is imported)
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

torch.set_num_threads(1)
# what a test starts imports this tree's package too, whatever is installed
os.environ["PYTHONPATH"] = str(Path(__file__).parents[1] / "src")


@pytest.fixture
def tiny_shakespeare(tmp_path):
    """All tokens before val, and val, as the reference splits them; skipped where no mirror has the files."""
    from gpt2_shakespeare import paths
    from gpt2_shakespeare.corpora import assets
    from gpt2_shakespeare.corpora.fetch import fetch
    from gpt2_shakespeare.tokens import tokenizer
    from gpt2_shakespeare.tokens.corpus import encode, read_corpus

    try:
        fetch([assets.TINY_SHAKESPEARE, *assets.GPT2_BPE], tmp_path, partial=paths.DOWNLOADS)
    except assets.AssetError:
        pytest.skip("no mirror at hand")
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    for asset in assets.GPT2_BPE:
        (tmp_path / asset.path).rename(folder / Path(asset.path).name)
    text = read_corpus(tmp_path / assets.TINY_SHAKESPEARE.path)
    tokens = encode(tokenizer.load(folder), [text])
    return np.split(tokens, [int(0.9 * len(tokens))])


def pytest_collection_modifyitems(items):
    """The longest file first, then the other slow ones, so that no worker ends long after the others."""
    items.sort(
        key=lambda item: (item.path.name != "test_end_to_end.py", item.get_closest_marker("slow") is None)
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project of one's own, of one row of each kind, whose pipeline has run; nothing of it is committed.

    It is run once for all test files, whichever process has them.
    """
    import kills_pipeline
    import micro
    from filelock import FileLock

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with FileLock(shared / "finished.lock"):
        if not (shared / "finished").exists():
            made = kills_pipeline.prepare(shared / "finished.new")
            done = micro.run(made, "dvc", "repro")
            assert done.returncode == 0, done.stdout
            made.rename(shared / "finished")
    return shutil.copytree(
        shared / "finished", tmp_path_factory.mktemp("finished") / "project", symlinks=True
    )
