"""Optimizers with their parameter groups, and the learning rate of every step."""

import math

import torch
from torch import Tensor

from gpt2_shakespeare import runtime
from gpt2_shakespeare.model import LanguageModel
from gpt2_shakespeare.params import schema


def optimizers(model: LanguageModel, settings: schema.Optimizer) -> list[torch.optim.Optimizer]:
    """AdamW for all parameters, or Muon (Jordan 2024) for the matrices of the blocks and AdamW for the rest.

    Muon is used if the settings have a learning rate for it, in fp32 where the machine has no bf16. Weight decay acts on matrices only, or on every parameter
    as in the reference.

    Returns:
        [AdamW] or [Muon, AdamW]. Every parameter group has a `scale`, by which a step's learning rate is multiplied.
    """
    everything = {name: p for name, p in model.named_parameters() if p.requires_grad}
    found: list[torch.optim.Optimizer] = []
    if settings.muon_learning_rate:
        inside = {id(p) for p in model.blocks.parameters()}
        names = [name for name, p in everything.items() if id(p) in inside and p.dim() == 2]
        scale = settings.muon_learning_rate / settings.learning_rate
        matrices = {"params": [everything.pop(name) for name in names], "scale": scale}
        kind = torch.optim.Muon if _has_bf16(next(model.parameters()).device) else Fp32Muon
        found.append(kind([matrices], weight_decay=settings.weight_decay))
    decayed = [p for p in everything.values() if p.dim() >= 2 or settings.decay == "all"]
    spared = [p for p in everything.values() if p.dim() < 2 and settings.decay != "all"]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay, "scale": 1.0}]
    if spared:
        groups.append({"params": spared, "weight_decay": 0.0, "scale": 1.0})
    betas = (settings.beta1, settings.beta2)
    found.append(torch.optim.AdamW(groups, lr=settings.learning_rate, betas=betas, fused=True))
    return found


class Fp32Muon(torch.optim.Muon):
    """torch's Muon with its matrix products in fp32, for machines on which bf16 takes a hundred times as long."""

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(p.grad)
                buffer = state["momentum_buffer"].lerp_(p.grad, 1 - group["momentum"])
                update = _orthogonal(
                    p.grad.lerp(buffer, group["momentum"]),
                    group["ns_coefficients"],
                    group["ns_steps"],
                    group["eps"],
                )
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * math.sqrt(max(1, p.shape[0] / p.shape[1])))


def _orthogonal(matrix: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """The Newton-Schulz iteration of torch.optim.Muon, in the matrix's precision."""
    a, b, c = coefficients
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    wide = wide / wide.norm().clamp(min=eps)
    for _ in range(steps):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.T if matrix.shape[0] > matrix.shape[1] else wide


def _has_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies in bf16, in which torch's Muon orthogonalises."""
    return torch.cuda.is_bf16_supported(False) if device.type == "cuda" else runtime.cpu_has_bf16()


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
