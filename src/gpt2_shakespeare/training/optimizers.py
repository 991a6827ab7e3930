"""Optimizers with their parameter groups, and the learning rate of every step."""

import math

import torch
from torch import nn

from gpt2_shakespeare.params import schema


def optimizers(model: nn.Module, settings: schema.Optimizer) -> list[torch.optim.Optimizer]:
    """AdamW for all parameters, or Muon (Jordan 2024) for the matrices of the blocks and AdamW for the rest.

    Muon is used if the settings have a learning rate for it. Weight decay acts on matrices only, or on every parameter
    as in the reference.

    Returns:
        [AdamW] or [Muon, AdamW]. Every parameter group has a `scale`, by which a step's learning rate is multiplied.
    """
    everything = {name: p for name, p in model.named_parameters() if p.requires_grad}
    found: list[torch.optim.Optimizer] = []
    if settings.muon_learning_rate:
        names = [name for name, p in everything.items() if ".h." in name and p.dim() == 2]
        scale = settings.muon_learning_rate / settings.learning_rate
        matrices = {"params": [everything.pop(name) for name in names], "scale": scale}
        found.append(torch.optim.Muon([matrices], weight_decay=settings.weight_decay))
    decayed = [p for p in everything.values() if p.dim() >= 2 or settings.decay == "all"]
    spared = [p for p in everything.values() if p.dim() < 2 and settings.decay != "all"]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay, "scale": 1.0}]
    if spared:
        groups.append({"params": spared, "weight_decay": 0.0, "scale": 1.0})
    betas = (settings.beta1, settings.beta2)
    found.append(torch.optim.AdamW(groups, lr=settings.learning_rate, betas=betas, fused=True))
    return found


def learning_rate(step: int, max_steps: int, settings: schema.Optimizer) -> float:
    """Linear warmup over warmup_steps, then a cosine from learning_rate to min_lr at max_steps.

    If max_steps <= warmup_steps, the run ends within the warmup, as the reference's one epoch does (149 of 200 steps).

    Args:
        step: from 0 on.
    """
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    progress = (step - settings.warmup_steps) / max(1, max_steps - settings.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return settings.min_lr + (settings.learning_rate - settings.min_lr) * cosine
