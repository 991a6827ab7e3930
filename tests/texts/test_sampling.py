"""Drawing tokens from literal distributions, and generation against a slow loop and transformers."""

import math

import pytest
import torch
from tiny import gpt, tokens
from transformers import GPT2LMHeadModel

from gpt2_shakespeare.model import ModelError
from gpt2_shakespeare.texts import sampling
from gpt2_shakespeare.texts.sampling import draw, generate


def logits(*probabilities):
    return torch.tensor([probabilities]).log()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def frequencies(row, temperature, top_p, n=8000):
    """How often each id is drawn."""
    ids = draw(row.expand(n, -1), temperature, top_p, seeded())
    assert ids.shape == (n, 1)
    return (ids.flatten().bincount(minlength=row.size(1)) / n).tolist()


def near(wanted):
    return pytest.approx(wanted, abs=0.02)


# --- one token -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("top_p", "wanted"),
    [
        (1.0, [0.3, 0.05, 0.5, 0.15]),
        (0.96, [0.3, 0.05, 0.5, 0.15]),
        (0.94, [0.3 / 0.95, 0, 0.5 / 0.95, 0.15 / 0.95]),
        (0.81, [0.3 / 0.95, 0, 0.5 / 0.95, 0.15 / 0.95]),
        (0.79, [0.375, 0, 0.625, 0]),
        (0.51, [0.375, 0, 0.625, 0]),
        (0.49, [0, 0, 1, 0]),
        (1e-9, [0, 0, 1, 0]),
    ],
)
def test_top_p_keeps_the_fewest_tokens_that_hold_it(top_p, wanted):
    found = frequencies(logits(0.3, 0.05, 0.5, 0.15), 1.0, top_p)
    assert found == near(wanted)
    assert [share > 0 for share in found] == [share > 0 for share in wanted]


def test_tokens_that_hold_top_p_exactly_are_enough():
    assert frequencies(logits(0.25, 0.5, 0.25), 1.0, 0.5) == [0, 1, 0]
    assert frequencies(logits(0.25, 0.5, 0.125, 0.125), 1.0, 0.75) == near([1 / 3, 2 / 3, 0, 0])


def test_temperature_divides_the_logits():
    assert frequencies(logits(0.2, 0.8), 0.5, 1.0) == near([1 / 17, 16 / 17])  # p squared
    assert frequencies(logits(0.2, 0.8), 2.0, 1.0) == near([1 / 3, 2 / 3])  # its root
    assert frequencies(logits(0.2, 0.8), 1e6, 1.0) == near([0.5, 0.5])


def test_temperature_acts_before_top_p():
    assert frequencies(logits(0.64, 0.36), 1.0, 0.6) == [1, 0]
    assert frequencies(logits(0.64, 0.36), 2.0, 0.6) == near([0.8 / 1.4, 0.6 / 1.4])


def test_greedy_takes_the_likeliest():
    many = torch.randn(50, 20, generator=seeded())
    wanted = many.argmax(-1, keepdim=True)
    assert torch.equal(draw(many, 0, 0.9), wanted)
    assert torch.equal(draw(many, 0.8, 1e-9, seeded()), wanted)
    assert torch.equal(draw(many, 1e-6, 0.9, seeded()), wanted)


def test_of_equals_the_first_is_kept():
    assert draw(torch.zeros(1, 9), 1.0, 1e-9, seeded()).tolist() == [[0]]
    assert draw(torch.zeros(1, 9), 0, 1.0).tolist() == [[0]]


@pytest.mark.parametrize("top_p", [1e-9, 0.5, 0.9, 0.999, 1.0])
@pytest.mark.parametrize("spread", [0.0, 0.01, 1.0, 4.0])  # from all alike to a few that hold it all
def test_candidates_change_no_draw(monkeypatch, top_p, spread):
    logits = spread * torch.randn(50, 300, generator=seeded())
    logits = (logits * 4).round() / 4  # with ties
    logits[:10, ::2] = -math.inf
    monkeypatch.setattr(sampling, "CANDIDATES", ())  # all are sorted
    wanted = draw(logits, 0.8, top_p, seeded())
    monkeypatch.setattr(sampling, "CANDIDATES", (20, 80))
    assert torch.equal(draw(logits, 0.8, top_p, seeded()), wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_drawing_leaves_the_logits_as_they_are(dtype):
    logits = torch.randn(3, 50, generator=seeded()).to(dtype)
    before = logits.clone()
    draw(logits, 0.8, 0.9, seeded())
    assert torch.equal(logits, before)


def test_few_probabilities_are_sorted_where_they_are_enough(monkeypatch):
    sizes, pick = [], sampling._pick
    monkeypatch.setattr(sampling, "CANDIDATES", (4,))
    monkeypatch.setattr(
        sampling, "_pick", lambda probs, *rest: sizes.append(tuple(probs.shape)) or pick(probs, *rest)
    )
    peaked, flat = torch.arange(9.0) * 3, torch.zeros(9)
    draw(torch.stack([peaked, peaked]), 1.0, 0.9, seeded())
    assert sizes == [(2, 4)]
    draw(torch.stack([peaked, flat, peaked]), 1.0, 0.9, seeded())
    assert sizes[1:] == [(3, 4), (1, 9)]  # all of them for the row that needs them


def test_impossible_tokens_are_never_drawn():
    found = frequencies(torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0]]), 1.0, 1.0)
    assert (found[0], found[2]) == (0, 0)


def test_temperatures_close_to_zero_are_greedy():
    for temperature in (1e-30, 1e-37, 1e-38, 1e-40, 1e-46):
        assert draw(torch.tensor([[1.0, 50.0, 3.0]]), temperature, 0.9, seeded()).tolist() == [[1]]


def test_every_row_has_its_own_distribution():
    rows = torch.full((4, 4), -torch.inf).fill_diagonal_(0.0)
    assert draw(rows, 1.0, 0.9, seeded()).flatten().tolist() == [0, 1, 2, 3]


# --- texts ---------------------------------------------------------------------------------------


def prompt(*shape):
    return torch.from_numpy(tokens(shape[0] * shape[1]).astype("int64")).view(shape)


@torch.inference_mode()
def slow(model, ids, n, pick):
    """Without a cache: the context grows up to the block, then its last half is kept."""
    block_size = model.config.block_size
    text, context = list(ids), list(ids)[-block_size:]
    for _ in range(n):
        if len(context) > block_size:
            context = text[-max(1, block_size // 2) :]
        new = int(pick(model(torch.tensor([context]))[0][:, -1]))
        text.append(new)
        context.append(new)
    return text


def test_the_prompt_is_kept_and_the_length_is_as_asked():
    model, idx = gpt(), prompt(3, 5)
    for n in (0, 1, 40):
        found = generate(model, idx, n, generator=seeded())
        assert found.shape == (3, 5 + n) and found.dtype == torch.int64
        assert torch.equal(found[:, :5], idx)
        assert ((found >= 0) & (found < 61)).all()


@pytest.mark.parametrize("block_size", [1, 2, 7, 16])
@pytest.mark.parametrize("length", [1, 6, 16, 30])
def test_greedy_texts_equal_the_slow_loop(block_size, length):
    model, idx = gpt(block_size=block_size), prompt(2, length)
    found = generate(model, idx, 5 * block_size + 3, temperature=0)
    for row, ids in zip(found.tolist(), idx.tolist(), strict=True):
        assert row == slow(model, ids, 5 * block_size + 3, lambda logits: logits.argmax())


@pytest.mark.parametrize(("temperature", "top_p"), [(0.8, 0.9), (1.0, 1.0), (1.5, 0.5)])
def test_sampled_texts_equal_the_slow_loop(temperature, top_p):
    model, ids = gpt(), prompt(1, 4)
    found = generate(model, ids, 80, temperature=temperature, top_p=top_p, generator=seeded(3))
    generator = seeded(3)
    wanted = slow(model, ids[0].tolist(), 80, lambda logits: draw(logits, temperature, top_p, generator))
    assert found[0].tolist() == wanted


@torch.inference_mode()
def test_greedy_texts_equal_transformers(tmp_path):
    model, idx = gpt(), prompt(3, 4)
    model.save_pretrained(tmp_path)
    theirs = GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    theirs.generation_config.eos_token_id = None
    wanted = theirs.generate(
        idx, attention_mask=torch.ones_like(idx), max_new_tokens=12, do_sample=False, pad_token_id=0
    )
    assert torch.equal(generate(model, idx, 12, temperature=0), wanted)


def test_equal_generators_give_equal_texts_and_others_do_not():
    model, idx = gpt(), prompt(1, 4)
    texts = [generate(model, idx, 40, generator=seeded(seed)).tolist() for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_without_a_generator_torchs_own_is_used():
    model, idx, texts = gpt(), prompt(1, 4), []
    for _ in range(2):
        torch.manual_seed(5)
        texts.append(generate(model, idx, 20).tolist())
    assert texts[0] == texts[1]


def test_a_text_does_not_depend_on_the_batch_it_is_in():
    model, idx = gpt(), prompt(4, 5)
    together = generate(model, idx, 60, generator=[seeded(seed) for seed in range(4)])
    for row in range(4):
        alone = generate(model, idx[row : row + 1], 60, generator=[seeded(row)])
        assert torch.equal(together[row : row + 1], alone)


def test_a_long_prompt_is_read_from_its_end():
    model, idx = gpt(), prompt(1, 50)
    found = generate(model, idx, 30, generator=seeded())
    assert torch.equal(found[:, :50], idx)
    assert torch.equal(found[:, 50:], generate(model, idx[:, -16:], 30, generator=seeded())[:, 16:])


def test_dropout_is_off_and_the_mode_is_put_back():
    model = gpt(dropout=0.5).train()
    found = generate(model, prompt(1, 4), 30, temperature=0)
    assert model.training
    assert torch.equal(found, generate(gpt(), prompt(1, 4), 30, temperature=0))


def test_an_empty_prompt_is_refused():
    with pytest.raises(ValueError, match="the prompt is empty"):
        generate(gpt(), torch.empty(1, 0, dtype=torch.int64), 5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1},
        {"top_p": 0.0},
        {"top_p": 1.01},
        {"top_p": -1},
        {"top_p": float("nan")},
    ],
)
def test_wrong_settings_are_refused(wrong):
    refuse(wrong)


def test_a_temperature_that_is_no_number_is_refused():
    refuse({"temperature": float("nan")})


def refuse(wrong):
    with pytest.raises(ValueError, match="must be >= 0 and top_p"):
        generate(gpt(), prompt(1, 4), 5, **wrong)


def test_a_generator_too_few_is_refused():
    with pytest.raises(ValueError, match="1 generators for 2 rows"):
        generate(gpt(), torch.zeros(2, 3, dtype=torch.long), 1, generator=[torch.Generator()])


@pytest.mark.parametrize("temperature", [0.0, 0.8])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_model_whose_logits_are_not_finite_is_refused_by_name(value, temperature):
    model = gpt()
    model.name = "models/x"
    with torch.no_grad():
        model.transformer.wpe.weight[2] = value
    with pytest.raises(ModelError, match="^models/x: the logits of token 3 are not finite"):
        generate(model, torch.zeros(1, 2, dtype=torch.int64), 4, temperature=temperature)
