"""Dropout on a CPU that is faster than torch's: of activations, and of the weights of causal attention.

For activations, torch draws a 64-bit random number for each value, on one core; 16 bits are drawn here.

torch's fast attention has no dropout on a CPU: where dropout is asked for, torch computes the attention weights of all
heads at once, the masked half included. Here attention is computed by blocks of queries, and a block skips the keys
after its end. For the gradient one number is kept for each weight, in the inputs' precision; a negative sign marks a
dropped weight.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 1 << 15  # a probability is rounded to a multiple of 1 / LEVELS: 0.1 becomes 0.10001
# Tensors with fewer numbers than this get torch's own dropout; those of the scales demo and novels do.
LARGE = 1 << 20
ROWS = 256  # queries of a block


def is_for(x: Tensor) -> bool:
    """Whether this module's functions are the faster ones for a tensor."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def dropout(x: Tensor, probability: float, training: bool) -> Tensor:
    """Like torch.nn.functional.dropout. The random numbers depend on torch's CPU generator."""
    if not (training and probability):
        return x
    if not (is_for(x) and x.numel() >= LARGE):
        return F.dropout(x, probability)
    below = round(probability * LEVELS)
    kept = torch.ge(_draw(x.shape, _generator()), below, out=torch.empty_like(x, requires_grad=False))
    return x * kept / (1 - below / LEVELS)


def attention(qkv: Tensor, probability: float) -> Tensor:
    """Causal attention with dropout: softmax(q k.T / sqrt(D)) v, where query t sees the keys 0...t.

    Each weight of the softmax is either dropped or divided by 1 - probability. The random numbers depend on torch's
    CPU generator.

    Args:
        qkv: (B, T, 3, n_head, D), on a CPU.
        probability: of dropping a weight.

    Returns:
        (B, T, n_head, D).
    """
    return _Attention.apply(qkv, probability)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, qkv, probability):
        B, T, _, H, D = qkv.shape
        below, generator = round(probability * LEVELS), _generator()
        ctx.keep, ctx.shape = 1 - below / LEVELS, qkv.shape
        with torch.autocast("cpu", enabled=False):
            qkv = qkv.permute(2, 0, 3, 1, 4).reshape(3, B * H, T, D)
            q, k, v = qkv
            y, signed = torch.empty_like(q), []
            for rows, keys in _blocks(T):
                future = q.new_full((rows.stop - rows.start, keys.stop), -math.inf).triu_(rows.start + 1)
                weights = torch.baddbmm(future, q[:, rows], k[:, keys].mT, alpha=D**-0.5).softmax(-1)
                signs = _draw(weights.shape, generator).sub_(below)  # negative for dropped weights
                signed.append(weights.copysign(signs.view(weights.dtype) if weights.itemsize == 2 else signs))
                y[:, rows] = signed[-1].clamp(min=0) @ v[:, keys]
            y /= ctx.keep
        ctx.save_for_backward(qkv, *signed)
        return y.view(B, H, T, D).transpose(1, 2)

    @staticmethod
    def backward(ctx, grad):
        (q, k, v), *signed = ctx.saved_tensors
        B, T, _, H, D = ctx.shape
        with torch.autocast("cpu", enabled=False):
            grad = (grad / ctx.keep).transpose(1, 2).reshape(B * H, T, D)
            # in fp32 at least: the gradients of keys and values are sums over blocks
            grads = q.new_zeros(3, B * H, T, D, dtype=torch.promote_types(q.dtype, torch.float32))
            dq, dk, dv = grads
            for (rows, keys), weights in zip(_blocks(T), signed, strict=True):
                kept = torch.ge(weights, 0, out=torch.empty_like(weights))
                dv[:, keys] += (weights * kept).mT @ grad[:, rows]
                by_weights = (grad[:, rows] @ v[:, keys].mT).mul_(kept)
                by_scores = torch.ops.aten._softmax_backward_data(
                    by_weights, weights.abs(), -1, weights.dtype
                )
                dq[:, rows] = by_scores @ k[:, keys]
                dk[:, keys] += by_scores.mT @ q[:, rows]
            grads[:2] *= D**-0.5
            grads = grads.view(3, B, H, T, D).permute(1, 3, 0, 2, 4)
            return grads.to(q.dtype, memory_format=torch.contiguous_format), None


def _blocks(length: int) -> Iterator[tuple[slice, slice]]:
    """For each block: its queries, and the keys that they see."""
    for start in range(0, length, ROWS):
        end = min(start + ROWS, length)
        yield slice(start, end), slice(end)


def _generator() -> np.random.Generator:
    """A generator seeded by torch's CPU generator."""
    return np.random.Generator(np.random.SFC64(int(torch.randint(2**63 - 1, ()))))


def _draw(shape: torch.Size, generator: np.random.Generator) -> Tensor:
    """Random numbers in [0, LEVELS), int16, in a tensor of this shape."""
    n = math.prod(shape)
    words = generator.integers(2**64, size=-(-n // 4), dtype=np.uint64)
    return torch.from_numpy(words.view(np.int16)[:n]).bitwise_and_(LEVELS - 1).view(shape)
