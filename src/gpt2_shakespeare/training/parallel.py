"""One process, or several on one or more machines, among which the micro-batches of every step are divided.

Several are started by torchrun and connected by Accelerate, which is imported only then. A micro-batch, its dropout
included, is a function of (seed, step, its place in the step), so the number of processes changes nothing but the
rounding of sums.
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


class Processes:
    """The processes of a run: here this one alone."""

    rank = 0
    world_size = 1

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module, such that backward leaves the mean gradient of all processes."""
        return module

    def no_sync(self, module: nn.Module) -> AbstractContextManager:
        """A context in which backward adds to this process's gradients only."""
        return contextlib.nullcontext()

    def mean(self, value: Tensor) -> Tensor:
        """Mean of the values of all processes."""
        return value

    def largest(self, value: int) -> int:
        """Largest of the values of all processes."""
        return value

    def from_first(self, make: Callable[[], T]) -> T:
        """What `make` returns in the first process, the only one that calls it."""
        return make()


class SeveralProcesses(Processes):
    """Several processes, of which this one is number `rank`."""

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


def join(device: torch.device) -> Processes:
    """Connect this process with the others that torchrun has started, if any."""
    return SeveralProcesses(device) if int(os.environ.get("WORLD_SIZE", 1)) > 1 else Processes()


def launch(processes: int, interrupted: Callable[[], int | None]) -> int | None:
    """Run the current command in several processes under torchrun, and wait for them.

    Args:
        interrupted: called again and again; if it returns the number of a signal, the processes get SIGTERM.

    Returns:
        the exit code, 128 + signal after an interruption; None, with nothing done, if one process is enough or this is
        one of the several.
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
    # in a session of its own, so that a terminal's Ctrl-C reaches the processes only once, through this one
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
