"""All figures of a set of texts: what copies train looks like it, what can't be had is left out, nothing moves."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import gpt

from gpt2_shakespeare import params
from gpt2_shakespeare.corpora.pastiche import plays
from gpt2_shakespeare.errors import UserError
from gpt2_shakespeare.texts import judge, sampling
from gpt2_shakespeare.tokens import tokenizer
from gpt2_shakespeare.tokens.files import DataError

PARAMS = params.load(Path(__file__).parents[2] / "params.yaml")
SETTINGS = PARAMS.analysis.model_copy(update={"samples": 6, "prompt_tokens": 20, "max_new_tokens": 200})


@pytest.fixture(scope="module")
def jury(tmp_path_factory):
    """On a token a byte."""
    encoding = tokenizer.train(["x"], 257, tmp_path_factory.mktemp("tokenizer"))
    text = plays()  # val is of the second play, whose speakers are others
    parts = (text[:20_000], text[20_000:24_000], text[34_000:40_000])
    return judge.Judge(encoding, *(np.array(encoding.encode_ordinary(part), np.uint16) for part in parts))


def test_stretches_are_of_one_length_and_evenly_spaced():
    tokens = np.arange(100, dtype=np.uint16)
    assert judge.cut(tokens, 3, 10, "val").tolist() == [
        list(range(first, first + 10)) for first in (0, 45, 90)
    ]
    assert judge.cut(tokens[:11], 3, 10, "val")[:, 0].tolist() == [0, 0, 1]  # they overlap
    with pytest.raises(DataError, match="val: 9 tokens are too few for a prompt and its continuation, 10"):
        judge.cut(tokens[:9], 3, 10, "val")
    assert issubclass(DataError, UserError)


def test_human_text_is_drawn_twice_from_different_places(jury):
    one, two = (np.concatenate(judge.human(jury.val, SETTINGS, draw), axis=1) for draw in (0, 1))
    assert one.shape == two.shape == (6, 220)
    starts = np.linspace(0, len(jury.val) - 220, 12).astype(int)
    assert (one[:, 0] == jury.val[starts[::2]]).all() and (two[:, 0] == jury.val[starts[1::2]]).all()


def test_copied_text_shows(jury):
    human = jury.figures(*judge.human(jury.val, SETTINGS))
    copied = jury.figures(*judge.human(jury.train, SETTINGS))
    assert copied["in_train_10"] == 1 and copied["longest_match"] == copied["mean_longest_match"] == 200
    assert human["in_train_10"] < 1 and human["longest_match"] < 200
    assert copied["bits_per_char_train"] < human["bits_per_char_train"]
    assert copied["names_train"] == 1 > human["names_train"]
    assert human["names_train"] + human["names_prompt"] + human["names_neither"] == pytest.approx(1)


def test_a_loop_shows(jury):
    prompts, human = judge.human(jury.val, SETTINGS)
    loop = np.tile(human[:, :10], 20)
    looped, plain = jury.figures(prompts, loop), jury.figures(prompts, human)
    assert looped["repeated"] > 0.9 > plain["repeated"]
    assert looped["compression_ratio"] > 2 * plain["compression_ratio"]
    assert looped["distinct_3"] < plain["distinct_3"] / 2


def test_what_texts_have_none_of_is_left_out_and_no_zero(jury):
    prompts, human = judge.human(jury.val, SETTINGS)
    figures = jury.figures(prompts, np.full_like(human, jury.encoding.encode_ordinary("a")[0]))
    assert figures["headings"] == 0
    gone = {"names_train", "name_distance", "line_distance", "turn_distance", "heading_distance", "zipf"}
    assert not gone & figures.keys()
    assert all(math.isfinite(value) for value in figures.values())


def test_the_same_seed_gives_the_same_figures(jury, monkeypatch):
    model = gpt(vocab_size=257)
    prompts, _ = judge.human(jury.val, SETTINGS)

    def figures(seed):
        texts = sampling.samples(model, prompts, 30, temperature=0.8, top_p=0.9, seed=seed)
        assert texts.shape == (6, 30)
        return jury.figures(prompts, texts)

    one, other = figures(1), figures(2)
    assert one != other
    monkeypatch.setattr(sampling, "BATCH", 4)  # nor do they depend on the batch
    assert figures(1) == one


def test_samples_are_what_generate_draws_for_each_seed():
    model, prompts = gpt(), np.arange(15).reshape(3, 5)
    found = sampling.samples(model, prompts, 7, temperature=1.0, top_p=0.9, seed=5)
    for n, row in enumerate(prompts):
        generator = torch.Generator().manual_seed(5 + n)
        alone = sampling.generate(
            model, torch.tensor(row)[None], 7, temperature=1.0, top_p=0.9, generator=generator
        )
        assert found[n].tolist() == alone[0, 5:].tolist()


def test_recall(jury):
    originals = np.arange(12).reshape(2, 6)
    wrong = originals.copy()
    wrong[1, 3] = 99
    assert jury.recall(wrong, originals) == {
        "recalled": [1.0, 1.0, 1.0, 0.5, 0.5, 0.5], "mean_matched": 4.5,
    }  # fmt: skip


def test_figures_are_written_rounded(tmp_path):
    judge.write(tmp_path / "a/b.json", {"cells": [{"figures": {"share": 1 / 3, "longest": 7}}]})
    facts = json.loads((tmp_path / "a/b.json").read_text())
    assert facts == {"cells": [{"figures": {"share": 0.333333, "longest": 7}}]}
