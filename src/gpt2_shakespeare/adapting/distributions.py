"""What models say of each next token of a text: trained weights, or weights that go on learning from what they predicted.

*Dynamic evaluation* (Krause et al. 2018): a window's targets are predicted, then the weights take a gradient step on
them. Steps are scaled by the root mean square of the gradients on train, and each step goes a part of the way back to
the trained weights.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gpt2_shakespeare.adapting.trie import Trie, Walk
from gpt2_shakespeare.measure.losses import require_finite
from gpt2_shakespeare.model import LanguageModel
from gpt2_shakespeare.tokens.batches import window_starts, windows
from gpt2_shakespeare.tokens.files import DataError, Tokens

RATES = (3e-5, 1e-4, 3e-4)  # of a step, in root mean squares of the gradients
DECAYS = (0.0, 0.01)  # the part of the way back to the trained weights
STATISTICS_WINDOWS, STATISTICS_TOKENS = 100, 25_600  # at most, of train, for the root mean squares


@dataclass(frozen=True)
class Dynamic:
    """How the weights go on learning.

    Args:
        rate: of a step.
        decay: the part of the way back to the trained weights, of those that move much on train more.
    """

    rate: float
    decay: float


def spans(n_tokens: int, block_size: int) -> Iterator[tuple[int, int, int]]:
    """The windows of `measure.losses.exact_losses`: start, number of inputs, and how many of them earlier ones scored.

    Raises:
        DataError: fewer than two tokens.
    """
    if n_tokens < 2:
        raise DataError(f"{n_tokens} tokens can't be scored: the first token never is, and there is no other")
    start = done = 0
    while done < n_tokens - 1:
        size = min(block_size, n_tokens - 1 - start)
        yield start, size, done - start
        done, start = start + size, start + max(1, block_size // 2)


class Statistics:
    """Root mean squares of a model's gradients on train, by which dynamic evaluation scales its steps.

    Args:
        train: the text that the model was trained on.

    Raises:
        DataError: train is shorter than a window.
    """

    def __init__(self, model: LanguageModel, train: Tokens):
        size = model.block_size
        starts = window_starts(len(train), size, size)
        if not len(starts):
            raise DataError(f"train has {len(train)} tokens, too few for one window of block_size {size}")
        count = min(len(starts), STATISTICS_WINDOWS, max(1, STATISTICS_TOKENS // size))
        places = np.linspace(0, len(starts) - 1, count).round().astype(int)
        model.eval()
        parameters = list(model.parameters())
        squares = [torch.zeros_like(each) for each in parameters]
        for start in starts[places]:
            idx, targets = (torch.from_numpy(part) for part in windows(train, np.array([start]), size))
            device = parameters[0].device
            loss = _log_p(model, idx.to(device), 0).gather(1, targets.to(device).T).mean().neg()
            for square, gradient in zip(squares, torch.autograd.grad(loss, parameters), strict=True):
                square.addcmul_(gradient, gradient, value=1 / len(places))
        self.roots = [square.sqrt_() for square in squares]
        self.mean = torch.stack([root.mean() for root in self.roots]).mean().item()


def log_probabilities(
    model: LanguageModel, tokens: Tokens, learning: tuple[Dynamic, Statistics] | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """Place of a first target in the text, and log p of all types for it and the next ones, float32 (n, vocab_size).

    Every token but the first is a target once, with as much context as in `exact_losses`. The model is left as it was.

    Raises:
        DataError: fewer than two tokens.
        ModelError: a value is not finite.
    """
    if learning:
        model = copy.deepcopy(model)
    model.eval()
    device = model.table().device
    trained = [parameter.detach().clone() for parameter in model.parameters()] if learning else []
    for start, size, seen in spans(len(tokens), model.block_size):
        idx, targets = (
            torch.from_numpy(part).to(device) for part in windows(tokens, np.array([start]), size)
        )
        with torch.set_grad_enabled(learning is not None):
            log_p = _log_p(model, idx, seen)
        values = log_p.detach().cpu().numpy()
        require_finite(model, "a log probability", values)
        yield start + seen + 1, values
        if learning:
            _step(model, log_p.gather(1, targets[:, seen:].T).mean().neg(), trained, *learning)


def _log_p(model: LanguageModel, idx: Tensor, seen: int) -> Tensor:
    """Of one window (1, T), from its input number `seen` on: (T - seen, vocab_size)."""
    return F.log_softmax(F.linear(model.hidden(idx)[0, seen:], model.table()).float(), dim=-1)


def _step(
    model: LanguageModel, loss: Tensor, trained: Sequence[Tensor], dynamic: Dynamic, statistics: Statistics
) -> None:
    """One update by the published rule, RMS with a decay by RMS."""
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(loss, parameters)
    with torch.no_grad():
        for parameter, gradient, root, start in zip(
            parameters, gradients, statistics.roots, trained, strict=True
        ):
            if dynamic.decay:
                back = (root * (dynamic.decay / statistics.mean)).clamp_(max=1)
                parameter.add_((start - parameter).mul_(back))
            parameter.sub_(gradient.div_(root + statistics.mean), alpha=dynamic.rate)
    torch.clear_autocast_cache()  # of the former weights in autocast's precision


def dynamic_losses(
    models: Sequence[LanguageModel], tokens: Tokens, learning: Sequence[tuple[Dynamic, Statistics] | None]
) -> np.ndarray:
    """-log of the mean p by some models, each of which goes on learning, of every token but the first.

    Returns:
        nats, float64 (n - 1,).
    """
    found = np.empty((len(models), len(tokens) - 1))
    for row, (model, way) in enumerate(zip(models, learning, strict=True)):
        for place, log_p in log_probabilities(model, tokens, way):
            targets = tokens[place : place + len(log_p)].astype(np.int64)
            found[row, place - 1 : place - 1 + len(log_p)] = log_p[np.arange(len(log_p)), targets]
    return np.log(len(models)) - np.logaddexp.reduce(found, axis=0)


def best_dynamic(model: LanguageModel, statistics: Statistics, dev: Tokens) -> Dynamic:
    """The rate, then the decay, with the lowest loss on dev."""

    def loss(dynamic: Dynamic) -> float:
        return float(dynamic_losses([model], dev, [(dynamic, statistics)]).mean())

    rate = min(RATES, key=lambda rate: loss(Dynamic(rate, DECAYS[0])))
    return min((Dynamic(rate, decay) for decay in DECAYS), key=loss)


def shares(
    models: Sequence[LanguageModel],
    trie: Trie,
    walk: Walk,
    tokens: Tokens,
    learning: Sequence[tuple[Dynamic, Statistics] | None],
) -> np.ndarray:
    """The probability of a 1 at each decision of a text, by each model; 0.5 for its first token.

    Args:
        walk: the text's decisions.
        learning: of each model; None where its weights stay.

    Returns:
        float64 (models, decisions); with several models, that of their mean comes first.
    """
    rows = len(models) + (len(models) > 1)
    found = np.full((rows, len(walk.bit)), 0.5)
    streams = [log_probabilities(model, tokens, way) for model, way in zip(models, learning, strict=True)]
    for parts in zip(*streams, strict=True):
        place = parts[0][0]
        each = [np.exp(log_p[:, trie.order]) for _, log_p in parts]
        if len(each) > 1:
            each = [np.mean(each, axis=0), *each]
        first, end = walk.first[place], walk.first[place + len(each[0])]
        for row, p in enumerate(each):
            found[row, first:end] = trie.shares(walk, place, p)
    return found
