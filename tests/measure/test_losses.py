"""Losses against slow computations of the same definitions, and against transformers."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import gpt, tokens
from transformers import GPT2LMHeadModel

from gpt2_shakespeare.measure import losses
from gpt2_shakespeare.measure.losses import exact_loss, exact_losses, quick_loss, reference_loss
from gpt2_shakespeare.model import GPT, ModelError
from gpt2_shakespeare.tokens.files import DataError


@torch.inference_mode()
def slow_losses(model, text, block_size):
    """Token by token: each is scored in the first window that reaches it, from that window's start on."""
    move = max(1, block_size // 2)
    losses = []
    for target in range(1, len(text)):
        start = 0
        while start + block_size < target:
            start += move
        context = torch.tensor([text[start:target].tolist()])
        losses.append(-F.log_softmax(model(context)[0][0, -1], dim=-1)[int(text[target])].item())
    return np.array(losses)


@pytest.mark.parametrize("block_size", [1, 2, 3, 5, 6, 7])
def test_exact_losses_of_texts_of_every_length(block_size):
    model, text = gpt(), tokens(5 * block_size + 2)
    wanted = slow_losses(model, text, block_size)  # a token's window does not depend on what follows
    for n in range(2, len(text) + 1):
        found = exact_losses(model, text[:n], block_size)
        assert found.shape == (n - 1,) and found.dtype == np.float64
        np.testing.assert_allclose(found, wanted[: n - 1], rtol=0, atol=2e-5, err_msg=f"{n} tokens")


@pytest.mark.parametrize("n", [2, 15, 16, 17, 18, 24, 25, 26, 70])
def test_by_default_the_windows_are_the_models_blocks(n):
    model, text = gpt(), tokens(n)
    np.testing.assert_allclose(exact_losses(model, text), slow_losses(model, text, 16), rtol=0, atol=2e-5)


@pytest.mark.parametrize("tokens_per_batch", [1, 20, 8192])
def test_the_batches_do_not_matter(monkeypatch, tokens_per_batch):
    model, text = gpt(), tokens(90)
    wanted = exact_losses(model, text, 8), reference_loss(model, text, 8), quick_loss(model, text, 8, 1000)
    monkeypatch.setattr(losses, "TOKENS_PER_BATCH", tokens_per_batch)
    np.testing.assert_allclose(exact_losses(model, text, 8), wanted[0], rtol=0, atol=1e-5)
    assert reference_loss(model, text, 8) == pytest.approx(wanted[1], abs=1e-5)
    assert quick_loss(model, text, 8, 1000) == pytest.approx(wanted[2], abs=1e-5)


@pytest.mark.parametrize("place", [0, 1, 7, 8, 20, 39])
def test_a_token_does_not_change_losses_before_it(place):
    model, text = gpt(), tokens(40)
    other = text.copy()
    other[place] = (text[place] + 1) % 61
    before, after = exact_losses(model, text, 8), exact_losses(model, other, 8)
    first = max(0, place - 1)  # losses[i] is that of token i + 1
    assert np.array_equal(before[:first], after[:first])
    assert before[first] != after[first]


def test_a_text_of_one_token_is_refused():
    for n in (0, 1):
        with pytest.raises(DataError, match=f"{n} tokens can't be scored"):
            exact_losses(gpt(), tokens(n))


def test_windows_above_the_models_block_are_refused():
    with pytest.raises(ModelError, match="17 tokens are more than block_size 16"):
        exact_losses(gpt(), tokens(40), 17)


def test_exact_loss_is_their_mean():
    model, text = gpt(), tokens(40)
    assert exact_loss(model, text, 8) == exact_losses(model, text, 8).mean()


def test_an_untrained_model_without_a_preference_loses_the_log_of_the_vocabulary():
    model = gpt()
    torch.nn.init.zeros_(model.transformer.wte.weight)
    text = tokens(50)
    for loss in (exact_loss(model, text), reference_loss(model, text), quick_loss(model, text, 16, 99)):
        assert loss == pytest.approx(math.log(61), abs=1e-6)


@torch.inference_mode()
def test_exact_loss_equals_the_sliding_window_of_the_hugging_face_guide(tmp_path):
    """huggingface.co/docs/transformers/perplexity, with a window's last target past its inputs as here."""
    model, text = gpt(), tokens(61)
    model.save_pretrained(tmp_path)
    theirs = GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    ids = torch.tensor([text.tolist()])
    total, count, scored_to = 0.0, 0, 0
    for begin in range(0, len(text) - 1, 4):
        end = min(begin + 8 + 1, len(text))
        labels = ids[:, begin:end].clone()
        labels[:, : max(1, scored_to - begin)] = -100
        n = int((labels != -100).sum())
        total += theirs(ids[:, begin:end], labels=labels).loss.item() * n
        count += n
        scored_to = end
        if end == len(text):
            break
    assert count == 60
    assert exact_loss(model, text, 8) == pytest.approx(total / count, abs=1e-5)


# --- the reference's protocol --------------------------------------------------------------------


@torch.inference_mode()
def slow_reference(model, text, block_size, stride, batch_size):
    windows = [text[s : s + block_size + 1].astype(int) for s in range(0, len(text) - block_size, stride)]
    means = []
    for i in range(0, len(windows), batch_size):
        batch = torch.from_numpy(np.stack(windows[i : i + batch_size]))
        means.append(model(batch[:, :-1], batch[:, 1:])[1].item())
    return sum(means) / len(means)


@pytest.mark.parametrize(
    ("n", "block_size", "stride", "batch_size"),
    [(60, 8, 1, 16), (60, 8, 3, 4), (9, 8, 1, 16), (41, 16, 2, 3), (33, 16, 16, 1)],
)
def test_reference_loss_is_the_mean_of_batch_means(n, block_size, stride, batch_size):
    model, text = gpt(), tokens(n)
    wanted = slow_reference(model, text, block_size, stride, batch_size)
    assert reference_loss(model, text, block_size, stride, batch_size) == pytest.approx(wanted, abs=1e-5)


def test_a_last_batch_of_one_window_weighs_as_much_as_a_full_one(monkeypatch):
    """As 257 windows of 1024 in batches of 16: the last of them is a seventeenth of the figure."""
    means = np.arange(257.0)
    monkeypatch.setattr(
        losses, "_scored", lambda *_: ((start, np.full(8, mean)) for start, mean in enumerate(means))
    )
    wanted = (sum(means[i : i + 16].mean() for i in range(0, 256, 16)) + 256) / 17
    assert reference_loss(gpt(), tokens(60), 8) == pytest.approx(wanted)


def test_reference_windows_of_shorter_models_are_their_block_and_move_by_half_of_it():
    model, text = gpt(), tokens(60)
    assert reference_loss(model, text) == pytest.approx(slow_reference(model, text, 16, 8, 16), abs=1e-5)
    model = gpt(block_size=4)
    assert reference_loss(model, text) == pytest.approx(slow_reference(model, text, 4, 2, 16), abs=1e-5)


def test_reference_windows_of_longer_models_are_1024_and_move_by_128(monkeypatch):
    seen = []
    monkeypatch.setattr(
        losses,
        "_scored",
        lambda model, text, starts, size: seen.append((starts.tolist(), size)) or [(0, np.zeros(1))],
    )
    reference_loss(gpt(block_size=2048, n_embd=2), tokens(1500))
    assert seen == [([0, 128, 256, 384], 1024)]


# --- in training ---------------------------------------------------------------------------------


def mean_of_windows(model, text, starts):
    return np.mean([slow_losses(model, text[s : s + 9], 8).mean() for s in starts])


@pytest.mark.parametrize(
    ("max_tokens", "starts"),
    [
        (1000, range(0, 96, 8)),
        (96, range(0, 96, 8)),
        (24, [0, 48, 88]),  # of 12 windows the first, the 6th or 7th, and the last
        (31, [0, 48, 88]),
        (16, [0, 88]),
        (8, [0]),
        (1, [0]),
    ],
)
def test_quick_loss_takes_windows_from_all_over_the_text(max_tokens, starts):
    model, text = gpt(), tokens(100)
    wanted = mean_of_windows(model, text, starts)
    assert quick_loss(model, text, 8, max_tokens) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("loss", [reference_loss, lambda m, t, b: quick_loss(m, t, b, 100)])
def test_a_text_without_a_whole_window_is_refused(loss):
    loss(gpt(), tokens(9), 8)
    with pytest.raises(DataError, match="8 tokens are too few for one window of block_size 8"):
        loss(gpt(), tokens(8), 8)


# --- all of them ---------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("loss", [exact_loss, reference_loss, lambda m, t: quick_loss(m, t, 16, 100)])
def test_dropout_is_off_and_the_mode_is_put_back(loss, training):
    model, text = gpt(dropout=0.5).train(training), tokens(50)
    assert loss(model, text) == loss(model, text) == loss(gpt(), text)
    assert all(module.training is training for module in model.modules())


def test_the_losses_of_a_saved_model_are_its_own(tmp_path):
    model, text = gpt(), tokens(50)
    model.save_pretrained(tmp_path)
    assert exact_loss(GPT.from_pretrained(tmp_path), text) == exact_loss(model, text)


@pytest.mark.parametrize("measure", [exact_losses, exact_loss, reference_loss])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_that_is_not_finite_is_refused_by_name(measure, value):
    model = gpt()
    model.name = "models/x"
    with torch.no_grad():
        model.transformer.ln_f.weight[0] = value
    with pytest.raises(ModelError, match="^models/x: a loss .*is (nan|inf|-inf) .number 0 of"):
        measure(model, tokens(40))
