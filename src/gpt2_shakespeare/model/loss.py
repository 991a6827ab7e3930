"""Cross-entropy of a linear head, computed tile by tile of the vocabulary so that fp32 logits stay in the cache.

For a GPT-2 with 50,257 types the logits of a batch are by far its largest tensor, and moving them through memory
takes longer than the matrix products that give them. Here the logits of one tile at a time are computed, turned into
exponentials in place, summed and, for training, kept in the precision of the products. They are stored as
(types, tokens): matrix products of that shape are faster on CPUs in fp32, and as fast in bf16 (docs/performance.md).
"""

import math

import numpy as np
import torch
from torch import Tensor

# Size of a tile of fp32 logits: what fits into the L2 cache of a CPU core, and what keeps a GPU busy.
TILE_BYTES = {"cpu": 2 << 20, "cuda": 1 << 29}
# Size of the exponentials kept for the gradient of the weights: 512 tokens of 50,257 types in fp32, 1,024 in bf16.
KEPT_BYTES = {"cpu": 100 << 20, "cuda": 1 << 30}
# Exponentials are taken of logit - (target's logit + MARGIN). A logit may then be 128 above the target's before exp
# overflows, and a logit 47 below the target's may underflow to 0. So no pass over the logits is needed to find their
# maximum first.
MARGIN = 40.0


class Candidates:
    """Sampled softmax (Bengio & Senécal 2008): the token types whose logits a training step computes.

    They are the types that occur in the text or the batch, and a random sample of the others, which stands for all of
    them. On a small text the others are most of the vocabulary.

    Args:
        text: token ids; their types are always among the candidates.
        sampled: number of other types.
    """

    def __init__(self, text: np.ndarray, vocab_size: int, sampled: int):
        self.certain = torch.from_numpy(np.bincount(text, minlength=vocab_size) > 0)
        self.sampled = sampled

    def draw(self, idx: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Choose the candidates of a step. The sample depends on torch's CPU generator.

        Returns:
            the candidates (n,); the log of the number of types that each stands for (n,); and idx and targets as places
            among the candidates.
        """
        certain = self.certain.clone()
        certain[idx.flatten().cpu()] = certain[targets.flatten().cpu()] = True
        others = (~certain).nonzero()[:, 0]
        sample = others[torch.randperm(len(others))[: self.sampled]]
        types = torch.cat([certain.nonzero()[:, 0], sample])
        log_weights = torch.zeros(len(types))
        log_weights[len(types) - len(sample) :] = math.log(max(1, len(others)) / max(1, len(sample)))
        place = torch.empty_like(self.certain, dtype=torch.int64)
        place[types] = torch.arange(len(types))
        device, place = idx.device, place.to(idx.device)
        return types.to(device), log_weights.to(device), place[idx], place[targets]


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, log_weights: Tensor | None = None
) -> Tensor:
    """Mean of -log softmax(hidden @ weight.T)[targets] in nats, with gradients for hidden and weight.

    Args:
        hidden: (..., C); under autocast the products run in autocast's precision, the softmax in fp32.
        weight: (vocab_size, C).
        targets: (...) int64.
        log_weights: (vocab_size,) added to the logits in the sum of the softmax; must be 0 for every target.
    """
    return _LinearCrossEntropy.apply(hidden.flatten(0, -2), weight, targets.flatten(), log_weights)


@torch.no_grad()  # the products write into buffers
def token_losses(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """-log softmax(hidden @ weight.T)[targets] of each token in nats, fp32, in the shape of targets."""
    h, w = _cast(hidden.flatten(0, -2), weight)
    losses = [_softmax(h[rows], w, targets.flatten()[rows])[0] for rows in _chunks(h, w)]
    return torch.cat(losses).view_as(targets)


def _cast(*tensors: Tensor) -> list[Tensor]:
    """The tensors in autocast's precision if autocast is on; in fp32 if that is fp16."""
    kind = tensors[0].device.type
    if not torch.is_autocast_enabled(kind):
        return list(tensors)
    dtype = torch.get_autocast_dtype(kind)
    if dtype == torch.float16:  # its range is too small for exponentials relative to the target's logit
        dtype = torch.float32
    return [tensor.to(dtype) for tensor in tensors]


def _chunks(h: Tensor, w: Tensor) -> list[slice]:
    """Slices of tokens whose exponentials fit into KEPT_BYTES; they depend on shapes and the kind of device alone.

    Their sizes are multiples of 16, whole cache lines.
    """
    size = max(16, KEPT_BYTES[h.device.type] // (h.element_size() * len(w)) // 16 * 16)
    return [slice(start, start + size) for start in range(0, len(h), size)]


def _softmax(
    h: Tensor,
    w: Tensor,
    targets: Tensor,
    log_weights: Tensor | None = None,
    kept: Tensor | None = None,
    grad: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Losses of the tokens and z, the sum of each token's exponentials e = exp(logits - shift); both fp32 (n,).

    Args:
        h: hidden states (n, C).
        w: embeddings (vocab_size, C).
        targets: (n,).
        log_weights: added to the logits before the shift is subtracted, (vocab_size,).
        kept: if given, e is written into it, (vocab_size, n).
        grad: if given, w.T @ e is written into it, (C, n) fp32.
    """
    wanted = (h.float() * w[targets].float()).sum(1)
    shift = wanted + MARGIN
    z = _exponentials(h, w, shift, log_weights, kept, grad)
    if (
        not z.isfinite().all()
    ):  # a loss of more than a hundred nats: the shift must be the largest logit after all
        shift = torch.stack([tile.amax(0) for _, tile in _tiles(h, w, log_weights)]).amax(0)
        z = _exponentials(h, w, shift, log_weights, kept, grad)
    return z.log() + (shift - wanted), z


def _exponentials(
    h: Tensor, w: Tensor, shift: Tensor, log_weights: Tensor | None, kept: Tensor | None, grad: Tensor | None
) -> Tensor:
    """z of `_softmax`, with the same arguments."""
    z = torch.zeros_like(shift)
    if kept is None or grad is None:
        for _, tile in _tiles(h, w, log_weights):
            z += tile.sub_(shift).exp_().sum(0)
        return z
    grad.zero_()
    for types, tile in _tiles(h, w, log_weights):
        z += tile.sub_(shift).exp_().sum(0)
        kept[types] = tile
        grad += w[types].t().contiguous() @ kept[types]
    return z


def _tiles(h: Tensor, w: Tensor, log_weights: Tensor | None):
    """For each tile of the types: their slice, and their logits (types, n) fp32 with the log_weights added.

    The next tile overwrites the logits.
    """
    room, threads = TILE_BYTES[h.device.type], torch.get_num_threads()
    if h.device.type == "cpu" and threads > 1:
        room *= 4 * threads  # waking the threads for small tiles takes longer than the cache saves
    size = min(len(w), max(16, room // (4 * len(h)) // 16 * 16))
    buffer = _scratch("tile", size * len(h), torch.float32, h.device)
    for start in range(0, len(w), size):
        types = slice(start, start + size)
        some = w[types]
        logits = buffer[: len(some) * len(h)].view(len(some), len(h))
        if h.dtype == torch.float32:
            torch.mm(some, h.t(), out=logits)
        else:
            logits.copy_(some @ h.t())
        if log_weights is not None:
            logits += log_weights[types, None]
        yield types, logits


_buffers: dict[tuple[str, torch.dtype, torch.device], Tensor] = {}


def _scratch(purpose: str, size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A buffer that is reused, one for each purpose; not for several threads at once.

    Allocating fresh memory of this size takes longer than what is computed in it.
    """
    key = (purpose, dtype, device)
    if key not in _buffers or len(_buffers[key]) < size:
        with torch.inference_mode(False):
            _buffers[key] = torch.empty(size, dtype=dtype, device=device)
    return _buffers[key][:size]


class _LinearCrossEntropy(torch.autograd.Function):
    """Loss and gradients, all computed in forward; backward only scales the gradients.

    The gradient of the summed loss with respect to the logits is e/z - one_hot(targets), with e and z of `_softmax`.
    The division by z is done on the smaller operand of the products, and the one-hot part is a gather and a scatter.
    """

    @staticmethod
    def forward(ctx, hidden, weight, targets, log_weights):
        h, w = _cast(hidden, weight)
        grad_hidden = torch.empty_like(hidden.t(), dtype=torch.float32, memory_format=torch.contiguous_format)
        frozen = not ctx.needs_input_grad[1]
        grad_weight = None if frozen else torch.zeros_like(weight, dtype=torch.float32)
        total = torch.zeros((), dtype=torch.float64, device=hidden.device)
        with torch.autocast(hidden.device.type, enabled=False):
            for rows in _chunks(h, w):
                part, grad = h[rows], grad_hidden[:, rows]
                kept = _scratch("kept", len(w) * len(part), h.dtype, h.device).view(len(w), len(part))
                losses, z = _softmax(part, w, targets[rows], log_weights, kept, grad)
                total += losses.sum(dtype=torch.float64)
                grad /= z
                if grad_weight is not None:
                    _add_product(grad_weight, kept, (part / z[:, None]).to(h.dtype))
        grad_hidden = grad_hidden.t() - w[targets]
        if grad_weight is not None:
            grad_weight.index_add_(0, targets, h.float(), alpha=-1)
        ctx.save_for_backward(grad_hidden, grad_weight)
        ctx.dtypes = hidden.dtype, weight.dtype
        return (total / len(h)).float()

    @staticmethod
    def backward(ctx, scale):
        scale = scale / len(ctx.saved_tensors[0])
        grads = [  # in place, as autograd refuses a second backward and the weights' gradient is large
            None if grad is None else grad.mul_(scale).to(dtype)
            for grad, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        ]
        return *grads, None, None


def _add_product(out: Tensor, a: Tensor, b: Tensor) -> None:
    """out += a @ b with out in fp32; a product in lower precision is computed in parts that fit into the cache."""
    if a.dtype == torch.float32:
        out.addmm_(a, b)
    else:
        for some, rows in zip(out.split(4096), a.split(4096), strict=True):
            some += rows @ b
