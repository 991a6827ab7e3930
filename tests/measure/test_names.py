"""The probability of train's headings after neutral prompts."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import gpt

from gpt2_shakespeare.measure.names import NEUTRAL_PROMPTS, Names, name_probe
from gpt2_shakespeare.tokens import tokenizer
from gpt2_shakespeare.tokens.corpus import encode


def test_p_name_is_the_probability_of_the_headings():
    model, prompts = gpt(), np.array([[3, 1], [2, 5]])
    headings = [[1], [2, 3], [2, 4, 5]]
    wanted = []
    with torch.inference_mode():
        for prompt in prompts.tolist():
            total = 0.0
            for heading in headings:
                logits = model(torch.tensor([prompt + heading]))[0][0].double()
                found = F.log_softmax(logits, -1)[torch.arange(1, 1 + len(heading)), torch.tensor(heading)]
                total += found.sum().exp().item()
            wanted.append(total)
    found = Names(headings, prompts).measure(model)
    assert found == {"p_name": pytest.approx(np.mean(wanted), rel=1e-5)}


def test_p_name_of_all_types_is_one():
    model = gpt()
    every = [[token] for token in range(model.config.vocab_size)]
    assert Names(every, np.array([[1, 2, 3]])).measure(model) == {"p_name": pytest.approx(1)}


@pytest.mark.parametrize(
    ("headings", "prompts"),
    [([], [[1, 2]]), ([[1]], np.zeros((0, 3))), ([[1] * 12], [[1] * 6])],
    ids=["no headings", "no prompts", "longer than a block"],
)
def test_p_name_is_not_there_where_it_cannot_be_measured(headings, prompts):
    assert Names(headings, np.array(prompts)).measure(gpt()) == {}


def test_the_name_probe_asks_for_the_headings_of_train_as_they_stand_in_it(tmp_path):
    encoding = tokenizer.train(["x"], 257, tmp_path)  # a token a byte
    train = encode(encoding, ["ROMEO:\nAy me.\n\nNurse:\nMadam!\n\nROMEO:\nHere.\n"])
    other = encode(encoding, ["a plain piece of prose that goes on for some time, " * 10])
    headings, prompts = name_probe(encoding, train, [other, other[:5]])
    assert [encoding.decode(heading) for heading in headings] == ["Nurse:\n", "ROMEO:\n"]
    assert prompts.shape[0] == NEUTRAL_PROMPTS  # the second text is too short for one
    assert all(encoding.decode(prompt.tolist()).endswith("\n\n") for prompt in prompts)
    where = " ".join(map(str, train.tolist()))
    assert all(f" {' '.join(map(str, [*prompts[0, -2:], *heading]))} " in where for heading in headings)
