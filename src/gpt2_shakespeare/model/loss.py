"""Cross-entropy of a linear head, tile by tile of the vocabulary: fp32 logits never leave the processor's cache.

For a GPT-2 with 50,257 types the logits of a batch are its largest tensor by far, and moving them through memory
takes longer than the products that make them. Here a tile's logits are made, turned into exponentials in place,
added up and, for training, kept in the products' precision. They lie as (types, tokens): matrix products of that
shape are faster on CPUs in fp32, and as fast in bf16 (docs/performance.md).
"""

import math

import numpy as np
import torch
from torch import Tensor

# Of fp32 logits in work at once: what a CPU core's second cache holds, and what keeps a GPU busy.
TILE_BYTES = {"cpu": 2 << 20, "cuda": 1 << 29}
# Of exponentials that wait for the gradient of the weights: 512 tokens of 50,257 types in fp32, 1,024 in bf16.
KEPT_BYTES = {"cpu": 100 << 20, "cuda": 1 << 30}
# Exponentials are taken relative to the wanted logit plus this: a logit may then be 128 above the wanted one before
# exp overflows, and what lies 47 below the wanted one may vanish. No pass over the logits is needed to find a shift.
MARGIN = 40.0


class Candidates:
    """Sampled softmax (Bengio & Senécal 2008): a training step works out the logits of the types that the text or the
    batch has, and of a random sample that stands for all the others, most of a vocabulary on a small text.

    Args:
        text: token ids, whose types are always among them.
        sampled: how many of the others.
    """

    def __init__(self, text: np.ndarray, vocab_size: int, sampled: int):
        self.certain = torch.from_numpy(np.bincount(text, minlength=vocab_size) > 0)
        self.sampled = sampled

    def draw(self, idx: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The candidates (n,), the log of how many types each of them stands for (n,), and idx and targets as places
        among the candidates. Depends on torch's CPU generator.
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
        log_weights: (vocab_size,) added to the logits in the softmax's sum; 0 for every target.
    """
    return _LinearCrossEntropy.apply(hidden.flatten(0, -2), weight, targets.flatten(), log_weights)


@torch.no_grad()  # the products write into buffers
def token_losses(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """-log softmax(hidden @ weight.T)[targets] of each token in nats, fp32, in the shape of targets."""
    h, w = _cast(hidden.flatten(0, -2), weight)
    losses = [_softmax(h[rows], w, targets.flatten()[rows])[0] for rows in _chunks(h, w)]
    return torch.cat(losses).view_as(targets)


def _cast(*tensors: Tensor) -> list[Tensor]:
    """The tensors in autocast's precision, where autocast is on; fp32 for fp16."""
    kind = tensors[0].device.type
    if not torch.is_autocast_enabled(kind):
        return list(tensors)
    dtype = torch.get_autocast_dtype(kind)
    if dtype == torch.float16:  # its range doesn't hold exponentials relative to the wanted logit
        dtype = torch.float32
    return [tensor.to(dtype) for tensor in tensors]


def _chunks(h: Tensor, w: Tensor) -> list[slice]:
    """Tokens whose exponentials fit into KEPT_BYTES: by shape and kind of device alone, whole cache lines."""
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
        log_weights: added to the logits before the shift is taken off, (vocab_size,).
        kept: gets e, (vocab_size, n).
        grad: gets w.T @ e, (C, n) fp32.
    """
    wanted = (h.float() * w[targets].float()).sum(1)
    shift = wanted + MARGIN
    z = _exponentials(h, w, shift, log_weights, kept, grad)
    if not z.isfinite().all():  # a loss of more than a hundred nats: look for the largest logits after all
        shift = torch.stack([tile.amax(0) for _, tile in _tiles(h, w, log_weights)]).amax(0)
        z = _exponentials(h, w, shift, log_weights, kept, grad)
    return z.log() + (shift - wanted), z


def _exponentials(
    h: Tensor, w: Tensor, shift: Tensor, log_weights: Tensor | None, kept: Tensor | None, grad: Tensor | None
) -> Tensor:
    """z of `_softmax`, whose arguments these are."""
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
    """For each tile of the types: where it lies, and its logits (types, n) fp32 with the log_weights added, which the
    next tile overwrites."""
    room, threads = TILE_BYTES[h.device.type], torch.get_num_threads()
    if (
        h.device.type == "cpu" and threads > 1
    ):  # waking threads for every tile costs more than the cache saves
        room *= 4 * threads
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
    """Memory to use again and again, one buffer a purpose: fresh memory of this size costs more time than what is
    done in it. Not for several threads at once.
    """
    key = (purpose, dtype, device)
    if key not in _buffers or len(_buffers[key]) < size:
        with torch.inference_mode(False):
            _buffers[key] = torch.empty(size, dtype=dtype, device=device)
    return _buffers[key][:size]


class _LinearCrossEntropy(torch.autograd.Function):
    """Loss and gradients in one go; backward only scales what forward has found.

    The gradient of the summed loss by the logits is e/z - one_hot(targets), with e and z of `_softmax`. 1/z is
    applied to the products' small side, and the one-hot part is a gather and a scatter.
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
        grads = [  # in place: autograd refuses a second backward, and the weights' gradient is large
            None if grad is None else grad.mul_(scale).to(dtype)
            for grad, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        ]
        return *grads, None, None


def _add_product(out: Tensor, a: Tensor, b: Tensor) -> None:
    """out += a @ b, out in fp32; by parts, so that a product in lower precision stays in the cache until it's added."""
    if a.dtype == torch.float32:
        out.addmm_(a, b)
    else:
        for some, rows in zip(out.split(4096), a.split(4096), strict=True):
            some += rows @ b
