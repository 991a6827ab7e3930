"""A base's own tokenizer: the bytes of its types, its ids as transformers gives them, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from gpt2_shakespeare.tokens import hugging_face, json_tokenizer, tokenizer
from gpt2_shakespeare.tokens.corpus import encode
from gpt2_shakespeare.tokens.files import load_tokens, save_tokens
from gpt2_shakespeare.tokens.tokenizer import TokenizerError

TEXT = (
    "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak. We're 12,345 men!\n"
)
ODD = [
    "", " ", "\n", " lead", "trail  ", "a  b   c", "\x00\x01\x7f", "na\u00efve \u2014 \u6f22\u5b57 \U0001f468\u200d\U0001f469 \u00a0end",
    "\r\n\ttab", "  12 345", "<s> </s> <|endoftext|><|im_end|>", "<0x41>", "\ufeffx", "e\u0301" * 9,
]  # fmt: skip


def trained(normalizer, pre_tokenizer, decoder, specials, alphabet=(), size=320):
    made = Tokenizer(models.BPE())
    made.normalizer, made.pre_tokenizer, made.decoder = normalizer, pre_tokenizer, decoder
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=specials, initial_alphabet=list(alphabet), show_progress=False
    )
    made.train_from_iterator([TEXT] * 3, trainer)
    return made


def byte_level(normalizer=None):
    """As SmolLM2's and Qwen's: no prefix, special tokens first."""
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made = trained(
        normalizer, split, decoders.ByteLevel(), ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    return json.loads(made.to_str())


def llama2():
    """Sentencepiece's kind: BOS and a space before each text, and bytes for what it doesn't know."""
    first = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    back = [
        decoders.Replace("\u2581", " "),
        decoders.ByteFallback(),
        decoders.Fuse(),
        decoders.Strip(" ", 1, 0),
    ]
    specials = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    made = trained(first, None, decoders.Sequence(back), specials[:3], size=60)
    made.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A $B", [("<s>", 1)])
    found = json.loads(made.to_str())
    names = sorted(found["model"]["vocab"], key=found["model"]["vocab"].get)[3:]
    found["model"] |= {"vocab": {name: n for n, name in enumerate([*specials, *names])}}
    found["model"] |= {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True}
    return found


def gemma():
    found = llama2()
    found["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    return found


def metaspace():
    found = llama2()
    found["normalizer"] = None
    space = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False}
    return found | {"pre_tokenizer": space}


KINDS = {"byte_level": byte_level, "llama2": llama2, "gemma": gemma, "metaspace": metaspace}


def write(folder: Path, found, settings=None) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(found), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings or {"eos_token": "</s>"}))
    return folder


@pytest.fixture(params=KINDS)
def kind(request, tmp_path):
    return write(tmp_path / "base", KINDS[request.param]())


def test_a_text_comes_back_byte_for_byte_and_types_are_its_bytes(kind, tmp_path):
    json_tokenizer.take(kind, tmp_path / "ours")
    encoding = tokenizer.load(tmp_path / "ours")
    for text in [TEXT, *ODD]:
        ids = encoding.encode_ordinary(text)
        assert encoding.decode_bytes(ids) == text.encode() and encoding.decode(ids) == text
        pieces = encoding.decode_tokens_bytes(ids)
        assert pieces == [encoding.decode_single_token_bytes(token) for token in ids]
        assert b"".join(pieces) == text.encode()
        assert encoding.eot_token not in ids  # what looks like it in a text is a text
    assert len(encoding.encode_ordinary(TEXT)) < len(TEXT)


def test_transformers_reads_our_copy_with_the_same_ids(kind, tmp_path):
    from transformers import AutoTokenizer

    encoding = json_tokenizer.take(kind, tmp_path / "ours")
    hugging_face.write(tmp_path / "model", tmp_path / "ours", 77)
    (tmp_path / "model/config.json").write_text('{"model_type": "llama"}')
    theirs = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert (theirs.model_max_length, theirs.eos_token_id) == (77, encoding.eot_token)
    for text in [TEXT, *(text for text in ODD if "<" not in text)]:  # there `<s>` in a text is special
        assert theirs.encode(text) == encoding.encode_ordinary(text), text


def test_the_copy_is_the_same_whoever_makes_it(kind, tmp_path):
    json_tokenizer.take(kind, tmp_path / "a")
    shutil.copytree(kind, tmp_path / "elsewhere")
    json_tokenizer.take(tmp_path / "elsewhere", tmp_path / "b")
    json_tokenizer.take(tmp_path / "b", tmp_path / "c")  # a model of ours as somebody's base
    for name in ("tokenizer.json", "tokenizer_config.json"):
        raw = (tmp_path / "a" / name).read_bytes()
        assert raw == (tmp_path / "b" / name).read_bytes() == (tmp_path / "c" / name).read_bytes()


def test_ids_that_no_token_has_decode_to_nothing(tmp_path):
    found = byte_level()
    vocab = found["model"]["vocab"]
    vocab[max(vocab, key=vocab.get)] += 70_000  # a gap, and more types than 16 bits hold
    encoding = json_tokenizer.take(write(tmp_path / "base", found), tmp_path / "ours")
    assert encoding.n_vocab == len(vocab) + 70_000
    nothing = [len(vocab) + 5, encoding.n_vocab, 10**9]
    assert encoding.decode(nothing) == "" and encoding.decode_tokens_bytes(nothing) == [b""] * 3
    assert json_tokenizer.fits(encoding, encoding.n_vocab + 64)
    assert not json_tokenizer.fits(encoding, encoding.n_vocab - 1)
    assert tokenizer.shapes(encoding).shape == (encoding.n_vocab,)
    assert tokenizer.spelling(encoding)[1].shape == (encoding.n_vocab + 1,)
    tokens = encode(encoding, [TEXT, TEXT])
    assert tokens.dtype == np.uint32 and tokens.tolist().count(encoding.eot_token) == 1
    save_tokens(tmp_path / "t.npy", tokens)
    assert np.array_equal(load_tokens(tmp_path / "t.npy", encoding.n_vocab), tokens)


def test_a_small_vocabulary_has_tokens_of_16_bits(tmp_path):
    encoding = json_tokenizer.take(write(tmp_path / "base", llama2()), tmp_path / "ours")
    assert encode(encoding, [TEXT]).dtype == np.uint16


def test_our_own_tokenizers_types_are_the_same_through_their_json(tmp_path):
    ours = tokenizer.train([TEXT], 290, tmp_path / "pair")
    hugging_face.write(tmp_path / "base", tmp_path / "pair", 64)
    theirs = json_tokenizer.take(tmp_path / "base", tmp_path / "ours")
    assert (theirs.n_vocab, theirs.eot_token) == (ours.n_vocab, ours.eot_token)
    for token in range(ours.n_vocab):
        assert theirs.decode_single_token_bytes(token) == ours.decode_single_token_bytes(token)
    for text in [TEXT, *ODD]:
        assert theirs.encode_ordinary(text) == ours.encode_ordinary(text)
    assert theirs.encode_ordinary("a\ud800b") == ours.encode_ordinary("a\ud800b")
    assert isinstance(tokenizer.load(tmp_path / "pair"), type(ours))


def lossy():
    return byte_level(normalizers.Lowercase())


def test_a_tokenizer_that_does_not_give_the_text_back_is_refused_where_it_differs(tmp_path):
    encoding = json_tokenizer.take(write(tmp_path / "base", lossy()), tmp_path / "ours")
    assert len(encode(encoding, ["all lower case"]))
    with pytest.raises(
        TokenizerError, match=r"from byte 10 on, 'all lower Case' becomes 'all lower case'"
    ) as error:
        encode(encoding, ["all lower Case"])
    assert "\n" not in str(error.value) and "bpe" in str(error.value)


def test_sentencepieces_own_space_in_a_text_is_refused(tmp_path):
    encoding = json_tokenizer.take(write(tmp_path / "base", gemma()), tmp_path / "ours")
    with pytest.raises(TokenizerError, match="doesn't give the text back: from byte 1 on"):
        encode(encoding, ["a\u2581b"])


@pytest.mark.parametrize("form", ["NFC", "NFKC"])
def test_a_normalizer_that_the_text_does_not_notice_passes(tmp_path, form):
    found = byte_level(getattr(normalizers, form)())
    encoding = json_tokenizer.take(write(tmp_path / "base", found), tmp_path / "ours")
    assert len(encode(encoding, [TEXT + "\u00e9"]))
    with pytest.raises(TokenizerError, match="doesn't give the text back"):
        encode(encoding, ["e\u0301"])


def word_piece():
    made = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "</s>": 2}, unk_token="[UNK]"))
    return json.loads(made.to_str())


def unigram():
    return json.loads(Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0), ("</s>", -2.0)], 0)).to_str())


def word_level_of_bytes():
    found = json.loads(Tokenizer(models.WordLevel({"a": 0, "</s>": 1}, unk_token="a")).to_str())
    return found | {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}}


@pytest.mark.parametrize(
    ("found", "settings", "said"),
    [
        (word_piece, None, "WordPiece, don't give the bytes"),
        (unigram, None, "Unigram, don't give the bytes"),
        (word_level_of_bytes, None, "WordLevel over bytes"),
        (llama2, {"eos_token": "<nothing>"}, "'<nothing>', which should end a text, is none"),
        (llama2, {"model_max_length": 5}, "no token ends a text"),
        (dict, None, "not a tokenizer"),
        (lambda: llama2() | {"added_tokens": 5}, None, "not a tokenizer"),
        (lambda: {"model": {"type": "BPE", "vocab": {"</s>": 0}}}, None, "not a tokenizer"),
        (lambda: llama2() | {"pre_tokenizer": {"type": "\x1b[31mEvil"}}, None, "not a tokenizer"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_in_a_line(tmp_path, found, settings, said):
    with pytest.raises(TokenizerError, match=said) as error:
        json_tokenizer.take(write(tmp_path / "base", found(), settings), tmp_path / "ours")
    assert str(error.value).isprintable()
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize(
    "settings", [{"eos_token": "</s>"}, {"eos_token": {"content": "</s>", "special": True}}, {}]
)
def test_the_end_of_a_text_is_what_the_base_calls_so(tmp_path, settings):
    base = write(tmp_path / "base", llama2(), settings)
    (base / "config.json").write_text('{"eos_token_id": [2, 1]}')
    assert json_tokenizer.take(base, tmp_path / "ours").eot_token == 2
    assert tokenizer.load(tmp_path / "ours").eot_token == 2


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(TokenizerError, match="tokenizer.json: can't be read"):
        json_tokenizer.take(tmp_path, tmp_path / "ours")
    (tmp_path / "tokenizer.json").write_text("[")
    with pytest.raises(TokenizerError, match="tokenizer.json: not JSON"):
        json_tokenizer.take(tmp_path, tmp_path / "ours")


@pytest.mark.parametrize("data", [b"", b"GGUF", b"GGUF\x03\0\0\0" + bytes(16), b"{}" * 99])
def test_a_gguf_file_that_cannot_be_read_is_named(tmp_path, data):
    (tmp_path / "model.gguf").write_bytes(data)
    with pytest.raises(TokenizerError, match=r"model\.gguf: its tokenizer can't be read") as error:
        json_tokenizer.take(tmp_path / "model.gguf", tmp_path / "ours")
    assert "\n" not in str(error.value)
