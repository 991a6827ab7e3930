"""A complete model folder, opened as a newcomer would: by transformers alone."""

import json
import os
import random
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import servers
import torch
from test_gpt import tiny
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

from gpt2_shakespeare.corpora.hub import fetch_hub
from gpt2_shakespeare.model import ModelError, load_model
from gpt2_shakespeare.model.complete import complete
from gpt2_shakespeare.texts.sampling import generate
from gpt2_shakespeare.tokens import json_tokenizer, tokenizer

TEXT = (
    "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak. We're 12,345 men!\n"
)
CARD = "---\nlicense: mit\n---\n\n# A model\n"
FILES = [
    "README.md", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
]  # fmt: skip


@pytest.fixture(scope="module")
def encoding(tmp_path_factory):
    return tokenizer.train([TEXT], 300, tmp_path_factory.getbasetemp() / "our tokenizer")


@pytest.fixture(scope="module")
def folder(encoding, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny(vocab_size=300, block_size=64).save_pretrained(folder)
    complete(folder, tmp_path_factory.getbasetemp() / "our tokenizer", CARD)
    return folder


def odd_texts():
    """200 texts of words, spaces, line ends, contractions, digits, controls and all planes of Unicode."""
    choose = random.Random(0)
    pieces = ["First", " Citizen", "'s", "'LL", "  ", "\n", "\n\n\n", "\r\n", "\t", "12", "3.5", " \u00a0", "\u2028", "\x00",
              "\u00e9", "e\u0301", "\u6f22", "\U0001f468\u200d\U0001f469", "\ufeff", "<|", "|>", "_", "!?", " x", "\u202e"]  # fmt: skip
    texts = ["", " ", "\n", "  lead", "trail  ", "a  b   c"]
    while len(texts) < 200:
        text = "".join(choose.choice(pieces) for _ in range(choose.randrange(1, 30)))
        text += "".join(
            chr(choose.choice([*range(1, 0xD800), *range(0xE000, 0x110000, 97)])) for _ in range(3)
        )
        texts.append(text)
    return texts


def test_the_folder_has_every_file_and_each_has_plain_rights(folder):
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}
    assert (folder / "README.md").read_text() == CARD


def test_transformers_tokenizer_gives_the_same_ids_and_texts(folder, encoding):
    theirs = AutoTokenizer.from_pretrained(folder)
    assert (len(theirs), theirs.model_max_length, theirs.eos_token_id) == (300, 64, 299)
    for text in odd_texts():
        ids = encoding.encode_ordinary(text)
        assert theirs.encode(text) == ids, text
        assert theirs.decode(ids) == text
    assert theirs.encode("a<|endoftext|>b")[1] == 299  # as in GPT-2's own


def test_the_pipeline_continues_a_prompt_as_we_do(folder, encoding):
    model, prompt = tiny(vocab_size=300, block_size=64), "First Citizen:\n"
    ids = torch.tensor([encoding.encode_ordinary(prompt)])
    wanted = generate(model, ids, 20, temperature=0)[0].tolist()
    wanted = wanted[: wanted.index(299)] if 299 in wanted else wanted
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = pipeline("text-generation", model=str(folder), device="cpu")(
            prompt, do_sample=False, max_new_tokens=20
        )
    assert made[0]["generated_text"] == encoding.decode(wanted)
    assert len(made[0]["generated_text"]) > len(prompt)


def test_without_any_settings_it_goes_on_to_the_end_of_the_context(folder, encoding):
    """Not beyond it, where GPT-2 has no positions."""
    theirs = AutoModelForCausalLM.from_pretrained(folder)
    ids = torch.tensor([encoding.encode_ordinary("First")])
    assert ids.size(1) < theirs.generate(ids).size(1) <= 64
    made = pipeline("text-generation", model=str(folder), device="cpu")("First Citizen:\n")
    assert len(made[0]["generated_text"]) > len("First Citizen:\n")


def test_twice_gives_the_same_bytes_and_no_place_or_time(folder, encoding, tmp_path, tmp_path_factory):
    tiny(vocab_size=300, block_size=64).save_pretrained(tmp_path)
    complete(tmp_path, tmp_path_factory.getbasetemp() / "our tokenizer", CARD)
    for name in FILES:
        raw = (folder / name).read_bytes()
        assert raw == (tmp_path / name).read_bytes()
        assert str(folder).encode() not in raw
    assert set(json.loads((folder / "generation_config.json").read_text())) == {
        "bos_token_id", "eos_token_id", "pad_token_id", "max_length",
    }  # fmt: skip


def test_a_tokenizer_of_another_size_is_refused(encoding, tmp_path, tmp_path_factory):
    tiny(vocab_size=301).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="301 token types and the tokenizer in .* 300"):
        complete(tmp_path, tmp_path_factory.getbasetemp() / "our tokenizer", CARD)


def test_an_embedding_with_more_rows_than_the_bases_tokenizer_has_types(folder, tmp_path):
    """Padding, as bases have it; with fewer rows it is refused. The end of a text is the tokenizer's, not the last id."""
    found = json.loads((folder / "tokenizer.json").read_text())
    end = {token["content"]: token for token in found["added_tokens"]}["<|endoftext|>"]
    found["added_tokens"].append(end | {"id": 300, "content": "<|more|>"})
    (tmp_path / "base").mkdir()
    (tmp_path / "base/tokenizer.json").write_text(json.dumps(found))
    encoding = json_tokenizer.take(tmp_path / "base", tmp_path / "ours")
    assert (encoding.n_vocab, encoding.eot_token) == (301, 299)
    tiny(vocab_size=320, block_size=64).save_pretrained(tmp_path / "model")
    complete(tmp_path / "model", tmp_path / "ours", CARD)
    for name in ("config.json", "generation_config.json"):
        assert json.loads((tmp_path / "model" / name).read_text())["eos_token_id"] == 299
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "model").config.vocab_size == 320
    tiny(vocab_size=300).save_pretrained(tmp_path / "small")
    with pytest.raises(ModelError, match="300 token types and the tokenizer in .* 301"):
        complete(tmp_path / "small", tmp_path / "ours", CARD)


def test_what_hf_upload_sends_is_a_base_again(folder, tmp_path):
    """docs/sharing.md: `hf upload me/my-shakespeare models/demo/finetune/1337`, and `base.source: hub` takes it."""
    repo, commit = "me/my-shakespeare", "0123456789abcdef0123456789abcdef01234567"
    with servers.Hub(repo, commit, {}) as hub:
        environment = os.environ | {
            "HF_ENDPOINT": hub.address, "HF_TOKEN": "secret", "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1"
        }  # fmt: skip
        program = Path(sys.executable).with_name("hf")
        done = subprocess.run(
            [program, "upload", repo, folder], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        sent = {
            path.rsplit("/", 1)[-1]: data for path, data in hub.files.items() if f"/resolve/{commit}/" in path
        }
        assert {name: sent[name] for name in FILES} == {name: (folder / name).read_bytes() for name in FILES}
        into = fetch_hub(repo, "main", tmp_path / "base", tokenizer=True, endpoint=hub.address)
    theirs, ours = load_model(into).state_dict(), load_model(folder).state_dict()
    assert theirs.keys() == ours.keys() and all(theirs[name].equal(ours[name]) for name in ours)
