"""Continuing prompts as strings: pieces while they are written, and what of them is copied."""

import numpy as np
import tiktoken
from tiny import gpt

from gpt2_shakespeare.params import schema
from gpt2_shakespeare.texts import sampling

# One token a byte, and the end-of-text token
BYTES = tiktoken.Encoding(
    "bytes", pat_str=r"[\s\S]", mergeable_ranks={bytes([n]): n for n in range(256)},
    special_tokens={"<|endoftext|>": 256},
)  # fmt: skip
SETTINGS = schema.Sampling(
    temperature=1.0, top_p=1.0, max_new_tokens=40, samples_per_prompt=2, seed=3, prompts=["ab", "c"]
)


def test_pieces_come_one_by_one_and_are_the_text_that_continuations_gives():
    model = gpt(vocab_size=257)
    pieces: list[str] = []
    sampling.written(model, BYTES, "ab", 3, SETTINGS, pieces.append)
    assert "".join(pieces) == sampling.continuations(model, BYTES, "ab", [3], SETTINGS)[0]
    assert 1 < len(pieces) <= 40


def test_no_piece_ends_inside_a_character(monkeypatch):
    data = "aé€b".encode()
    tokens = iter([*data, 0xE2, 0x82])  # the last character is not finished

    def generate(model, idx, n, *, drawn, **_):
        import torch

        for token in tokens:
            drawn(torch.tensor([[token]]))
        return idx

    monkeypatch.setattr(sampling, "generate", generate)
    pieces: list[str] = []
    sampling.written(gpt(vocab_size=257), BYTES, "x", 3, SETTINGS, pieces.append)
    assert pieces == ["a", "é", "€", "b", "\ufffd"]


def test_copied_stretches_are_marked_by_characters():
    model = gpt(vocab_size=257)
    (text, _) = sampling.continuations(model, BYTES, "ab", [3, 4], SETTINGS)
    ids = BYTES.encode_ordinary(text)
    plain = sampling.for_prompts(model, BYTES, SETTINGS, np.zeros(20, np.uint16))
    assert [(one["prompt"], one["seed"]) for one in plain] == [("ab", 3), ("ab", 4), ("c", 1003), ("c", 1004)]
    assert plain[0]["text"] == text and all(one["copied"] == [] for one in plain)
    raw = sampling._ids(model, BYTES, "ab", [3, 4], SETTINGS)[0]
    train = np.concatenate([raw[5:25], [0]]).astype(np.uint16)
    found = sampling.for_prompts(model, BYTES, SETTINGS, train)[0]["copied"]
    start, end = len(BYTES.decode(raw[:5].tolist())), len(BYTES.decode(raw[:25].tolist()))
    assert found == [[start, end]] and len(ids) > 0
