"""Cross-entropy of a linear head, over chunks of tokens: the (tokens, vocab_size) logits never stand whole.

For a GPT-2 with 50,257 types the logits of a batch are its largest tensor by far. Here each chunk's logits
are made, turned into loss and gradient while they are in the cache, and dropped.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

# Of logits in fp32. Measured on 2 cores at 50,257 types: 350-700 tokens a chunk come within 10 % of the bare
# matrix products; smaller chunks re-read the weights too often.
CHUNK_BYTES = {"cpu": 96 << 20, "cuda": 1 << 30}


def linear_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Mean of -log softmax(hidden @ weight.T)[targets] in nats, with gradients for hidden and weight.

    Args:
        hidden: (..., C); under autocast the products run in autocast's precision, the softmax in fp32.
        weight: (vocab_size, C).
        targets: (...) int64.
    """
    return _LinearCrossEntropy.apply(hidden.flatten(0, -2), weight, targets.flatten())


def token_losses(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """-log softmax(hidden @ weight.T)[targets] of each token in nats, fp32, in the shape of targets."""
    flat, ids = hidden.flatten(0, -2), targets.flatten()
    chunks = zip(*(t.split(_chunk(flat, weight)) for t in (flat, ids)), strict=True)
    return torch.cat(
        [F.cross_entropy(F.linear(h, weight).float(), t, reduction="none") for h, t in chunks]
    ).view_as(targets)


def _chunk(hidden: Tensor, weight: Tensor) -> int:
    """Tokens a chunk: by shape and kind of device alone, so that results don't depend on the machine."""
    return max(16, CHUNK_BYTES[hidden.device.type] // (4 * weight.size(0)))


class _LinearCrossEntropy(torch.autograd.Function):
    """Loss and gradients in one pass over the chunks; backward only scales what forward has found.

    With e = exp(logits - max) and z its sum over the types, the gradient of the summed loss by the logits
    is e/z - one_hot(targets). e is the only (chunk, vocab_size) tensor: 1/z is applied to the products' small
    side, and the one-hot part is a gather and a scatter.
    """

    @staticmethod
    def forward(ctx, hidden, weight, targets):
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
        with torch.autocast(kind, enabled=False):
            h, w = hidden.to(dtype), weight.to(dtype)
            grad_hidden = torch.empty_like(hidden, dtype=torch.float32)
            grad_weight = torch.zeros_like(weight, dtype=torch.float32)
            total = torch.zeros((), dtype=torch.float64, device=hidden.device)
            chunk = _chunk(hidden, weight)
            buffer = torch.empty(min(chunk, len(h)), len(w), device=h.device)  # one for all chunks
            for start in range(0, len(h), chunk):
                part, ids = h[start : start + chunk], targets[start : start + chunk, None]
                logits = buffer[: len(part)]
                if dtype == torch.float32:
                    torch.mm(part, w.t(), out=logits)
                else:
                    logits.copy_(part @ w.t())
                target_logits, top = logits.gather(1, ids), logits.amax(1, keepdim=True)
                e = logits.sub_(top).exp_()
                z = e.sum(1, keepdim=True)
                total += (z.log() + top - target_logits).sum(dtype=torch.float64)
                e = e.to(dtype)
                torch.div(e @ w, z, out=grad_hidden[start : start + chunk])
                scaled = (part / z).to(dtype)
                if dtype == torch.float32:
                    grad_weight.addmm_(e.t(), scaled)
                else:
                    grad_weight += e.t() @ scaled
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
