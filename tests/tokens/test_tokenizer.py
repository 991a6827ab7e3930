"""GPT-2's tokenizer from its files, and the small one of the same kind."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st
from tiny import fuzz

from gpt2_shakespeare.errors import UserError
from gpt2_shakespeare.tokens import tokenizer
from gpt2_shakespeare.tokens.tokenizer import TokenizerError

TEXT = (
    "First Citizen:\nBefore we proceed any further, hear me speak.\n\n"
    "All:\nSpeak, speak. We're 12,345 men who've heard; they'll hear, I'd say!\n\n"
)
# As openai/gpt-2 writes it (encoder.py).
ORIGINAL = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
FILES = ("vocab.bpe", "encoder.json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.train([TEXT], 300, folder)
    return folder


@pytest.fixture(scope="module")
def encoding(folder):
    return tokenizer.load(folder)


@fuzz
@given(st.text() | st.text("abt' \n\té1,"))
@example("<|endoftext|>")
@example("\r\n \u2028\x00")
@example("👩‍👩‍👧 Élan 漢字")
def test_any_text_comes_back(encoding, text):
    ids = encoding.encode_ordinary(text)
    assert encoding.decode(ids) == text
    assert all(0 <= token < 299 for token in ids)  # 299 is <|endoftext|>, which no text gives


@fuzz
@given(st.text() | st.text("sdmtlvre' \n\t\r1,"))
def test_texts_are_cut_as_gpt2_cuts_them(text):
    assert regex.findall(tokenizer.PATTERN, text) == regex.findall(ORIGINAL, text)


def test_it_has_as_many_types_as_asked(encoding, folder):
    assert encoding.n_vocab == 300
    assert encoding.eot_token == 299
    names = json.loads((folder / "encoder.json").read_text())
    assert sorted(names.values()) == list(range(300))
    assert names["<|endoftext|>"] == 299
    assert (names["!"], names["A"], names["Ġ"]) == (0, 32, 220)  # GPT-2's ids of single bytes


def test_merges_shorten_the_text(encoding):
    assert len(encoding.encode_ordinary(TEXT)) < 0.8 * len(TEXT)


def test_no_token_crosses_a_word(encoding):
    words = set(regex.findall(ORIGINAL, TEXT))
    for token in range(256, 299):
        piece = encoding.decode_single_token_bytes(token).decode()
        assert any(piece in word for word in words), piece


def test_the_end_of_text_in_a_text_is_plain_text(encoding):
    ids = encoding.encode_ordinary("a<|endoftext|>b")
    assert 299 not in ids
    assert encoding.decode([299]) == "<|endoftext|>"


def test_training_twice_gives_the_same_files(folder, tmp_path):
    tokenizer.train([TEXT], 300, tmp_path)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_training_on_several_texts_uses_them_all(tmp_path):
    encoding = tokenizer.train(["zyx zyx zyx", "wvu wvu wvu"], 261, tmp_path)
    assert len(encoding.encode_ordinary("zyx")) == len(encoding.encode_ordinary("wvu")) == 1


def test_without_merges_every_byte_is_a_token(tmp_path):
    encoding = tokenizer.train([TEXT], 257, tmp_path)
    assert encoding.n_vocab == 257
    assert len(encoding.encode_ordinary("Élan")) == 5


@pytest.mark.parametrize(
    "long", ["a" * 200_000, "\n \t" * 100_000, "".join(np.random.default_rng(0).choice(list("ACGT"), 300_000))],
    ids=["a run of one letter", "white space", "letters without spaces"],
)  # fmt: skip
def test_words_of_any_length_are_trained_on_in_seconds(tmp_path, long):
    begun = time.process_time()
    encoding = tokenizer.train([TEXT + long], 300, tmp_path)
    assert time.process_time() - begun < 20  # uncut, the shortest of them takes minutes
    assert encoding.decode(encoding.encode_ordinary(TEXT + long)) == TEXT + long


def test_words_up_to_a_thousand_characters_are_whole(tmp_path, monkeypatch):
    word = "".join(np.random.default_rng(0).choice(list("ab"), tokenizer.LONGEST_WORD))
    files = []
    for longest in (len(word), 50_000):
        monkeypatch.setattr(tokenizer, "LONGEST_WORD", longest)
        tokenizer.train([word], 300, tmp_path)
        files.append((tmp_path / "vocab.bpe").read_bytes())
    assert files[0] == files[1]
    monkeypatch.setattr(tokenizer, "LONGEST_WORD", 2)  # leaves four pairs
    with pytest.raises(TokenizerError, match="gives 261 types"):
        tokenizer.train([word], 300, tmp_path)


def test_more_types_than_the_text_gives_are_refused(tmp_path):
    with pytest.raises(TokenizerError, match=r"^tokenizer.vocab_size: the corpus gives 258 types, not 300"):
        tokenizer.train(["ab"], 300, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_changed_folder_is_read_anew(tmp_path, monkeypatch):
    """tiktoken keeps copies of files by their path."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "cache"))
    assert tokenizer.train([TEXT], 280, tmp_path / "t").n_vocab == 280
    assert tokenizer.train([TEXT], 290, tmp_path / "t").n_vocab == 290
    assert tokenizer.load(tmp_path / "t").n_vocab == 290


# --- damaged files -------------------------------------------------------------------------------


def drop_last_merge(raw):
    return b"\n".join(raw.split(b"\n")[:-2] + [b""])


def swap_merges(raw):
    lines = raw.split(b"\n")
    return b"\n".join([lines[0], lines[2], lines[1], *lines[3:]])


def one_id_changed(raw):
    names = json.loads(raw)
    names["!"], names["A"] = names["A"], names["!"]
    return json.dumps(names).encode()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("vocab.bpe", lambda raw: b""),
        ("vocab.bpe", lambda raw: raw[: len(raw) // 2]),
        ("vocab.bpe", drop_last_merge),
        ("vocab.bpe", swap_merges),
        ("vocab.bpe", lambda raw: raw + b"a b c\n"),
        ("vocab.bpe", lambda raw: raw + b"\xff \xff\n"),
        ("vocab.bpe", lambda raw: raw + "\u4e00 a\n".encode()),
        ("encoder.json", lambda raw: b""),
        ("encoder.json", lambda raw: raw[: len(raw) // 2]),
        ("encoder.json", lambda raw: b"{}"),
        ("encoder.json", one_id_changed),
    ],
)
def test_damaged_files_are_refused(folder, tmp_path, name, damage):
    refuse_damaged(folder, tmp_path, name, damage)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("vocab.bpe", lambda raw: raw + b"\n\n"),
        ("vocab.bpe", lambda raw: raw.rstrip(b"\n")),
        ("vocab.bpe", lambda raw: raw.partition(b"\n")[2]),
        ("vocab.bpe", lambda raw: raw.replace(b"\n", b"\r\n")),
        ("vocab.bpe", lambda raw: b"\xef\xbb\xbf" + raw),
        ("encoder.json", lambda raw: b"\xef\xbb\xbf" + raw + b"\n"),
        ("encoder.json", lambda raw: json.dumps(json.loads(raw), ensure_ascii=False, indent=2).encode()),
    ],
    ids=["blank lines", "no line end", "no version", "crlf", "mark", "mark of json", "other layout"],
)
@pytest.mark.parametrize("theirs", [False, True], ids=["openai", "hugging face"])
def test_the_same_content_in_other_bytes_is_the_same_tokenizer(
    folder, encoding, tmp_path, name, change, theirs
):
    for file, new in zip(FILES, ("merges.txt", "vocab.json") if theirs else FILES, strict=True):
        raw = (folder / file).read_bytes()
        (tmp_path / new).write_bytes(change(raw) if file == name else raw)
    again = tokenizer.load(tmp_path)
    assert again.n_vocab == encoding.n_vocab and again._mergeable_ranks == encoding._mergeable_ranks


def test_a_reason_is_always_given(folder, tmp_path):
    """Never an empty one, and no line breaks or escapes out of the file."""
    for line, reason in (
        ("\x1b[2J x", r"merge 44, '\x1b[2J x', is not of two tokens before it"),
        ("a", "merge 44, 'a', is not of two tokens"),
        ("a b c", "merge 44, 'a b c', is not of two tokens"),
    ):
        (tmp_path / "encoder.json").write_bytes((folder / "encoder.json").read_bytes())
        (tmp_path / "vocab.bpe").write_text((folder / "vocab.bpe").read_text() + line + "\n")
        with pytest.raises(TokenizerError) as error:
            tokenizer.load(tmp_path)
        assert reason in str(error.value)
    (tmp_path / "vocab.bpe").write_bytes(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    )
    with pytest.raises(TokenizerError, match="vocab.bpe: only a Git LFS pointer; run `git lfs pull`"):
        tokenizer.load(tmp_path)
    (tmp_path / "vocab.bpe").unlink()
    os.mkfifo(tmp_path / "vocab.bpe")
    with pytest.raises(TokenizerError, match="vocab.bpe: can't be read: not a file"):
        tokenizer.load(tmp_path)


@pytest.mark.parametrize("other", [b"[]", b"null", b"[" * 100_000], ids=["list", "null", "deep"])
def test_json_that_is_no_table_is_refused(folder, tmp_path, other):
    refuse_damaged(folder, tmp_path, "encoder.json", lambda raw: other)


def refuse_damaged(folder, tmp_path, name, damage):
    for file in FILES:
        raw = (folder / file).read_bytes()
        (tmp_path / file).write_bytes(damage(raw) if file == name else raw)
    with pytest.raises(TokenizerError, match="vocab.bpe and encoder.json don't fit together") as caught:
        tokenizer.load(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder, tmp_path, name):
    for file in FILES:
        (tmp_path / file).write_bytes((folder / file).read_bytes())
    (tmp_path / name).unlink()
    with pytest.raises(TokenizerError, match=f"{name}: missing; run `dvc repro prepare`"):
        tokenizer.load(tmp_path)


def test_tokenizer_errors_are_ones_that_a_user_can_mend():
    assert issubclass(TokenizerError, UserError)


# --- GPT-2's own ---------------------------------------------------------------------------------


def mirror():
    """A folder with GPT-2's tokenizer files and Tiny Shakespeare, or None."""
    listed = os.environ.get("GPT2_SHAKESPEARE_MIRROR", "").split(";")
    folders = [Path(name) for name in listed if name and "://" not in name]
    folders.append(Path(__file__).parents[3] / "shared" / "assets")
    wanted = ("gpt2/vocab.bpe", "gpt2/encoder.json", "tinyshakespeare/input.txt")
    return next((folder for folder in folders if all((folder / name).is_file() for name in wanted)), None)


def test_gpt2s_tokenizer_gives_gpt2s_ids():
    folder = mirror()
    if folder is None:
        pytest.skip("GPT2_SHAKESPEARE_MIRROR names no folder with GPT-2's files and Tiny Shakespeare")
    encoding = tokenizer.load(folder / "gpt2")
    assert (encoding.n_vocab, encoding.eot_token) == (50257, 50256)
    assert encoding.encode_ordinary("Hello world") == [15496, 995]
    assert encoding.encode_ordinary("First Citizen:\n") == [5962, 22307, 25, 198]
    text = (folder / "tinyshakespeare" / "input.txt").read_text()
    ids = encoding.encode_ordinary(text)
    assert len(ids) == 338_025
    assert encoding.decode(ids) == text


def test_shapes_tell_space_and_case_and_leave_out_what_is_no_word(encoding):
    shapes = tokenizer.shapes(encoding)
    assert shapes.shape == (encoding.n_vocab,)
    of = {encoding.decode_single_token_bytes(token): shape for token, shape in enumerate(shapes.tolist())}
    assert of[b"a"] == of[b"z"] == 0 and of[b"A"] == of[b"Z"] == 4
    assert {of[one] for one in (b" ", b"\n", b"1", b".", b"\xc3", b"<|endoftext|>") if one in of} == {-1}
    words = {
        raw: shape for raw, shape in of.items() if raw[:1] == b" " and len(raw) > 2 and raw[1:].isalpha()
    }
    assert words and all(shape in (1, 3, 5) for shape in words.values())
    assert all((shape == 1) == raw[1:].islower() for raw, shape in words.items())


def test_spelling_tells_what_types_have_in_common(encoding):
    features, starts = tokenizer.spelling(encoding)
    assert starts.shape == (encoding.n_vocab + 1,) and starts[0] == 0 and starts[-1] == len(features)
    assert np.bincount(features).min() >= 2  # each one is shared
    of = {
        encoding.decode_single_token_bytes(token): set(features[starts[token] : starts[token + 1]].tolist())
        for token in range(encoding.n_vocab)
    }
    assert len(of[b"a"] & of[b"b"]) == 2  # look and length
    assert len(of[b"a"] & of[b"A"]) == 4  # length, the word in lower case, its first and its last letter
    words = [
        raw for raw in of if raw[:1] == b" " and len(raw) > 3 and raw[1:].islower() and raw[1:].isalpha()
    ]
    first, *others = words
    alike = [other for other in others if other[-2:] == first[-2:]]
    assert all(len(of[first] & of[other]) >= 2 for other in alike)
    again = tokenizer.spelling(encoding)
    assert all(np.array_equal(one, other) for one, other in zip((features, starts), again, strict=True))
