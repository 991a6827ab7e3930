"""One process, or several on one or more machines that share the micro-batches of every step.

Several are started by torchrun and joined by Accelerate, which is imported only then. A micro-batch, its dropout
included, is a function of (seed, step, its place in the step), so their number changes sums' rounding and no more.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")


class Alone:
    """The only process."""

    rank = 0
    world_size = 1

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module, whose backward leaves the mean gradient of all ranks."""
        return module

    def no_sync(self, module: nn.Module) -> AbstractContextManager:
        """Inside, backward adds to this rank's gradients only."""
        return contextlib.nullcontext()

    def mean(self, value: Tensor) -> Tensor:
        return value

    def largest(self, value: int) -> int:
        return value

    def from_first(self, make: Callable[[], T]) -> T:
        """What `make` gives on rank 0, which alone calls it."""
        return make()


class Ranks(Alone):
    """One of several processes."""

    def __init__(self, device: torch.device):
        from accelerate import Accelerator

        self.accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision="no")
        self.rank, self.world_size = self.accelerator.process_index, self.accelerator.num_processes

    def wrap(self, module: nn.Module) -> nn.Module:
        return self.accelerator.prepare_model(module)

    def no_sync(self, module: nn.Module) -> AbstractContextManager:
        return self.accelerator.no_sync(module)

    def mean(self, value: Tensor) -> Tensor:
        return self.accelerator.reduce(value.clone(), "mean")

    def largest(self, value: int) -> int:
        found = self.accelerator.gather(torch.tensor([value], device=self.accelerator.device))
        return int(found.max())

    def from_first(self, make: Callable[[], T]) -> T:
        from accelerate.utils import broadcast_object_list

        value: list[Any] = [make() if self.rank == 0 else None]
        return broadcast_object_list(value)[0]


def join(device: torch.device) -> Alone:
    """This process's place among those that torchrun has started."""
    return Ranks(device) if int(os.environ.get("WORLD_SIZE", 1)) > 1 else Alone()


def launch(processes: int, interrupted: Callable[[], int | None]) -> int | None:
    """Run this very command in several processes under torchrun; None in one of these, or if one is enough.

    Args:
        interrupted: asked again and again; a signal's number is passed on to the processes.

    Returns:
        the exit code, 128 + signal after an interruption.
    """
    if processes == 1 or "RANK" in os.environ:
        return None
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(processes),
    ]
    # in a session of its own: a terminal's Ctrl-C reaches the processes once, through us
    with subprocess.Popen([*command, *sys.argv], start_new_session=True) as ranks:
        passed_on = None
        while ranks.poll() is None:
            number = interrupted()
            if number and not passed_on:
                passed_on = number
                ranks.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                ranks.wait(0.2)
    return 128 + passed_on if passed_on else ranks.returncode
