"""Reading a corpus, encoding it and splitting it into train, dev and val."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import fuzz

from gpt2_shakespeare.errors import UserError
from gpt2_shakespeare.tokens import corpus as corpus_module
from gpt2_shakespeare.tokens import tokenizer
from gpt2_shakespeare.tokens.corpus import bits_per_char, encode, learn, read_corpus, split
from gpt2_shakespeare.tokens.files import DataError


@pytest.fixture
def corpus(tmp_path):
    return tmp_path / "corpus.txt"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"To be\n", "To be\n"),
        (b"\xef\xbb\xbfTo be\n", "To be\n"),
        (b"a\r\nb\r\n", "a\nb\n"),
        (b"a\rb\r", "a\nb\n"),
        (b"a\r\r\nb", "a\n\nb"),
        ("Élan, 𝔘 🙂\n".encode(), "Élan, 𝔘 🙂\n"),
        ("a\u2028b\u0085c".encode(), "a\u2028b\u0085c"),  # only CR and CRLF are line ends to us
        (b"  To be ", "  To be "),
        (b"a\x00b", "a\x00b"),
        (b"To <|endoftext|> be", "To <|endoftext|> be"),
    ],
)
def test_a_text_is_read_with_lf_and_without_its_mark(corpus, raw, text):
    corpus.write_bytes(raw)
    assert read_corpus(corpus) == text


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (b"To \xe9 be", "not UTF-8 at byte 3 (0xe9)"),
        (b"To be \xe2\x82", "not UTF-8 at byte 6 (0xe2)"),
        (b"\xff\xfeT\x00o\x00", "not UTF-8 at byte 0 (0xff)"),
        (b"a\xed\xa0\x80", "not UTF-8 at byte 1 (0xed)"),  # a lone surrogate
        (b"", "the corpus is empty"),
        (b"\xef\xbb\xbf", "the corpus is empty"),
        (b" \r\n\t ", "the corpus is empty"),
    ],
)
def test_a_text_that_cannot_be_used_is_refused(corpus, raw, wanted):
    corpus.write_bytes(raw)
    with pytest.raises(DataError) as caught:
        read_corpus(corpus)
    assert str(caught.value).startswith(f"{corpus}: {wanted}")


def test_the_offset_counts_the_byte_order_mark(corpus):
    corpus.write_bytes(b"\xef\xbb\xbfTo \xff be")
    with pytest.raises(DataError, match=r"at byte 6 \(0xff\)"):
        read_corpus(corpus)


def test_a_missing_corpus_and_a_folder_are_refused(tmp_path):
    with pytest.raises(DataError, match="nowhere.txt: can't be read: No such file or directory"):
        read_corpus(tmp_path / "nowhere.txt")
    with pytest.raises(DataError, match="can't be read: Is a directory"):
        read_corpus(tmp_path)


@pytest.fixture(scope="module")
def fuzz_file(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "file"


@fuzz
@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_a_text_or_refused(fuzz_file, raw):
    fuzz_file.write_bytes(raw)
    try:
        text = read_corpus(fuzz_file)
    except DataError as error:
        assert "\n" not in str(error)
    else:
        assert text.strip() and "\r" not in text
        assert raw.decode().splitlines()[-1].removeprefix("\ufeff") in text


def test_data_errors_are_ones_that_a_user_can_mend():
    assert issubclass(DataError, UserError)


# --- token ids -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encoding(tmp_path_factory):
    return tokenizer.train(["the cat sat on the mat\n" * 3], 262, tmp_path_factory.mktemp("tokenizer"))


def test_documents_are_joined_by_the_end_of_text(encoding):
    a, b, c = (encoding.encode_ordinary(text) for text in ("the cat", "sat", "on the mat"))
    assert encode(encoding, ["the cat"]).tolist() == a
    assert encode(encoding, ["the cat", "sat", "on the mat"]).tolist() == [*a, 261, *b, 261, *c]
    assert encode(encoding, ["the cat"]).dtype == np.uint16


def test_the_end_of_text_inside_a_document_is_plain_text(encoding):
    found = encode(encoding, ["the <|endoftext|> cat"])
    assert 261 not in found
    assert encoding.decode(found.tolist()) == "the <|endoftext|> cat"


@pytest.fixture(scope="module")
def spacious(tmp_path_factory):
    """An encoding with many types that are white space."""
    text = "".join(np.random.default_rng(0).choice(list("a \n\t"), 5000))
    return tokenizer.train([text], 300, tmp_path_factory.mktemp("spacious"))


@fuzz
@given(st.text("a1 \n\t\r\x1c\x85\u2028é", max_size=40) | st.text("a \n\t", max_size=40))
def test_long_runs_of_white_space_are_encoded_as_short_ones_are(spacious, text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            corpus_module, "LONG_SPACE", re.compile(corpus_module.LONG_SPACE.pattern.replace("100000", "2"))
        )
        assert encode(spacious, [text]).tolist() == spacious.encode_ordinary(text)


@pytest.mark.parametrize("after", ["", "b", " b", "\t"])
def test_a_million_newlines_are_encoded(encoding, after):
    text = "a" + "\n" * 1_000_010 + after
    assert encoding.decode(encode(encoding, [text]).tolist()) == text


def ramp(n):
    """Tokens 0, 1, 2, ..."""
    return np.arange(n, dtype=np.uint16)


def test_the_split_of_tiny_shakespeare():
    parts = split((np.arange(338_025) % 50_000).astype(np.uint16), 1024)
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 289_010,
        "dev": 15_212,
        "val": 33_803,
    }
    assert len(parts["train"]) + len(parts["dev"]) == 304_222  # the reference's train part


def test_the_parts_follow_each_other_in_the_text():
    parts = split(ramp(1000), 10)
    assert list(parts) == ["train", "dev", "val"]
    in_the_text = [parts["dev"], parts["train"], parts["val"]]
    assert np.array_equal(np.concatenate(in_the_text), ramp(1000))
    assert (len(parts["dev"]), len(parts["val"])) == (45, 100)


def test_a_corpus_too_short_is_refused_with_both_lengths():
    split(ramp(1000), 44)
    with pytest.raises(DataError, match=r"its dev part has 45 tokens \(of 1000\).* block_size 45"):
        split(ramp(1000), 45)
    with pytest.raises(DataError, match=r"its train part has 0 tokens \(of 0\)"):
        split(ramp(0), 8)


@pytest.mark.parametrize("block_size", [2, 3, 31, 45, 128, 1024])
def test_the_length_that_a_refusal_asks_for_is_enough_and_little_more_than_needed(block_size):
    with pytest.raises(DataError) as caught:
        split(ramp(10), block_size)
    enough = int(re.search(r"lengthen it to ([\d,]+) tokens", str(caught.value))[1].replace(",", ""))
    split(ramp(enough), block_size)
    with pytest.raises(DataError):
        split(ramp(enough - 30), block_size)


# --- a tokenizer of the corpus's own -------------------------------------------------------------

rng = np.random.default_rng(0)
ENGLISH = " ".join(
    rng.choice(
        [
            "the",
            "cat",
            "and",
            "a",
            "dog",
            "sat",
            "down",
            "on",
            "one",
            "mat",
            "of",
            "two",
            "for",
            "to",
            "be",
            "or",
            "not",
        ],
        10_000,
    )
)
CHINESE = "".join(chr(0x4E00 + number) for number in (1000 * rng.random(len(ENGLISH)) ** 2).astype(int))


@pytest.mark.parametrize(
    ("text", "at_once"),
    [
        (ENGLISH, True),
        (CHINESE, True),
        (CHINESE + ENGLISH, False),
        (ENGLISH + CHINESE, False),
        (CHINESE[:9000] + ENGLISH + CHINESE[:9000], True),
        (ENGLISH[:9000] + CHINESE + ENGLISH[:9000], False),
        ("e" * 100_000 + ENGLISH, False),
        (ENGLISH + "e" * 100_000, False),
    ],
    ids=["English", "Chinese", "Chinese, English", "English, Chinese", "English inside", "Chinese inside", "a run first",
         "a run last"],
)  # fmt: skip
def test_the_tokenizer_sees_nothing_of_dev_and_val(tmp_path, monkeypatch, text, at_once):
    seen, train = [], tokenizer.train
    monkeypatch.setattr(tokenizer, "train", lambda texts, *rest: seen.append(texts) or train(texts, *rest))
    encoding, parts = learn(text, ["another text"], 270, 64, tmp_path)
    learned, other = seen[-1]
    raw = {name: encoding.decode_bytes(tokens.tolist()) for name, tokens in parts.items()}
    assert raw["dev"] + raw["train"] + raw["val"] == text.encode()
    place = text.encode().index(raw["train"]) + raw["train"].index(learned.encode())
    assert len(raw["dev"]) <= place and place + len(learned.encode()) <= len(raw["dev"] + raw["train"])
    assert len(learned) > 0.03 * len(text) and other == "another text"
    assert (len(seen) == 1) == at_once
    assert (
        tokenizer.load(tmp_path).encode_ordinary(text)
        == np.concatenate([parts["dev"], parts["train"], parts["val"]]).tolist()
    )


def test_a_text_without_a_part_to_learn_from_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_module, "ROUNDS", 1)
    with pytest.raises(DataError, match="no part of it was found .* set tokenizer.source to gpt2"):
        learn(CHINESE + ENGLISH, [], 280, 64, tmp_path)


def test_bits_per_char():
    assert bits_per_char(3 * math.log(2), n_tokens=10, n_chars=30) == pytest.approx(1.0)
    assert bits_per_char(4.766, 10_000, 30_831) == pytest.approx(2.230, abs=5e-4)  # a published pair
    assert bits_per_char(3.3424, 10_000, 30_831) == pytest.approx(1.564, abs=5e-4)
