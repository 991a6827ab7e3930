"""How far a run has come, and all that its next steps depend on."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from gpt2_shakespeare.errors import printable
from gpt2_shakespeare.model import LanguageModel
from gpt2_shakespeare.training.checkpoint import CheckpointError

# what each optimizer keeps for a parameter
MOMENTS = {"AdamW": ("step", "exp_avg", "exp_avg_sq"), "Muon": ("momentum_buffer",)}


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

    model: LanguageModel
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
        progress = asdict(self.progress)
        if math.isinf(self.progress.best_dev_loss):  # nothing is evaluated yet; JSON has no infinity
            progress["best_dev_loss"] = None
        return tensors, {"progress": progress, "scaler": self.scaler.state_dict()}

    def unpack(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Restore what `pack` gave.

        Raises:
            CheckpointError: it gave something else; the message names what is missing or wrong.
        """
        problems = [*self._wrong_tensors(tensors), *self._wrong_values(values)]
        if problems:
            more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
            raise CheckpointError(
                f"a checkpoint doesn't fit this run: {'; '.join(problems[:5])}{more}; delete it, and training goes on "
                "from the one before or starts over"
            )
        device = self.model.device
        self.model.load_state_dict(_of("model", tensors))
        self.best = {name: tensor.to(device) for name, tensor in _of("best", tensors).items()}
        for number, optimizer in enumerate(self.optimizers):
            moments: dict[int, dict[str, Tensor]] = {}
            for name, tensor in _of(f"optimizer{number}", tensors).items():
                index, _, kind = name.partition(".")
                moments.setdefault(int(index), {})[kind] = tensor
            optimizer.load_state_dict(optimizer.state_dict() | {"state": moments})
        self.scaler.load_state_dict(dict(values["scaler"]))
        self.running = list(tensors["running"].to(device)) if "running" in tensors else []
        for name, value in values["progress"].items():
            setattr(self.progress, name, value)
        if self.progress.best_dev_loss is None:
            self.progress.best_dev_loss = math.inf

    def _wrong_tensors(self, tensors: Mapping[str, Tensor]) -> list[str]:
        """What is missing, unknown, of another shape or of another type."""
        weights = self.model.state_dict()
        wanted = {f"model.{name}": weight for name, weight in weights.items()}
        if _of("best", tensors):
            wanted |= {f"best.{name}": weight for name, weight in weights.items()}
        for number, optimizer in enumerate(self.optimizers):
            if _of(f"optimizer{number}", tensors):
                weights_of = [weight for group in optimizer.param_groups for weight in group["params"]]
                for index, weight in enumerate(weights_of):
                    for kind in MOMENTS[type(optimizer).__name__]:
                        moment = torch.empty(()) if kind == "step" else weight
                        wanted[f"optimizer{number}.{index}.{kind}"] = moment
        running = tensors.get("running")
        if running is not None and running.dim() == 1:
            wanted["running"] = running
        problems = [f"{name} is missing" for name in wanted if name not in tensors]
        for name, tensor in tensors.items():
            like = wanted.get(name)
            if like is None:
                problems.append(f"{printable(name)} is not known")
            elif tensor.shape != like.shape or tensor.is_floating_point() != like.is_floating_point():
                problems.append(
                    f"{name} is {tensor.dtype} {tuple(tensor.shape)}, not {like.dtype} {tuple(like.shape)}"
                )
        return problems

    def _wrong_values(self, values: Mapping[str, Any]) -> list[str]:
        wanted = {"progress": asdict(Progress()), "scaler": self.scaler.state_dict()}
        problems = []
        for name, table in wanted.items():
            found = values.get(name)
            if not isinstance(found, dict) or found.keys() != table.keys():
                problems.append(f"{name} is not a table of {', '.join(table) or 'nothing'}")
                continue
            for key, like in table.items():
                value = found[key]
                if isinstance(like, list):
                    fits = isinstance(value, list) and all(isinstance(row, dict) for row in value)
                elif value is None:
                    fits = key == "best_dev_loss"
                else:
                    kinds = int if isinstance(like, int) else int | float
                    fits = isinstance(value, kinds) and not isinstance(value, bool) and 0 <= value < math.inf
                if not fits:
                    problems.append(f"{name}.{key} is {printable(repr(value))}")
        return problems


def _of(kind: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = f"{kind}."
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}
