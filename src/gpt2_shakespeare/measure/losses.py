"""Losses of a text under a model: the exact one, the reference's protocol, and a quick one for training."""

from collections.abc import Iterator

import numpy as np
import torch

from gpt2_shakespeare.model import LanguageModel, ModelError
from gpt2_shakespeare.model.loss import token_losses
from gpt2_shakespeare.runtime import evaluating
from gpt2_shakespeare.tokens.batches import window_starts, windows
from gpt2_shakespeare.tokens.files import DataError, Tokens

TOKENS_PER_BATCH = 2048  # of a forward pass without gradients; more takes more memory and no less time


def exact_losses(model: LanguageModel, tokens: Tokens, block_size: int | None = None) -> np.ndarray:
    """-log p of every token but the first, each scored once, in nats, float64 (n - 1,).

    Windows of block_size inputs start every half block. A window scores only the targets that no earlier window has
    scored, so each target has at least half a block of context, or all of the text before it. The first token has no
    context and is not scored.

    Args:
        tokens: the text, (n,).
        block_size: the model's if not given.

    Raises:
        DataError: fewer than two tokens.
        ModelError: a loss is not finite.
    """
    if len(tokens) < 2:
        raise DataError(
            f"{len(tokens)} tokens can't be scored: the first token never is, and there is no other"
        )
    block_size = block_size or model.block_size
    n_targets = len(tokens) - 1
    losses, done = np.empty(n_targets), 0
    starts = np.arange(0, n_targets, max(1, block_size // 2))
    # the first window that reaches the text's end is the last one needed; it may be shorter
    last = int(np.argmax(starts + block_size >= n_targets))
    with evaluating(model):
        for some, size in (
            (starts[:last], block_size),
            (starts[last : last + 1], n_targets - int(starts[last])),
        ):
            for start, values in _scored(model, tokens, some, size):
                losses[done : start + size] = values[done - start :]
                done = start + size
    require_finite(model, "a loss", losses)
    return losses


def exact_loss(model: LanguageModel, tokens: Tokens, block_size: int | None = None) -> float:
    """Mean of `exact_losses`, in nats per token."""
    return float(exact_losses(model, tokens, block_size).mean())


def reference_loss(
    model: LanguageModel,
    tokens: Tokens,
    block_size: int | None = None,
    stride: int | None = None,
    batch_size: int = 16,
) -> float:
    """Mean loss by the reference's protocol, in nats per token: the mean of batch means over overlapping windows.

    Only whole windows of 1024 tokens count, one every 128 tokens. So tokens inside the text count several times (eight
    times, at 1024), and a last batch of few windows weighs as much as a full one.

    Args:
        tokens: the text, (n,).
        block_size: if not given, 1024 or the model's if that is smaller; a single window for a shorter text.
        stride: if not given, 128 or half of block_size if that is smaller.
        batch_size: windows of a batch, 16 in the reference.

    Raises:
        DataError: no whole window fits.
        ModelError: a loss is not finite.
    """
    block_size = block_size or max(1, min(1024, model.block_size, len(tokens) - 1))
    starts = window_starts(len(tokens), block_size, stride or max(1, min(128, block_size // 2)))
    if not len(starts):
        raise DataError(f"{len(tokens)} tokens are too few for one window of block_size {block_size}")
    with evaluating(model):
        means = np.array([values.mean() for _, values in _scored(model, tokens, starts, block_size)])
    require_finite(model, "a loss by the reference's protocol", means)
    batches = [means[i : i + batch_size].mean() for i in range(0, len(means), batch_size)]
    return float(np.mean(batches))


def require_finite(model: LanguageModel, figure: str, values: np.ndarray) -> None:
    """See that measured values are numbers.

    Args:
        figure: what they are, for the message.

    Raises:
        ModelError: one is NaN or infinite.
    """
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise ModelError(
            f"{model.name}: {figure} is {values.flat[wrong[0]]} (number {wrong[0]} of {values.size}, and {len(wrong) - 1} "
            "more); the model's weights are too large for its precision, or broken"
        )


def quick_loss(model: LanguageModel, tokens: Tokens, block_size: int, max_tokens: int) -> float:
    """Mean loss over `spread_windows`, in nats per token; for evaluations during training.

    Raises:
        DataError: no whole window fits.
    """
    starts = spread_windows(tokens, block_size, max_tokens)
    with evaluating(model):
        return float(np.mean([values.mean() for _, values in _scored(model, tokens, starts, block_size)]))


def spread_windows(tokens: Tokens, block_size: int, max_tokens: int) -> np.ndarray:
    """Starts of windows that don't overlap; of a text with more than max_tokens, windows spread evenly over it.

    Raises:
        DataError: no whole window fits.
    """
    starts = window_starts(len(tokens), block_size, block_size)
    if not len(starts):
        raise DataError(f"{len(tokens)} tokens are too few for one window of block_size {block_size}")
    count = min(len(starts), max(1, max_tokens // block_size))
    return starts[np.linspace(0, len(starts) - 1, count).round().astype(int)]


def _scored(
    model: LanguageModel, tokens: Tokens, starts: np.ndarray, block_size: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Each window's start and the losses of its targets, float64 (block_size,)."""
    table = model.table()
    device = table.device
    per_batch = max(1, TOKENS_PER_BATCH // block_size)
    for i in range(0, len(starts), per_batch):
        some = starts[i : i + per_batch]
        idx, targets = (torch.from_numpy(part).to(device) for part in windows(tokens, some, block_size))
        values = token_losses(model.hidden(idx), table, targets).double().cpu().numpy()
        yield from zip(some.tolist(), values, strict=True)
