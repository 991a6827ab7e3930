"""A base's own tokenizer against ours: the same, another of the same size, broken, or none."""

import json
import logging

import pytest
import tiktoken

from gpt2_shakespeare.tokens import hugging_face, tokenizer
from gpt2_shakespeare.tokens.tokenizer import TokenizerError

TEXT = (
    "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak. We're 12,345 men!\n"
)
OTHER = (
    "CALL me Ishmael. Some years ago, never mind how long precisely, having little or no money in my purse\n"
)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ours")
    tokenizer.train([TEXT], 280, folder)
    return folder


@pytest.fixture(scope="module")
def encoding(ours):
    return tokenizer.load(ours)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Of the same size, trained on another text."""
    folder = tmp_path_factory.mktemp("other")
    assert tokenizer.train([OTHER], 280, folder).n_vocab == 280
    return folder


def as_json(folder, source):
    hugging_face.write(folder, source, 64)


def as_pair(folder, source):
    for old, new in zip(tokenizer.FILES[0], tokenizer.FILES[1], strict=True):
        (folder / new).write_bytes((source / old).read_bytes())


@pytest.mark.parametrize("bring", [as_json, as_pair])
def test_a_base_with_our_tokenizer_passes(ours, encoding, tmp_path, bring):
    bring(tmp_path, ours)
    hugging_face.refuse_other(tmp_path, encoding)


@pytest.mark.parametrize("bring", [as_json, as_pair])
def test_another_tokenizer_of_the_same_size_is_refused_in_a_line(other, encoding, tmp_path, bring):
    bring(tmp_path, other)
    refused(tmp_path, encoding, "another tokenizer than ours", "tokenizer.source")


def change(folder, function):
    table = json.loads((folder / "tokenizer.json").read_text())
    function(table)
    (folder / "tokenizer.json").write_text(json.dumps(table))


@pytest.mark.parametrize(
    "function",
    [
        lambda table: table["pre_tokenizer"].update(add_prefix_space=True),
        lambda table: table.update(normalizer={"type": "Lowercase"}),
        lambda table: table["model"].update(merges=table["model"]["merges"][:5]),
    ],
    ids=["prefix", "lowercase", "merges"],
)
def test_the_same_vocabulary_used_otherwise_is_refused(ours, encoding, tmp_path, function):
    as_json(tmp_path, ours)
    change(tmp_path, function)
    refused(tmp_path, encoding, "gives other ids")


def test_padding_and_truncation_do_not_count(ours, encoding, tmp_path):
    as_json(tmp_path, ours)
    change(
        tmp_path,
        lambda table: table.update(
            truncation={"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
        ),
    )
    hugging_face.refuse_other(tmp_path, encoding)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"[" * 200_000, b'{"model": 3}', b"\xff"])
def test_a_broken_tokenizer_is_refused_in_a_line(encoding, tmp_path, content):
    (tmp_path / "tokenizer.json").write_bytes(content)
    refused(tmp_path, encoding, "tokenizer.json")


def test_a_name_with_escapes_is_shown_escaped(ours, encoding, tmp_path):
    as_json(tmp_path, ours)
    change(tmp_path, lambda table: table["model"]["vocab"].update({"\n\x1b[2J": 281}))
    refused(tmp_path, encoding, r"\n\x1b[2J")


def test_without_a_tokenizer_a_base_is_refused_unless_ours_is_gpt2s_own(
    encoding, tmp_path, caplog, monkeypatch
):
    refused(tmp_path, encoding, "no tokenizer beside the model", "tokenizer.json")
    monkeypatch.setattr(hugging_face, "is_gpt2", lambda _: True)
    with caplog.at_level(logging.WARNING):
        hugging_face.refuse_other(tmp_path, encoding)
    assert len(caplog.messages) == 1 and "taken for GPT-2's own" in caplog.messages[0]


def test_gpt2s_own_is_known_by_its_ids(encoding):
    assert not hugging_face.is_gpt2(encoding)
    bytes_alone = {bytes([byte]): byte for byte in range(256)}
    as_many = bytes_alone | {b"%05d" % n: n for n in range(256, 50256)}
    same_size = tiktoken.Encoding(
        "x", pat_str=tokenizer.PATTERN, mergeable_ranks=as_many, special_tokens={"<|endoftext|>": 50256}
    )
    assert same_size.n_vocab == 50257 and not hugging_face.is_gpt2(same_size)


def refused(folder, encoding, *words):
    with pytest.raises(TokenizerError) as error:
        hugging_face.refuse_other(folder, encoding)
    assert str(error.value).startswith(str(folder)) and "\n" not in str(error.value)
    assert all(word in str(error.value) for word in words), error.value
