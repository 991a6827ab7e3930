"""AdamW's parameter groups and the learning rate of every step."""

import math

import torch

from gpt2_shakespeare import config


def adamw(model: torch.nn.Module, settings: config.Optimizer) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices only, or on every parameter as in the reference."""
    everything = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decayed = [p for p in everything if p.dim() >= 2 or settings.decay == "all"]
    spared = [p for p in everything if p.dim() < 2 and settings.decay != "all"]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}]
    if spared:
        groups.append({"params": spared, "weight_decay": 0.0})
    betas = (settings.beta1, settings.beta2)
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=betas, fused=True)


def learning_rate(step: int, max_steps: int, settings: config.Optimizer) -> float:
    """Linear warmup over warmup_steps, then a cosine from learning_rate to min_lr at max_steps.

    Where max_steps <= warmup_steps the warmup never ends, as in the reference's one epoch (149 of 200).
    """
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    progress = (step - settings.warmup_steps) / max(1, max_steps - settings.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return settings.min_lr + (settings.learning_rate - settings.min_lr) * cosine
