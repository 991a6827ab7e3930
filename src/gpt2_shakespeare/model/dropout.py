"""Dropout of activations on a CPU, faster than torch's: that draws a 64-bit random number for each value, on one core;
here 16 bits are drawn."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 1 << 15  # a probability is rounded to a multiple of 1 / LEVELS: 0.1 becomes 0.10001
# Tensors with fewer numbers than this get torch's own dropout; those of the scales demo and novels do.
LARGE = 1 << 20


def is_for(x: Tensor) -> bool:
    """Whether dropout of this module is the faster one for a tensor."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def dropout(x: Tensor, probability: float, training: bool) -> Tensor:
    """Like torch.nn.functional.dropout. The random numbers depend on torch's CPU generator."""
    if not (training and probability):
        return x
    if not (is_for(x) and x.numel() >= LARGE):
        return F.dropout(x, probability)
    below = round(probability * LEVELS)
    kept = torch.ge(draw(x.shape, generator()), below, out=torch.empty_like(x, requires_grad=False))
    return x * kept / (1 - below / LEVELS)


def generator() -> np.random.Generator:
    """A generator seeded by torch's CPU generator."""
    return np.random.Generator(np.random.SFC64(int(torch.randint(2**63 - 1, ()))))


def draw(shape: torch.Size, generator: np.random.Generator) -> Tensor:
    """Random numbers in [0, LEVELS), int16, in a tensor of this shape."""
    n = math.prod(shape)
    words = generator.integers(2**64, size=-(-n // 4), dtype=np.uint64)
    return torch.from_numpy(words.view(np.int16)[:n]).bitwise_and_(LEVELS - 1).view(shape)
