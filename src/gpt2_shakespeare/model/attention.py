"""Causal attention on a CPU that is faster than torch's where it is in bf16 or has dropout.

torch's fast attention reaches a fifth of the speed of bf16 products on a CPU, and has no dropout there: where dropout is
asked for, torch computes the weights of all heads at once, the masked half included. Here attention is computed by
blocks of queries as products of matrices, and a block skips the keys after its end. For the gradient one number is kept
for each weight, in the inputs' precision; a negative sign marks a dropped weight.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gpt2_shakespeare.model import dropout

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ROWS = 128  # queries of a block
FOR_TRANSFORMERS = "by_blocks"  # its name in a config of transformers
SPECIAL = (
    "sliding_window",
    "softcap",
    "position_bias",
    "s_aux",
    "cache",
)  # what only transformers' own can do


def attention(
    q: Tensor, k: Tensor, v: Tensor, probability: float = 0.0, scale: float | None = None
) -> Tensor:
    """Causal attention: softmax(scale q k.T) v, where query t sees the keys 0...t.

    Args:
        q: (B, n_head, T, D).
        k, v: (B, n, T, D), where n divides n_head: each serves as many heads in a row.
        probability: of dropping a weight of the softmax; the others are divided by 1 - probability.
        scale: default D**-0.5.

    Returns:
        (B, n_head, T, D). Dropout's random numbers depend on torch's CPU generator.
    """
    if (
        q.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and (probability or q.dtype == torch.bfloat16)
    ):
        k, v = k.to(q.dtype), v.to(q.dtype)  # a cache has those of the weights
        return _Attention.apply(q, k, v, probability, q.size(-1) ** -0.5 if scale is None else scale)
    return F.scaled_dot_product_attention(
        q, k, v, dropout_p=probability, is_causal=q.size(2) > 1, scale=scale, enable_gqa=q.size(1) != k.size(1)
    )  # fmt: skip


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, k, v, probability, scale):
        B, H, T, D = q.shape
        n = k.size(1)
        ctx.scale, ctx.shape = scale, (B, n, H // n, T, D)
        below = round(probability * dropout.LEVELS)
        ctx.keep = 1 - below / dropout.LEVELS
        generator = dropout.generator() if below else None
        with torch.autocast("cpu", enabled=False):
            q, k, v = q.reshape(B * n, H // n, T, D), k.reshape(B * n, T, D), v.reshape(B * n, T, D)
            y, signed = torch.empty_like(q), []
            for rows, keys in _blocks(T):
                some = q[:, :, rows]
                future = q.new_full((some.size(2), keys.stop), -math.inf).triu_(rows.start + 1)
                scores = torch.baddbmm(
                    future.repeat(H // n, 1), some.flatten(1, 2), k[:, keys].mT, alpha=scale
                )
                weights = scores.softmax(-1)
                if generator:
                    signs = dropout.draw(weights.shape, generator).sub_(below)  # negative for dropped weights
                    signs = signs.view(weights.dtype) if weights.itemsize == 2 else signs
                    signed.append(weights.copysign(signs))
                    weights = signed[-1].clamp(min=0)
                else:
                    signed.append(weights)
                y[:, :, rows] = (weights @ v[:, keys]).view(some.shape)
            if generator:
                y /= ctx.keep
        ctx.save_for_backward(q, k, v, *signed)
        return y.view(B, H, T, D)

    @staticmethod
    def backward(ctx, grad):
        q, k, v, *signed = ctx.saved_tensors
        B, n, group, T, D = ctx.shape
        with torch.autocast("cpu", enabled=False):
            grad = (grad / ctx.keep if ctx.keep < 1 else grad).reshape(B * n, group, T, D)
            dq = torch.empty_like(q)
            # in fp32 at least, as they are sums over blocks
            dk, dv = k.new_zeros(2, *k.shape, dtype=torch.promote_types(k.dtype, torch.float32))
            for (rows, keys), weights in zip(_blocks(T), signed, strict=True):
                some, g = q[:, :, rows].flatten(1, 2), grad[:, :, rows].flatten(1, 2)
                by_weights, used = g @ v[:, keys].mT, weights
                if ctx.keep < 1:
                    kept = torch.ge(weights, 0, out=torch.empty_like(weights))
                    by_weights.mul_(kept)
                    used, weights = weights * kept, weights.abs()
                by_scores = torch.ops.aten._softmax_backward_data(by_weights, weights, -1, weights.dtype)
                by_scores *= ctx.scale
                dq[:, :, rows] = (by_scores @ k[:, keys]).view(B * n, group, -1, D)
                dk[:, keys] += by_scores.mT @ some
                dv[:, keys] += used.mT @ g
            grads = dq.view(B, -1, T, D), dk.view(B, n, T, D).to(k.dtype), dv.view(B, n, T, D).to(v.dtype)
            return *grads, None, None


def _blocks(length: int) -> Iterator[tuple[slice, slice]]:
    """For each block: its queries, and the keys that they see."""
    for start in range(0, length, ROWS):
        end = min(start + ROWS, length)
        yield slice(start, end), slice(end)


def use_in_transformers(net: "PreTrainedModel") -> None:
    """Let a model that transformers built compute plain causal attention as here, and all else as it would."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    if net.config._attn_implementation == "sdpa":
        AttentionInterface.register(FOR_TRANSFORMERS, _of_transformers)
        AttentionMaskInterface.register(FOR_TRANSFORMERS, sdpa_mask)
        net.set_attn_implementation(FOR_TRANSFORMERS)


def _of_transformers(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, None]:
    """As transformers calls an attention: heads and keys as of `attention`; returns (B, T, n_head, D)."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    whole = attention_mask is None and query.size(2) == key.size(2) and key.size(3) == value.size(3)
    causal = kwargs.get("is_causal") is not False and getattr(module, "is_causal", True)
    special = any(kwargs.get(name) is not None for name in SPECIAL)
    if value.dtype == torch.bfloat16 and whole and causal and not special:
        # with autocast only the values are in bf16 yet, where positions are rotations
        y = attention(
            query.to(value.dtype),
            key.to(value.dtype),
            value,
            kwargs.get("dropout", 0.0),
            kwargs.get("scaling"),
        )
        return y.transpose(1, 2).contiguous(), None
    return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
