"""The probability of train's headings after neutral prompts."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from architectures import saved
from tiny import gpt

from gpt2_shakespeare.measure import names
from gpt2_shakespeare.measure.names import NEUTRAL_PROMPTS, Names, name_probe
from gpt2_shakespeare.model.pretrained import Pretrained
from gpt2_shakespeare.tokens import tokenizer
from gpt2_shakespeare.tokens.corpus import encode


def llama(folder):
    saved(folder, "llama")
    return Pretrained.from_pretrained(folder)


@pytest.mark.parametrize("made", [lambda folder: gpt(), llama], ids=["own", "llama"])
def test_p_name_is_the_probability_of_the_headings(tmp_path, made):
    model, prompts = made(tmp_path), np.array([[3, 1], [2, 5]])
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
    with torch.autocast("cpu", torch.bfloat16):
        found = Names(headings, prompts).measure(model)
    assert found == {"p_name": pytest.approx(np.mean(wanted), rel=0.1)}


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


def test_many_headings_are_measured_in_parts(monkeypatch):
    generator = np.random.default_rng(0)
    headings = [generator.integers(1, 61, size=size).tolist() for size in generator.integers(1, 9, size=40)]
    prompts = np.array([[3, 1], [2, 5]])
    at_once = Names(headings, prompts).measure(gpt())
    monkeypatch.setattr(names, "TOKENS_PER_BATCH", 64)
    model = gpt()
    sizes, hidden = [], model.hidden
    model.hidden = lambda idx, cache: sizes.append(idx.numel()) or hidden(idx, cache)
    assert Names(headings, prompts).measure(model) == {"p_name": pytest.approx(at_once["p_name"], rel=1e-6)}
    assert max(sizes) <= 64 and len(sizes) > 10


def test_a_heading_longer_than_a_block_leaves_the_others_there():
    prompts, short = np.array([[3, 1], [2, 5]]), [[1], [2, 3]]
    assert Names([short[0], [4] * 16, short[1]], prompts).measure(gpt()) == Names(short, prompts).measure(
        gpt()
    )


SPACED = "{0}ROMEO:\n{1}Ay me.\n{1}Is the day so young?\n\n{0}Nurse:\n{1}Madam!\n\n{0}ROMEO:\n{1}Here.\n\n{0}JULIET:\nO!\n\n"


@pytest.mark.parametrize("speech", ["", "  ", "\t"], ids=["flush", "indented", "tab"])
@pytest.mark.parametrize("indent", ["", " ", "    ", "\t"], ids=["flush", "a space", "spaces", "tab"])
def test_indented_headings_have_the_tokens_that_train_has(tmp_path, indent, speech):
    text = SPACED.format(indent, speech)
    encoding = tokenizer.train([text * 9 + "\n\n\n   \n  \n"], 290, tmp_path)  # with types of white space
    train = encode(encoding, [text])
    headings, prompts = name_probe(encoding, train, [encode(encoding, ["prose that goes on and on " * 10])])
    written = {encoding.decode(heading).split(":\n")[0].strip() for heading in headings}
    assert written == {"ROMEO", "Nurse", "JULIET"}
    gap = prompts[0, names.NEUTRAL_TOKENS :].tolist()
    assert encoding.decode(gap).startswith("\n\n") and not encoding.decode(gap).strip()
    where = " ".join(map(str, train.tolist()))
    assert all(f" {' '.join(map(str, [*gap, *heading]))} " in where for heading in headings)
    # each name once for each way in which its line ends
    ends = [encoding.decode(heading).split(":")[1] for heading in headings]
    assert len(headings) == 3 and all(end.startswith("\n") for end in ends)


def test_of_several_indents_the_most_frequent_one_counts(tmp_path):
    encoding = tokenizer.train(["x"], 257, tmp_path)
    train = encode(encoding, ["NOTE:\nA.\n\n  ROMEO:\nB.\n\n  Nurse:\nC.\n\nROMEO:\nD.\n\n  JULIET:\nE.\n"])
    headings, prompts = name_probe(encoding, train, [train])
    assert [encoding.decode(heading) for heading in headings] == [" JULIET:\n", " Nurse:\n", " ROMEO:\n"]
    assert all(encoding.decode(prompt.tolist()).endswith("\n\n ") for prompt in prompts)


def test_a_text_without_headings_has_no_names_to_probe(tmp_path):
    encoding = tokenizer.train(["x"], 257, tmp_path)
    plain = encode(encoding, ["a plain piece of prose that goes on for some time"])
    headings, prompts = name_probe(encoding, plain, [plain])
    assert headings == [] and prompts.shape == (NEUTRAL_PROMPTS, names.NEUTRAL_TOKENS + 2)
    assert name_probe(encoding, plain, [])[1].shape == (0, names.NEUTRAL_TOKENS + 2)
