"""Kinds of tokens on a text that was marked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import fuzz

from gpt2_shakespeare.measure import kinds
from gpt2_shakespeare.tokens import tokenizer

TRAIN = "ROMEO:\nO night.\n\nJULIET:\nO day.\n"
VAL = "ROMEO:\nO.\n\nTYBALT:\nnight: day!\n"


@pytest.fixture(scope="module")
def encoding(tmp_path_factory):
    """A token a byte."""
    return tokenizer.train([TRAIN], 257, tmp_path_factory.mktemp("tokenizer"))


def encoded(encoding, text):
    return np.array(encoding.encode_ordinary(text), dtype=np.uint16)


def marked(encoding, mask):
    """The characters of VAL but the first, those outside the mask as dots."""
    return "".join(char if on else "." for char, on in zip(VAL[1:].replace("\n", "|"), mask, strict=True))


def test_headings_speakers_and_types(encoding):
    masks = kinds.kinds(encoding, encoded(encoding, VAL), encoded(encoding, TRAIN))
    assert marked(encoding, masks["heading"]) == "OMEO:.....TYBALT:" + 13 * "."
    assert marked(encoding, masks["known_speaker"]) == "OMEO:" + 25 * "."
    assert marked(encoding, masks["new_speaker"]) == 10 * "." + "TYBALT:" + 13 * "."
    assert marked(encoding, masks["new_type"]) == 11 * "." + "YBA" + 14 * "." + "!."
    assert (masks["body"] == ~masks["heading"]).all() and (masks["seen_type"] == ~masks["new_type"]).all()


def test_a_colon_inside_a_speech_is_no_heading(encoding):
    text = "ROMEO:\nHe said:\nO night.\n\nHear: O day.\n"
    masks = kinds.kinds(encoding, encoded(encoding, text), encoded(encoding, TRAIN))
    assert masks["heading"].sum() == len("OMEO:")


def test_losses_by_kind():
    masks = {"a": np.array([True, False, True]), "b": np.array([False, False, False])}
    found = kinds.split_losses(np.array([1.0, 5.0, 2.0]), masks)
    assert found == {"val_tokens_a": 2, "val_loss_a": 1.5, "val_tokens_b": 0}


@fuzz
@given(text=st.text(alphabet=list("AB:\n é"), min_size=2), train=st.text(alphabet=list("AB:\n"), min_size=1))
def test_kinds_part_every_text(encoding, text, train):
    tokens = encoded(encoding, text)
    masks = kinds.kinds(encoding, tokens, encoded(encoding, train))
    assert all(len(mask) == len(tokens) - 1 for mask in masks.values())
    assert ((masks["known_speaker"] | masks["new_speaker"]) == masks["heading"]).all()
    assert not (masks["known_speaker"] & masks["new_speaker"]).any()
