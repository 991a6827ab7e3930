"""The stages with a base's own tokenizer: what each hands on, and what is refused before anything is trained."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import micro
import numpy as np
import pytest
import transformers
from architectures import saved
from test_wrong_things import fails

from gpt2_shakespeare.corpora import assets
from gpt2_shakespeare.corpora.pastiche import plays, prose
from gpt2_shakespeare.model import GPT, GPTConfig
from gpt2_shakespeare.tokens import hugging_face, tokenizer

pytestmark = pytest.mark.slow

TYPES, ROWS = 320, 384  # of the tokenizer, and of the base's embedding, which is padded
REGISTRY = "src/gpt2_shakespeare/corpora/assets.yaml"


def settings(params):
    params["base_path"] = "my base"
    params["scales"]["demo"] |= {"tokenizer": {"source": "base"}, "base": {"source": "path"}}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A micro project with a base of the user, and a mirror with a text that stands for WikiText and the novels."""
    project = micro.copy(tmp_path_factory.mktemp("base tokenizer"))
    micro.edit(project, settings)
    text = prose()[:20_000].encode()
    registry = (project / REGISTRY).read_text().splitlines()
    for asset in (assets.WIKITEXT2_TEST, *assets.NOVELS_HELD_OUT):
        name = Path(asset.path).name
        (line,) = (n for n, line in enumerate(registry) if line.startswith(f"      {name}:"))
        registry[line] = f"      {name}: {{size: {len(text)}, sha256: {hashlib.sha256(text).hexdigest()}}}"
        (project / "mirror" / asset.path).parent.mkdir(parents=True, exist_ok=True)
        (project / "mirror" / asset.path).write_bytes(text)
    (project / REGISTRY).write_text("\n".join(registry))

    folder = project / "my base"
    tokenizer.train([plays()], TYPES, project / "pair")
    GPT(GPTConfig(block_size=32, vocab_size=ROWS, n_layer=1, n_head=2, n_embd=16)).save_pretrained(folder)
    hugging_face.write(folder, project / "pair", 32)
    return project


def stage(project, name, *args):
    return micro.stage(project, name, *args, GPT2_SHAKESPEARE_MIRROR=str(project / "mirror"))


def test_download_prepare_and_base_hand_the_tokenizer_on(project):
    for name in ("check", "download", "prepare", "base"):
        done = stage(project, name)
        assert done.returncode == 0, done.stdout
    assert os.listdir(project / "data/demo/pretrain") == ["EMPTY.txt"]  # DVC warns of a folder without files
    files = {"config.json", "source.json", "tokenizer.json", "tokenizer_config.json"}  # not the weights
    assert set(os.listdir(project / "data/demo/raw/base")) == files
    assert json.loads((project / "data/demo/raw/base/source.json").read_text()) == {"source": "path"}
    ours, theirs = (tokenizer.load(project / folder) for folder in ("data/demo/corpus/tokenizer", "pair"))
    assert (ours.n_vocab, ours.eot_token) == (TYPES, TYPES - 1)
    text = (project / "data/own/corpus.txt").read_text()
    tokens = [
        np.load(project / "data/demo" / name) for name in ("corpus/dev.npy", "corpus/train.npy", "val.npy")
    ]
    assert np.concatenate(tokens).tolist() == theirs.encode_ordinary(text)
    assert tokens[0].dtype == np.uint16
    facts = json.loads((project / "data/demo/corpus/facts.json").read_text())
    assert facts["vocab_size"] == TYPES and sum(facts["chars"].values()) == len(text)
    base = project / "models/demo/base/0"
    assert json.loads((base / "config.json").read_text())["vocab_size"] == ROWS
    assert json.loads((base / "tokenizer_config.json").read_text())["model_max_length"] == 32
    assert (base / "tokenizer.json").read_bytes() == (
        project / "data/demo/corpus/tokenizer/tokenizer.json"
    ).read_bytes()


def test_a_llama_goes_through_every_stage(project):
    """It has no dropout, learned positions or biases, and reads longer texts than the scale does."""
    folder, kept = project / "my base", project / "kept base"
    shutil.copytree(folder, kept)
    saved(folder, "llama", vocab_size=ROWS, max_position_embeddings=64)
    try:
        for name in ("check", "download", "prepare", "base"):
            assert stage(project, name).returncode == 0
        base = json.loads((project / "models/demo/base/0/config.json").read_text())
        assert (base["model_type"], base["block_size"]) == ("llama", 32)

        done = stage(project, "train", "--row", "finetune", "--seed", "1337")
        assert done.returncode == 1 and "dropout: a model of type llama has no such dropout" in done.stdout
        micro.edit(project, lambda p: p["scales"]["demo"]["finetuning"].update(dropout=0.0))
        measured = ("train", "evaluate")
        for row, names in (
            ("finetune", (*measured, "texts", "decode")), ("finetune_lora", measured), ("scratch_same", measured),
        ):  # fmt: skip
            for name in names:
                done = stage(project, name, "--row", row, "--seed", "1337")
                assert done.returncode == 0, done.stdout
        history = (project / "data/demo/histories/finetune-1337.csv").read_text()
        assert "kl_novels" in history and "kl_plays" in history
        for name in ("evaluate", "texts"):
            assert stage(project, name, "--row", "base", "--seed", "0").returncode == 0
        texts = json.loads((project / "data/demo/texts/base-0.json").read_text())
        assert {"recall_train", "recall_novels", "recall_plays", "recall_wikitext"} < texts.keys()
        losses = {
            row: json.loads((project / f"data/demo/evaluation/{row}.json").read_text())["val_loss"]
            for row in ("base-0", "finetune-1337", "scratch_same-1337")
        }
        assert losses["finetune-1337"] < losses["base-0"]
        model = transformers.AutoModelForCausalLM.from_pretrained(project / "models/demo/finetune/1337")
        assert model.config.model_type == "llama"
    finally:
        shutil.rmtree(folder)
        kept.rename(folder)


def test_a_base_without_a_tokenizer_is_refused_by_download(project):
    file = project / "my base/tokenizer.json"
    file.rename(project / "aside")
    done = stage(project, "download")
    (project / "aside").rename(file)
    fails(done, "my base/tokenizer.json", "No such file", "tokenizer.source base")


def test_a_tokenizer_that_loses_something_of_the_corpus_is_refused_by_prepare(project):
    file = project / "my base/tokenizer.json"
    saved = file.read_text()
    file.write_text(json.dumps(json.loads(saved) | {"normalizer": {"type": "Lowercase"}}))
    assert stage(project, "download").returncode == 0
    done = stage(project, "prepare")
    file.write_text(saved)
    fails(done, "prepare: the base's tokenizer doesn't give the text back: from byte 0 on")


def test_an_embedding_smaller_than_the_tokenizer_is_refused(project):
    for name in ("download", "prepare"):
        assert stage(project, name).returncode == 0
    shutil.copytree(project / "my base", project / "small")
    GPT(GPTConfig(block_size=32, vocab_size=TYPES - 1, n_layer=1, n_head=2, n_embd=16)).save_pretrained(
        project / "small"
    )
    micro.edit(project, lambda params: params.update(base_path="small"))
    done = stage(project, "base")
    micro.edit(project, settings)
    fails(done, f"{TYPES - 1} token types", str(TYPES))
