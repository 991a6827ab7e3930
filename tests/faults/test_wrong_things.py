"""Wrong input to whole stages: one clear line that names the key or the file, exit code 1, no traceback."""

import shutil
from pathlib import Path

import micro
import pytest
import torch
from safetensors.torch import load_file, save_file

from gpt2_shakespeare.model import GPT, GPTConfig

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A micro project whose data is there."""
    project = micro.copy(tmp_path_factory.mktemp("wrong"))
    for name in ("download", "prepare"):
        assert micro.stage(project, name).returncode == 0
    return project


@pytest.fixture
def params(prepared):
    """Edits params.yaml for the length of a test."""
    saved = (prepared / "params.yaml").read_text()
    yield lambda change: micro.edit(prepared, change)
    (prepared / "params.yaml").write_text(saved)


def fails(done, *words):
    """The stage ends with code 1 and one line that holds the words."""
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stdout
    lines = [line for line in done.stdout.splitlines() if all(word in line for word in words)]
    assert len(lines) == 1, done.stdout


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("epochs", 0, ["params.yaml: epochs", "greater than 0"]),
        ("epochs", "six", ["params.yaml: epochs", "'six'"]),
        ("scale", "huge", ["scale: 'huge' is none of demo, laptop, novels, paper"]),
        ("seeds", [], ["params.yaml: seeds"]),
        ("epoch", 2, ["epoch: unknown key; did you mean 'epochs'?"]),
    ],
)
def test_wrong_params(prepared, params, key, value, words):
    params(lambda p: p.update({key: value}))
    fails(micro.stage(prepared, "check"), *words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", ["own.txt", "empty"]),
        (b" \n\n", ["own.txt", "empty"]),
        (b"good until here \xff", ["own.txt", "UTF-8", "byte 16"]),
        (None, ["own.txt", "No such file"]),
    ],
)
def test_a_corpus_that_cannot_be_read(prepared, params, text, words):
    if text is not None:
        (prepared / "own.txt").write_bytes(text)
    params(lambda p: p.update(corpus_path="own.txt"))
    done = micro.stage(prepared, "download")
    (prepared / "own.txt").unlink(missing_ok=True)
    fails(done, *words)


def test_a_corpus_that_is_too_short(prepared, params):
    """Reported by prepare, before anything is trained; with both lengths."""
    assert micro.stage(prepared, "download").returncode == 0
    params(lambda p: p["scales"]["demo"]["model"].update(block_size=4096))
    params(lambda p: p["scales"]["demo"]["rows"]["scratch"].update(context={4096: 1}))
    params(lambda p: p["scales"]["demo"]["rows"]["scratch_tuned"].update(context={4096: 1}))
    params(lambda p: p["scales"]["demo"].update(base={"source": "path"}))
    fails(micro.stage(prepared, "prepare"), "too short", "4096")


def use_novels(params):
    params(lambda p: p.update(scale="novels"))


def test_no_network_and_no_mirror(prepared, params):
    use_novels(params)
    done = micro.stage(prepared, "download")
    assert done.returncode == 1 and "Traceback" not in done.stdout
    for word in ("tinyshakespeare/input.txt", "https://", "GPT2_SHAKESPEARE_MIRROR", "scale=demo"):
        assert word in done.stdout


def test_a_damaged_file_in_a_mirror(prepared, params, tmp_path):
    use_novels(params)
    params(lambda p: p["scales"]["novels"].update(base={"source": "path"}))
    (tmp_path / "tinyshakespeare").mkdir()
    (tmp_path / "tinyshakespeare/input.txt").write_text("First Citizen:\nNot the text.\n")
    done = micro.stage(prepared, "download", GPT2_SHAKESPEARE_MIRROR=str(tmp_path))
    assert done.returncode == 1 and "Traceback" not in done.stdout
    assert "tinyshakespeare/input.txt" in done.stdout and "sha256" in done.stdout


def test_a_base_with_a_missing_tensor(prepared, params, tmp_path):
    model = GPT(GPTConfig(block_size=32, vocab_size=300, n_layer=1, n_head=2, n_embd=16))
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    save_file({k: v for k, v in tensors.items() if "ln_f.bias" not in k}, tmp_path / "model.safetensors")
    params(lambda p: p.update(base_path=str(tmp_path)))
    params(lambda p: p["scales"]["demo"].update(base={"source": "path"}))
    fails(micro.stage(prepared, "base"), "model.safetensors", "ln_f.bias is missing")


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ({"vocab_size": 301}, ["301 token types", "tokenizer.source"]),
        ({"block_size": 16}, ["block_size 16", "windows of 32"]),
    ],
)
def test_a_base_that_does_not_fit(prepared, params, tmp_path, shape, words):
    GPT(
        GPTConfig(**{"block_size": 32, "vocab_size": 300, "n_layer": 1, "n_head": 2, "n_embd": 16} | shape)
    ).save_pretrained(tmp_path)
    params(lambda p: p.update(base_path=str(tmp_path)))
    params(lambda p: p["scales"]["demo"].update(base={"source": "path"}))
    fails(micro.stage(prepared, "base"), *words)


def test_a_base_folder_without_a_model(prepared, params):
    params(lambda p: p["scales"]["demo"].update(base={"source": "path"}))
    fails(micro.stage(prepared, "base"), "data/own/base/config.json", "Hugging Face format")


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a GPU")
def test_a_gpu_that_is_not_there(prepared, params):
    params(lambda p: p["scales"]["demo"]["runtime"].update(device="cuda"))
    fails(micro.stage(prepared, "base"), "runtime.device", "no GPU")


def test_an_output_folder_that_is_read_only(prepared):
    """Found before training; a mount in a namespace of our own, as root may write to any plain folder."""
    assert micro.stage(prepared, "prepare").returncode == 0
    (prepared / "models").mkdir(exist_ok=True)
    done = micro.run(
        prepared, "unshare", "--mount", "--map-root-user", "sh", "-c",
        "mount -t tmpfs -o ro none models && exec python stages/train.py --row scratch --seed 1337",
    )  # fmt: skip
    if "unshare" in done.stdout or "mount:" in done.stdout:
        pytest.skip(f"no mount namespaces here: {done.stdout.strip()}")
    fails(done, "train: models/demo", "Read-only file system")
    assert "step" not in done.stdout
    assert not list((prepared / ".checkpoints").rglob("step-*"))


def test_outputs_of_an_earlier_stage_missing(prepared):
    shutil.rmtree(prepared / "data/demo/corpus/tokenizer")
    done = micro.stage(prepared, "train", "--row", "scratch", "--seed", "1337")
    micro.stage(prepared, "prepare")
    fails(done, "tokenizer", "dvc repro prepare")


def test_not_in_the_project(tmp_path):
    stage = Path(micro.ROOT / "stages/check.py")
    fails(micro.run(tmp_path, "python", str(stage)), "params.yaml", "root")
