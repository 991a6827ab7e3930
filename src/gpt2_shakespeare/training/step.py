"""One optimizer step, from a batch to new weights."""

import contextlib

import torch
from torch import Tensor, nn

from gpt2_shakespeare import runtime
from gpt2_shakespeare.errors import UserError
from gpt2_shakespeare.model import LanguageModel
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.training import optimizers
from gpt2_shakespeare.training.parallel import Processes


class TrainingError(UserError, RuntimeError):
    """Training can't go on; the message says at which step and why."""


class _Loss(nn.Module):
    """The model's training loss as a module, which Accelerate can wrap."""

    def __init__(self, model: LanguageModel):
        super().__init__()
        self.model = model

    def forward(self, idx: Tensor, targets: Tensor) -> Tensor:
        return self.model.loss(idx, targets)


class Step:
    """Takes optimizer steps; each is a function of the weights, the optimizers' moments and (seed, step).

    Args:
        ranks: the processes among which the micro-batches of a step are divided.
    """

    def __init__(
        self,
        model: LanguageModel,
        settings: schema.Training,
        machine: runtime.Runtime,
        ranks: Processes,
        seed: int,
    ):
        self.model, self.settings, self.machine, self.ranks, self.seed = model, settings, machine, ranks, seed
        self.loss = ranks.wrap(_Loss(model))
        self.optimizers = optimizers.optimizers(model, settings)
        self.scaler = torch.amp.GradScaler(machine.device.type, enabled=machine.dtype == torch.float16)

    def __call__(
        self, step: int, idx: Tensor, targets: Tensor, lr: float, *, where: str
    ) -> tuple[Tensor, bool]:
        """Take a step.

        Args:
            step: its number in the schedule.
            idx, targets: the batch of all processes, (batch_size * grad_accum_steps, T) each.
            lr: the learning rate.
            where: how the error names the run and the step.

        Returns:
            the mean loss of the batch, in nats per token, and whether the step was skipped: in fp16 a gradient may
            overflow because the loss is scaled. The weights are then as before, and the scale is halved.

        Raises:
            TrainingError: the loss or the gradient is not finite, in fp16 at a scale of 1 too; the weights are as
                before.
        """
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr * group["scale"]
        self.model.zero_grad(set_to_none=True)

        size, ranks = self.settings.batch_size, self.ranks
        micro_batches = list(zip(idx.split(size), targets.split(size), strict=True))
        mine = range(ranks.rank, len(micro_batches), ranks.world_size)
        losses = []
        with self.machine.autocast():  # around all micro-batches, so that each weight is cast only once
            for place in mine:
                runtime.seed_step(self.seed, step, place)
                # the processes exchange their gradients once, in the backward of the last micro-batch
                last = place == mine[-1]
                with contextlib.nullcontext() if last else ranks.no_sync(self.loss):
                    loss = self.loss(*micro_batches[place])
                    losses.append(loss.detach())
                    with self.machine.autocast(enabled=False):
                        self.scaler.scale(loss / len(mine)).backward()

        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.grad_clip)
        mean = ranks.mean(torch.stack(losses).mean())
        # in fp16 a scaled gradient may overflow: all optimizers then skip the step, and the scale, else 1, is halved
        skipped = not torch.isfinite(norm)
        if not torch.isfinite(mean) or (skipped and self.scaler.get_scale() <= 1):
            raise TrainingError(
                f"{where}: the loss is {mean:.4g} and the gradient's norm {norm:.4g}; stopped before the weights "
                "become useless; lower learning_rate or use fp32"
            )
        if not skipped:
            for optimizer in self.optimizers:
                self.scaler.step(optimizer)
        self.scaler.update()
        return mean, skipped
