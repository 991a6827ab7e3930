"""Seeds, determinism, device, precision and threads: all of them are decided here.

The environment variables that must be set before torch is imported are set in the package's __init__.
"""

import contextlib
import ctypes
import functools
import importlib.util
import logging
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy
import torch

from gpt2_shakespeare.params import schema

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Runtime:
    """The settings as applied on this machine.

    Args:
        compile: whether models are compiled.
        notes: each setting that this machine can't do, and what is used instead.
    """

    device: torch.device
    dtype: torch.dtype
    threads: int
    compile: bool
    notes: tuple[str, ...] = ()

    def autocast(self, enabled: bool = True) -> AbstractContextManager:
        """torch.autocast in the precision of the settings; nothing for fp32."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=enabled)

    def facts(self) -> dict[str, str | int | list[str]]:
        """The machine and the versions that a figure was computed with."""
        facts: dict[str, str | int | list[str]] = {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            "system": f"{platform.system()} {platform.machine()}",
            "cpu": _cpu_name(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "cores": len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1,
            "threads": self.threads,
            "device": self.device.type,
            "precision": str(self.dtype).removeprefix("torch."),
            "world_size": int(os.environ.get("WORLD_SIZE", 1)),
            "notes": list(self.notes),
        }
        if self.device.type == "cuda":
            facts["gpu"] = torch.cuda.get_device_name()
            facts["cuda"] = str(torch.version.cuda)
        return facts


def start(settings: schema.Runtime) -> Runtime:
    """Apply the settings to this process.

    In the mode `reproducible` every operation is deterministic: on one kind of machine the bits of a run are a
    function of its settings. In the mode `fast` CUDA may choose its kernels and use TF32.

    Raises:
        schema.ParamsError: the settings ask for `cuda` without a GPU, for `compile` without a compiler, or for fp16 on
            a CPU.
    """
    cuda = torch.cuda.is_available()
    if settings.device == "cuda" and not cuda:
        raise schema.ParamsError(
            "runtime.device: cuda is asked for, but torch finds no GPU; set it to auto or cpu"
        )
    device = torch.device("cuda" if cuda and settings.device != "cpu" else "cpu")
    if device.type == "cuda" and "LOCAL_RANK" in os.environ:  # one of several processes on this machine
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    notes = []
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[settings.precision]
    if dtype == torch.bfloat16 and device.type == "cuda" and not torch.cuda.is_bf16_supported(False):
        dtype = torch.float16
        notes.append("this GPU has no bf16: fp16 with a gradient scaler")
    if dtype == torch.bfloat16 and device.type == "cpu" and not cpu_has_bf16():
        dtype = torch.float32
        notes.append("this CPU has no bf16: fp32")
    if dtype == torch.float16 and device.type == "cpu":
        raise schema.ParamsError("runtime.precision: fp16 needs a GPU; set it to fp32 or bf16")
    if settings.compile:
        _find_compiler(device)
    torch.set_num_threads(settings.threads)
    keep_memory()
    reproducible = settings.mode == "reproducible"
    if settings.compile:
        torch.use_deterministic_algorithms(reproducible)  # the compiler's too
    else:  # the same switch, but without importing the compiler, which takes longer to import than torch itself
        torch.set_deterministic_debug_mode("error" if reproducible else "default")
    # With deterministic algorithms torch also fills new memory with NaN, to reveal reads of uninitialised memory. The
    # tests check that there are none, and training is a third slower with it (with the same bits).
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = not reproducible
    torch.backends.cuda.matmul.allow_tf32 = not reproducible
    for note in notes:
        log.warning(note)
    return Runtime(device, dtype, settings.threads, settings.compile, tuple(notes))


def cpu_has_bf16() -> bool:
    """Whether the hardware multiplies in bf16; emulated products take a hundred times as long as fp32 ones."""
    if platform.machine() in ("x86_64", "AMD64"):
        return torch.cpu._is_avx512_bf16_supported()
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


@functools.cache
def keep_memory() -> None:
    """Let glibc keep freed memory, from now on, instead of returning all large tensors' memory to the system.

    Otherwise the system zeroes every page of each new tensor, which takes longer than the computation in it. A step of
    GPT-2 124M takes a third less time with this.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(-4, 0)  # M_MMAP_MAX of malloc.h: no memory by mmap
        libc.mallopt(-1, -1)  # M_TRIM_THRESHOLD: never


def _find_compiler(device: torch.device) -> None:
    """Check that torch.compile has what it needs: a C++ compiler, and on a GPU Triton too."""
    if device.type == "cuda" and not importlib.util.find_spec("triton"):
        raise schema.ParamsError("runtime.compile: Triton is missing; install it or set compile to false")
    if not any(shutil.which(name) for name in (os.environ.get("CXX", ""), "c++", "g++", "clang++") if name):
        raise schema.ParamsError(
            "runtime.compile: no C++ compiler is here; install one or set compile to false"
        )


def seed_step(seed: int, step: int, place: int = 0) -> None:
    """Seed torch's generators as a function of (seed, step, place of the micro-batch in the step).

    So the random numbers of a step depend neither on earlier steps nor on the process that computes it.
    """
    # torch's CPU generator uses 32 bits of a seed. Consecutive seeds are a million steps apart, and consecutive
    # micro-batches 2**32 divided by the golden ratio.
    torch.manual_seed((seed * 1_000_003 + step + place * 0x9E3779B1) % 2**32)


@contextlib.contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """A context with dropout off and without gradients; afterwards the model's mode is restored.

    Under autocast each weight is cast once in it: inference mode would cast it at every use.
    """
    was_training = model.training
    casts = torch.is_autocast_enabled(next(model.parameters()).device.type)
    model.eval()
    try:
        with torch.no_grad() if casts else torch.inference_mode():
            yield
    finally:
        model.train(was_training)


def _cpu_name() -> str:
    if sys.platform == "linux":
        with contextlib.suppress(OSError), open("/proc/cpuinfo") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
