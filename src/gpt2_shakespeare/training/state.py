"""How far a run has come, and all that its next steps depend on."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from gpt2_shakespeare.model import GPT


@dataclass
class Progress:
    """Where a run stands: `phase_step` steps of phase number `phase` are done, and `step` steps and `tokens` in all.

    The best step, its dev loss and the count of evaluations without a lower one are those of the current phase.
    """

    phase: int = 0
    phase_step: int = 0
    step: int = 0
    tokens: int = 0
    best_step: int = 0
    best_dev_loss: float = math.inf
    evaluations_without_gain: int = 0
    skipped_steps: int = 0  # because a gradient overflowed, in fp16
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass
class State:
    """What a checkpoint keeps. It needs no random generator's state, as each step seeds its own.

    Args:
        best: the weights with the phase's lowest dev loss.
        running: training losses since the last evaluation.
    """

    model: GPT
    optimizers: list[torch.optim.Optimizer]
    scaler: torch.amp.GradScaler
    progress: Progress = field(default_factory=Progress)
    best: dict[str, Tensor] = field(default_factory=dict)
    running: list[Tensor] = field(default_factory=list)

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """As named tensors, and a table of plain values."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for number, optimizer in enumerate(self.optimizers):
            for index, moments in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer{number}.{index}.{name}": tensor for name, tensor in moments.items()}
        if self.running:
            tensors["running"] = torch.stack(self.running)
        return tensors, {"progress": asdict(self.progress), "scaler": self.scaler.state_dict()}

    def unpack(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Restore what `pack` gave."""

        def of(kind: str) -> dict[str, Tensor]:
            start = f"{kind}."
            return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}

        device = self.model.transformer.wte.weight.device
        self.model.load_state_dict(of("model"))
        self.best = {name: tensor.to(device) for name, tensor in of("best").items()}
        for number, optimizer in enumerate(self.optimizers):
            moments: dict[int, dict[str, Tensor]] = {}
            for name, tensor in of(f"optimizer{number}").items():
                index, _, kind = name.partition(".")
                moments.setdefault(int(index), {})[kind] = tensor
            optimizer.load_state_dict(optimizer.state_dict() | {"state": moments})
        self.scaler.load_state_dict(dict(values["scaler"]))
        self.running = list(tensors["running"].to(device)) if "running" in tensors else []
        for name, value in values["progress"].items():
            setattr(self.progress, name, value)
