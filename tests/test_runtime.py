"""Device, precision, threads and seeds."""

import json
import os
import platform
import subprocess
import sys

import pytest
import torch

from gpt2_shakespeare import runtime
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.params.schema import ParamsError


@pytest.fixture(autouse=True)
def as_before():
    """`start` changes the whole process; put it back."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    fill, benchmark = torch.utils.deterministic.fill_uninitialized_memory, torch.backends.cudnn.benchmark
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(strict)
    torch.utils.deterministic.fill_uninitialized_memory = fill
    torch.backends.cudnn.benchmark = benchmark


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def settings(**changes):
    return schema.Runtime(
        **(
            {
                "mode": "reproducible",
                "device": "cpu",
                "processes": 1,
                "threads": 1,
                "precision": "fp32",
                "evaluation_precision": "fp32",
                "compile": False,
            }
            | changes
        )
    )


def test_cuda_without_a_gpu_is_refused(no_gpu):
    with pytest.raises(ParamsError, match="^runtime.device: cuda is asked for, but torch finds no GPU"):
        runtime.start(settings(device="cuda"))


def test_fp16_on_a_cpu_is_refused(no_gpu):
    for device in ("cpu", "auto"):
        with pytest.raises(ParamsError, match="^runtime.precision: fp16 needs a GPU"):
            runtime.start(settings(device=device, precision="fp16"))


def test_auto_takes_what_is_there(monkeypatch, no_gpu):
    assert runtime.start(settings(device="auto")).device.type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert runtime.start(settings(device="auto")).device.type == "cuda"
    assert runtime.start(settings(device="cpu")).device.type == "cpu"


def test_a_gpu_without_bf16_falls_back_and_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_: False)
    found = runtime.start(settings(device="cuda", precision="bf16"))
    assert found.dtype == torch.float16
    assert len(found.notes) == 1 and "no bf16" in found.notes[0]


def test_a_cpu_without_bf16_falls_back_and_says_so(monkeypatch):
    monkeypatch.setattr(runtime, "cpu_has_bf16", lambda: False)
    found = runtime.start(settings(precision="bf16"))
    assert found.dtype == torch.float32
    assert found.notes == ("this CPU has no bf16: fp32",) and found.facts()["notes"] == list(found.notes)


def test_the_threads_are_applied():
    for threads in (2, 1):
        assert runtime.start(settings(threads=threads)).threads == threads
        assert torch.get_num_threads() == threads


def test_algorithms_are_deterministic():
    runtime.start(settings())
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
    assert not torch.backends.cudnn.benchmark


def test_the_fast_mode_lets_cuda_choose_its_kernels():
    runtime.start(settings(mode="fast"))
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.benchmark and torch.backends.cuda.matmul.allow_tf32
    runtime.start(settings())
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark and not torch.backends.cuda.matmul.allow_tf32


def test_compiling_without_a_compiler_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ParamsError, match="runtime.compile: no C\\+\\+ compiler"):
        runtime.start(settings(compile=True))
    runtime.start(settings(compile=False))


def test_starting_does_not_import_the_compiler():
    code = (
        "import sys; from gpt2_shakespeare import runtime; from gpt2_shakespeare import params; "
        "runtime.start(params.load().at_scale.runtime); print('torch._dynamo' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["False"]


def test_autocast_is_that_of_the_precision(monkeypatch):
    monkeypatch.setattr(runtime, "cpu_has_bf16", lambda: True)
    a = torch.ones(2, 2)
    with runtime.start(settings(precision="bf16")).autocast():
        assert (a @ a).dtype == torch.bfloat16
    with runtime.start(settings(precision="fp32")).autocast():
        assert (a @ a).dtype == torch.float32


def draw(seed, step):
    runtime.seed_step(seed, step)
    return tuple(torch.rand(4).tolist())


def test_a_step_has_its_own_random_numbers():
    torch.rand(7)
    wanted = draw(1337, 5)
    torch.rand(3)
    assert draw(1337, 5) == wanted
    assert len({draw(1337, step) for step in range(100)}) == 100


def test_a_seed_has_its_own_random_numbers():
    assert len({draw(seed, step) for seed in range(10) for step in range(10)}) == 100


def test_the_largest_seed_is_taken():
    assert draw(2**32 - 1, 0) != draw(2**32 - 2, 0)


@pytest.mark.parametrize("mode", [True, False])
def test_evaluating_turns_dropout_and_gradients_off_and_puts_the_mode_back(mode):
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout(0.5)).train(mode)
    with runtime.evaluating(model):
        assert not any(module.training for module in model.modules())
        assert not model(torch.ones(1, 3)).requires_grad
    assert all(module.training is mode for module in model.modules())
    assert model(torch.ones(1, 3)).requires_grad
    with pytest.raises(KeyError), runtime.evaluating(model):
        raise KeyError
    assert all(module.training is mode for module in model.modules())


def test_the_machine_is_described_in_plain_values():
    facts = json.loads(json.dumps(runtime.start(settings(threads=1)).facts()))
    assert {"python", "torch", "cpu", "cores", "threads", "world_size"} <= set(facts)
    assert facts["torch"] == torch.__version__
    assert (facts["device"], facts["precision"], facts["threads"]) == ("cpu", "float32", 1)


@pytest.mark.parametrize("own", [None, "passive", "ACTIVE"])
def test_the_package_sets_what_torch_reads_at_import_and_leaves_the_users_own(own):
    code = (
        "import sys, os, gpt2_shakespeare; assert 'torch' not in sys.modules; "
        "print(*(os.environ.get(name) for name in sys.argv[1:]))"
    )
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "CUBLAS_WORKSPACE_CONFIG")
    env = {name: value for name, value in os.environ.items() if name not in names}
    if own:
        env["OMP_WAIT_POLICY"] = own
    printed = subprocess.run(
        [sys.executable, "-c", code, *names], env=env, capture_output=True, text=True, check=True
    )
    spins = "5000" if own in (None, "passive") else "None"
    assert printed.stdout.split() == [own or "PASSIVE", spins, ":4096:8"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_large_tensors_get_their_memory_back_without_page_faults():
    code = """
import resource, torch
from gpt2_shakespeare import runtime
from gpt2_shakespeare.params import schema
runtime.start(schema.Runtime(mode="reproducible", device="cpu", processes=1, threads=1, precision="fp32",evaluation_precision="fp32",compile=False))
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(30):
    torch.ones(40 << 18)  # 40 MiB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100_000  # of 307,200
