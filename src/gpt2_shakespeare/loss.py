"""Cross-entropy of a linear head, over chunks of tokens: the (tokens, vocab_size) logits never stand whole.

For a GPT-2 with 50,257 types the logits of a batch are its largest tensor by far. Here each chunk's logits
are made, turned into losses and gradients in one buffer, and overwritten by the next chunk's. They lie as
(vocab_size, tokens): matrix products of that shape are up to twice as fast on CPUs (docs/performance.md).
"""

from collections.abc import Iterator

import torch
from torch import Tensor

# Of a chunk's logits in fp32: 256 tokens at 50,257 types on a CPU, the fastest number there.
CHUNK_BYTES = {"cpu": 50 << 20, "cuda": 1 << 30}


def linear_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Mean of -log softmax(hidden @ weight.T)[targets] in nats, with gradients for hidden and weight.

    Args:
        hidden: (..., C); under autocast the products run in autocast's precision, the softmax in fp32.
        weight: (vocab_size, C).
        targets: (...) int64.
    """
    return _LinearCrossEntropy.apply(hidden.flatten(0, -2), weight, targets.flatten())


@torch.no_grad()  # the products write into a buffer
def token_losses(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """-log softmax(hidden @ weight.T)[targets] of each token in nats, fp32, in the shape of targets."""
    h, w = _cast(hidden.flatten(0, -2), weight)
    return torch.cat([losses for *_, losses in _softmax(h, w, targets.flatten())]).view_as(targets)


def _cast(*tensors: Tensor) -> list[Tensor]:
    """The tensors in autocast's precision, where autocast is on."""
    kind = tensors[0].device.type
    if not torch.is_autocast_enabled(kind):
        return list(tensors)
    return [tensor.to(torch.get_autocast_dtype(kind)) for tensor in tensors]


def _softmax(h: Tensor, w: Tensor, targets: Tensor) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
    """For each chunk of tokens: where it lies, e = exp(logits - max) (vocab_size, n), the sum z of each
    column of e (n,), and the losses (n,). All fp32; the next chunk overwrites e.
    """
    # by shape and kind of device alone, so that results don't depend on the machine; whole cache lines
    size = max(16, CHUNK_BYTES[h.device.type] // (4 * len(w)) // 16 * 16)
    buffer = torch.empty(len(w) * min(size, len(h)), device=h.device)
    with torch.autocast(h.device.type, enabled=False):
        for start in range(0, len(h), size):
            rows = slice(start, start + size)
            part, ids = h[rows], targets[rows]
            logits = buffer[: len(w) * len(part)].view(len(w), len(part))
            if h.dtype == torch.float32:
                torch.mm(w, part.t(), out=logits)
            else:
                logits.copy_(w @ part.t())
            wanted, top = logits.gather(0, ids[None])[0], logits.amax(0)
            e = logits.sub_(top).exp_()
            z = e.sum(0)
            yield rows, e, z, z.log() + top - wanted


class _LinearCrossEntropy(torch.autograd.Function):
    """Loss and gradients in one pass over the chunks; backward only scales what forward has found.

    The gradient of the summed loss by the logits is e/z - one_hot(targets), with e and z of `_softmax`. 1/z is
    applied to the products' small side, and the one-hot part is a gather and a scatter.
    """

    @staticmethod
    def forward(ctx, hidden, weight, targets):
        h, w = _cast(hidden, weight)
        grad_hidden = torch.empty_like(hidden, dtype=torch.float32)
        grad_weight = torch.zeros_like(weight, dtype=torch.float32)
        total = torch.zeros((), dtype=torch.float64, device=hidden.device)
        for rows, e, z, losses in _softmax(h, w, targets):
            total += losses.sum(dtype=torch.float64)
            e = e.to(h.dtype)
            torch.div(e.t() @ w, z[:, None], out=grad_hidden[rows])
            scaled = (h[rows] / z[:, None]).to(h.dtype)
            if h.dtype == torch.float32:
                grad_weight.addmm_(e, scaled)
            else:
                grad_weight += e @ scaled
        grad_hidden -= w[targets]
        grad_weight.index_add_(0, targets, h.float(), alpha=-1)
        ctx.save_for_backward(grad_hidden, grad_weight)
        ctx.dtypes = hidden.dtype, weight.dtype
        return (total / len(h)).float()

    @staticmethod
    def backward(ctx, scale):
        grads = [
            (grad * (scale / len(ctx.saved_tensors[0]))).to(dtype)
            for grad, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        ]
        return *grads, None
