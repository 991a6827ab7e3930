"""Losses of a text under a model: the exact one, the reference's protocol, and a quick one for training."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from gpt2_shakespeare.model import GPT
from gpt2_shakespeare.model.loss import token_losses
from gpt2_shakespeare.runtime import evaluating
from gpt2_shakespeare.tokens.batches import window_starts, windows
from gpt2_shakespeare.tokens.files import DataError, Tokens

TOKENS_PER_BATCH = 2048  # of a forward pass without gradients; more costs fresh memory, not less time


def exact_losses(model: GPT, tokens: Tokens, block_size: int | None = None) -> np.ndarray:
    """-log p of every token but the first, each scored once, in nats, float64 (n - 1,).

    Windows of block_size inputs move by half a block; a window scores only the targets that no window before
    it has scored, so each has at least half a block of context where the text has it. Nothing before the
    text is context, and the first token is not scored.

    Raises:
        DataError: fewer than two tokens.
    """
    if len(tokens) < 2:
        raise DataError(
            f"{len(tokens)} tokens can't be scored: the first one is never, and no other is there"
        )
    block_size = block_size or model.config.block_size
    n_targets = len(tokens) - 1
    losses, done = np.empty(n_targets), 0
    starts = np.arange(0, n_targets, max(1, block_size // 2))
    # from the first window that reaches the end on, only the first is needed: it may be a shorter one
    last = int(np.argmax(starts + block_size >= n_targets))
    with evaluating(model):
        for some, size in (
            (starts[:last], block_size),
            (starts[last : last + 1], n_targets - int(starts[last])),
        ):
            for start, values in _scored(model, tokens, some, size):
                losses[done : start + size] = values[done - start :]
                done = start + size
    return losses


def exact_loss(model: GPT, tokens: Tokens, block_size: int | None = None) -> float:
    """Mean of `exact_losses`, in nats per token."""
    return float(exact_losses(model, tokens, block_size).mean())


def reference_loss(
    model: GPT, tokens: Tokens, block_size: int | None = None, stride: int | None = None, batch_size: int = 16
) -> float:
    """The reference's figure: the mean of batch means over whole windows of 1024 that move by 128.

    A model with shorter blocks gets windows of its own block size, which move by 128 or half of it, and a text
    too short for that a single window. Tokens
    inside the text count several times (eight, at 1024), and a last batch of few windows weighs as much as a
    full one.

    Raises:
        DataError: no whole window fits.
    """
    block_size = block_size or max(1, min(1024, model.config.block_size, len(tokens) - 1))
    starts = window_starts(len(tokens), block_size, stride or max(1, min(128, block_size // 2)))
    if not len(starts):
        raise DataError(f"{len(tokens)} tokens are too few for one window of block_size {block_size}")
    with evaluating(model):
        means = np.array([values.mean() for _, values in _scored(model, tokens, starts, block_size)])
    batches = [means[i : i + batch_size].mean() for i in range(0, len(means), batch_size)]
    return float(np.mean(batches))


def quick_loss(model: GPT, tokens: Tokens, block_size: int, max_tokens: int) -> float:
    """Mean loss over windows side by side, spread evenly where the text has more than max_tokens; for dev.

    Raises:
        DataError: no whole window fits.
    """
    starts = spread_windows(tokens, block_size, max_tokens)
    with evaluating(model):
        return float(np.mean([values.mean() for _, values in _scored(model, tokens, starts, block_size)]))


def spread_windows(tokens: Tokens, block_size: int, max_tokens: int) -> np.ndarray:
    """Starts of windows side by side, spread evenly where the text has more than max_tokens.

    Raises:
        DataError: no whole window fits.
    """
    starts = window_starts(len(tokens), block_size, block_size)
    if not len(starts):
        raise DataError(f"{len(tokens)} tokens are too few for one window of block_size {block_size}")
    count = min(len(starts), max(1, max_tokens // block_size))
    return starts[np.linspace(0, len(starts) - 1, count).round().astype(int)]


class Forgetting:
    """What a model lost on texts of other kinds than its training text, beside the base it started from.

    Args:
        base: stays as it is.
        texts: token ids by name; windows of the base's block size are spread over each.
        max_tokens: of each text.

    Raises:
        DataError: a text is too short for one window.
    """

    def __init__(self, base: GPT, texts: Mapping[str, Tokens], max_tokens: int):
        self.base, block_size = base, base.config.block_size
        self.windows = {
            name: windows(tokens, spread_windows(tokens, block_size, max_tokens), block_size)
            for name, tokens in texts.items()
        }

    def measure(self, model: GPT) -> dict[str, float]:
        """For each text `other_loss_<name>`, the model's loss, and `kl_<name>`, the mean KL(base || model) of the
        next token's distribution; in nats per token. An unchanged model has a KL of 0.

        Raises:
            DataError: the model's blocks are shorter than the base's.
        """
        if model.config.block_size < self.base.config.block_size:
            raise DataError(
                f"the model's block_size {model.config.block_size} is below the base's {self.base.config.block_size}"
            )
        result = {}
        with evaluating(self.base), evaluating(model):
            for name, (idx, targets) in self.windows.items():
                pairs = [
                    self._window(model, torch.from_numpy(i[None]), torch.from_numpy(t))
                    for i, t in zip(idx, targets, strict=True)
                ]
                result[f"other_loss_{name}"], result[f"kl_{name}"] = np.mean(pairs, axis=0).tolist()
        return result

    def _window(self, model: GPT, idx: Tensor, targets: Tensor) -> tuple[float, float]:
        """Loss of the model and KL from the base, means over one window's tokens."""
        device = model.transformer.wte.weight.device
        theirs, ours = (
            torch.log_softmax(net(idx.to(device))[0][0].float(), -1) for net in (self.base, model)
        )
        kl = (theirs.exp() * (theirs - ours)).sum(-1)
        return -ours.gather(1, targets.to(device)[:, None]).double().mean().item(), kl.double().mean().item()


class Names:
    """How likely a model is to let one of some speakers begin where nothing asks for any.

    Args:
        headings: each one's tokens, the end of its line included, so that none is the start of another one.
        prompts: token ids (B, P), up to where a heading may start.
    """

    def __init__(self, headings: Sequence[Sequence[int]], prompts: np.ndarray):
        self.lengths = np.array([len(heading) for heading in headings], dtype=int)
        self.headings = np.zeros(
            (len(headings), self.lengths.max(initial=0)), dtype=np.int64
        )  # padded at the right
        for row, heading in zip(self.headings, headings, strict=True):
            row[: len(heading)] = heading
        self.prompts = prompts.astype(np.int64)

    def measure(self, model: GPT) -> dict[str, float]:
        """`p_name`: the probability that what follows a prompt is one of the headings, a mean over the prompts.

        Empty where there are no headings or no prompts, or where they are longer than the model's blocks.
        """
        start, longest = self.prompts.shape[1] - 1, self.headings.shape[1]
        if not self.headings.size or not self.prompts.size or start + longest > model.config.block_size:
            return {}
        device = model.transformer.wte.weight.device
        inside = torch.from_numpy(np.arange(longest) < self.lengths[:, None]).to(device)
        found = []
        with evaluating(model):
            table = model.table()
            for prompt in self.prompts:
                rows = np.concatenate([np.tile(prompt, (len(self.headings), 1)), self.headings], axis=1)
                idx = torch.from_numpy(rows).to(device)
                hidden, targets = model.hidden(idx[:, :-1])[:, start:], idx[:, start + 1 :]
                losses = torch.zeros(inside.shape, dtype=torch.float64, device=device)
                losses[inside] = token_losses(hidden[inside], table, targets[inside]).double()
                found.append(losses.sum(1).neg().logsumexp(0).exp().item())
        return {"p_name": math.fsum(found) / len(found)}


def _scored(
    model: GPT, tokens: Tokens, starts: np.ndarray, block_size: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Every window's start and the losses of its targets, float64 (block_size,)."""
    table = model.table()
    device = table.device
    per_batch = max(1, TOKENS_PER_BATCH // block_size)
    for i in range(0, len(starts), per_batch):
        some = starts[i : i + per_batch]
        idx, targets = (torch.from_numpy(part).to(device) for part in windows(tokens, some, block_size))
        values = token_losses(model.hidden(idx), table, targets).double().cpu().numpy()
        yield from zip(some.tolist(), values, strict=True)
