"""Speed and memory beside Hugging Face's GPT-2: same weights' shape, batch, dropout, optimizer, threads, precision.

    python benchmarks/speed.py                      # all works, half an hour on two cores
    python benchmarks/speed.py --works step-7m sample-1
    ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16 python benchmarks/speed.py      # as on a processor without AMX

Each side runs in a process of its own, the sides in turn, twice; the faster of its two times counts. All have the same
environment. `plain` is Hugging Face's as it is; `kept` adds our setting of the allocator (runtime.py), and `tuned` to
that torch.compile and, in bf16, logits in bf16. `matrix` is the machine's rate. Writes benchmarks/speed.csv and
speed.png, with the machine beside the figures; ratios, not seconds, are what another machine should find again.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gpt2_shakespeare  # noqa: F401  # isort: skip  (sets what OpenMP reads when torch is imported)
import numpy as np
import torch

from gpt2_shakespeare import runtime
from gpt2_shakespeare.measure.losses import exact_loss
from gpt2_shakespeare.model import GPT, GPTConfig
from gpt2_shakespeare.model.pretrained import Pretrained
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.texts.sampling import generate
from gpt2_shakespeare.tokens.batches import window_starts, windows
from gpt2_shakespeare.training.trainer import Trainer

OUT = Path(__file__).with_suffix(".csv")
VOCAB_SIZE = 50257
COLOURS = {"plain": "#0072B2", "kept": "#009E73", "tuned": "#E69F00"}
DROPOUT = 0.1
SIDES = ("ours", "plain", "kept", "tuned")
SMALL = {"n_layer": 4, "n_head": 4, "n_embd": 128}
GPT2 = {"n_layer": 12, "n_head": 12, "n_embd": 768}
# SmolLM2-135M's, by the names that transformers has; it has no dropout
SMOLLM2 = {
    "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
    "num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True, "max_position_embeddings": 8192,
}  # fmt: skip

# work -> (kind, its settings)
WORKS: dict[str, tuple[str, dict]] = {
    "matrix": ("matrix", {"tokens": 2048}),
    "step-7m": ("step", {"shape": SMALL, "block_size": 256, "batch_size": 4, "micro_batches": 1, "steps": 12}),
    "step-124m-256": ("step", {"shape": GPT2, "block_size": 256, "batch_size": 8, "micro_batches": 4, "steps": 1}),
    "step-124m-1024": ("step", {"shape": GPT2, "block_size": 1024, "batch_size": 2, "micro_batches": 4, "steps": 1}),
    "step-135m-256": ("step", {"shape": SMOLLM2, "block_size": 256, "batch_size": 8, "micro_batches": 1, "steps": 2}),
    "api-124m-256": ("api", {"shape": GPT2, "block_size": 256, "batch_size": 8, "micro_batches": 1, "steps": 3}),
    "loop-7m": ("loop", {"shape": SMALL, "block_size": 256, "batch_size": 4, "steps": 60}),
    "sample-1": ("sampling", {"shape": GPT2, "batch_size": 1}),
    "sample-32": ("sampling", {"shape": GPT2, "batch_size": 32}),
    "sample-135m-1": ("sampling", {"shape": SMOLLM2, "batch_size": 1}),
    "sample-135m-32": ("sampling", {"shape": SMOLLM2, "batch_size": 32}),
    "exact": ("exact", {"shape": GPT2, "tokens": 4097}),
}  # fmt: skip
# What the picture calls them, and the sides
NAMES = {
    "step-7m": "training\nstep, 7 M\nT = 256", "step-124m-256": "training\nstep, 124 M\nT = 256",
    "step-124m-1024": "training\nstep, 124 M\nT = 1024", "step-135m-256": "training\nstep, 135 M\nT = 256", "api-124m-256": "a loop of\none's own\n124 M",
    "sample-135m-1": "sampling\n1 text\n135 M", "sample-135m-32": "sampling\n32 texts\n135 M", "loop-7m": "60 steps by\nthe Trainers\n7 M",
    "sample-1": "sampling\n1 text\n124 M", "sample-32": "sampling\n32 texts\n124 M", "exact": "exact loss\n124 M",
}  # fmt: skip
SIDE_NAMES = {
    "plain": "Hugging Face as it is",
    "kept": "with our memory setting",
    "tuned": "with torch.compile and bf16 logits too",
}


def model(side: str, shape: dict, block_size: int, dropout: float) -> Any:
    torch.manual_seed(0)
    if "hidden_size" in shape:
        from transformers import LlamaConfig, LlamaForCausalLM

        net = LlamaForCausalLM(LlamaConfig(**shape))
        return Pretrained(net) if side == "ours" else net
    if side == "ours":
        return GPT(GPTConfig(block_size=block_size, vocab_size=VOCAB_SIZE, dropout=dropout, **shape))
    from transformers import GPT2Config, GPT2LMHeadModel

    settings = GPT2Config(
        n_positions=block_size, vocab_size=VOCAB_SIZE, bos_token_id=0, eos_token_id=0, embd_pdrop=dropout,
        attn_pdrop=dropout, resid_pdrop=dropout, **shape,
    )  # fmt: skip
    return GPT2LMHeadModel(settings)


def step(side: str, machine: runtime.Runtime, *, shape, block_size, batch_size, micro_batches, steps) -> dict:
    """Seconds of an optimizer step: micro-batches of batch_size windows, clipping, AdamW."""
    net = model(side, shape, block_size, DROPOUT).to(machine.device).train()
    if side == "tuned":
        net.compile()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)
    types = shape.get("vocab_size", VOCAB_SIZE)
    idx = torch.randint(types, (batch_size, block_size + 1), device=machine.device)

    def loss() -> torch.Tensor:
        if side == "ours":
            return net.loss(idx[:, :-1], idx[:, 1:])
        if side != "tuned":
            return net(input_ids=idx[:, :-1], labels=idx[:, :-1]).loss
        logits = net(input_ids=idx[:, :-1]).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), idx[:, 1:].flatten())

    def one() -> None:
        optimizer.zero_grad(set_to_none=True)
        with machine.autocast():
            for _ in range(micro_batches):
                part = loss() / micro_batches
                with machine.autocast(enabled=False):
                    part.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()

    for _ in range(2):  # compile, and touch the memory
        one()
    seconds = timed(one, steps)
    speed = micro_batches * batch_size * block_size / seconds
    return {
        "seconds": seconds,
        "tokens_per_s": speed,
        "gflop_per_s": speed * gflop_per_token(shape, block_size),
    }


def api(side: str, machine: runtime.Runtime, **arguments: Any) -> dict:
    """A step by a plain loop of a user's own: nothing of this project but the package, the model and its loss."""
    return step(side, machine, **arguments)


def gflop_per_token(shape: dict, block_size: int) -> float:
    """Arithmetic of a token in training: 6 N + 12 n_layer n_embd T, N the parameters that are multiplied (the head's
    among them, positions not)."""
    if "hidden_size" in shape:
        from transformers import LlamaConfig, LlamaForCausalLM

        with torch.device("meta"):
            multiplied = LlamaForCausalLM(LlamaConfig(**shape)).num_parameters()
        width, layers = shape["hidden_size"], shape["num_hidden_layers"]
        return (6 * multiplied + 12 * layers * width * block_size) / 1e9
    with torch.device("meta"):
        net = GPT(GPTConfig(block_size=block_size, vocab_size=VOCAB_SIZE, **shape))
    multiplied = net.n_params() - net.transformer.wpe.weight.numel()
    return (6 * multiplied + 12 * shape["n_layer"] * shape["n_embd"] * block_size) / 1e9


def matrix(side: str, machine: runtime.Runtime, *, tokens) -> dict:
    """The machine's rate: one product of GPT-2's MLP, in the precision of the run."""
    a = torch.randn(tokens, 768, dtype=machine.dtype, device=machine.device)
    b = torch.randn(768, 3072, dtype=machine.dtype, device=machine.device)
    timed(lambda: a @ b, 50)
    seconds = timed(lambda: a @ b, 200)
    return {"seconds": seconds, "gflop_per_s": 2 * tokens * 768 * 3072 / seconds / 1e9}


def loop(side: str, machine: runtime.Runtime, *, shape, block_size, batch_size, steps) -> dict:
    """Seconds of a training by our Trainer and by Hugging Face's, weights saved at the end of it."""
    text = (
        np.random.default_rng(0)
        .integers(VOCAB_SIZE, size=steps * batch_size * block_size + 1)
        .astype(np.uint16)
    )
    net = model(side, shape, block_size, DROPOUT)
    with tempfile.TemporaryDirectory() as out:
        if side == "ours":
            settings = schema.Training(
                learning_rate=1e-4, min_lr=0, warmup_steps=0, beta1=0.9, beta2=0.999, weight_decay=0.1,
                decay="matrices", grad_clip=1, share=1, stride=None, batch_size=batch_size, grad_accum_steps=1,
                dropout=DROPOUT, attn_dropout=DROPOUT, eval_interval=steps, eval_tokens=1, patience=None,
                random_offsets=False, renaming=None, spelling=False, sampled_types=None, muon_learning_rate=None,
            )  # fmt: skip
            context = [schema.Context(block_size=block_size, epochs=1)]
            dev = text[: block_size + 1]
            trainer = Trainer(net, text, dev, settings, context, seed=0, machine=machine)
            seconds = timed(lambda: trainer.run(Path(out)), 1)
        else:
            import transformers

            idx, _ = windows(text, window_starts(len(text), block_size, block_size), block_size)
            arguments = transformers.TrainingArguments(
                out, per_device_train_batch_size=batch_size, max_steps=steps, learning_rate=1e-4, weight_decay=0.1,
                lr_scheduler_type="cosine", bf16=machine.dtype == torch.bfloat16, save_strategy="no", report_to=[],
                use_cpu=machine.device.type == "cpu", optim="adamw_torch_fused", disable_tqdm=True,
            )  # fmt: skip
            data = [{"input_ids": row, "labels": row} for row in torch.from_numpy(idx)]
            peer = transformers.Trainer(net, arguments, train_dataset=data)
            seconds = timed(lambda: (peer.train(), net.save_pretrained(out)), 1)
    return {"seconds": seconds, "tokens_per_s": steps * batch_size * block_size / seconds}


def sampling(side: str, machine: runtime.Runtime, *, shape, batch_size) -> dict:
    """Seconds for 256 tokens by top-p 0.9 at temperature 0.8 after a prompt of 16."""
    net = model(side, shape, 1024, 0.0).to(machine.device).eval()
    with torch.no_grad():  # random weights that are as sure of the next token as a trained GPT-2
        for name, parameter in net.named_parameters():
            if name in ("transformer.ln_f.weight", "transformer.norm.weight", "model.norm.weight"):
                parameter.fill_(8.0)
    types = shape.get("vocab_size", VOCAB_SIZE)
    idx, new = torch.randint(types, (batch_size, 16), device=machine.device), 256

    def ours(count: int) -> None:
        generate(net, idx, count, temperature=0.8, top_p=0.9, generator=torch.Generator().manual_seed(0))

    def theirs(count: int) -> None:
        net.generate(
            idx, attention_mask=torch.ones_like(idx), do_sample=True, top_p=0.9, top_k=0, temperature=0.8,
            max_new_tokens=count, min_new_tokens=count, pad_token_id=0,
        )  # fmt: skip

    run = ours if side == "ours" else theirs
    run(4)
    seconds = timed(lambda: run(new), 1)
    first, whole = timed(lambda: run(16), 3), seconds
    # the last 240 tokens' mean time over the first 16's: 1 where no step gets slower
    growth = (whole - first) / (new - 16) / (first / 16)
    return {"seconds": seconds, "tokens_per_s": batch_size * new / seconds, "late_over_early": growth}


def exact(side: str, machine: runtime.Runtime, *, shape, tokens) -> dict:
    """Seconds for the exact loss of a text: windows of 1024 that move by half."""
    net = model(side, shape, 1024, 0.0).to(machine.device).eval()
    text = np.random.default_rng(0).integers(VOCAB_SIZE, size=tokens).astype(np.uint16)

    def theirs() -> None:
        with torch.inference_mode():
            for start in range(0, tokens - 1024, 512):
                idx = torch.from_numpy(text[start : start + 1025].astype(np.int64)).to(machine.device)[None]
                logits = net(input_ids=idx[:, :-1]).logits
                torch.nn.functional.cross_entropy(logits[0].float(), idx[0, 1:], reduction="none")

    run: Callable[[], object] = (lambda: exact_loss(net, text)) if side == "ours" else theirs
    seconds = timed(run, 1)
    return {"seconds": seconds, "tokens_per_s": tokens / seconds}


def timed(run: Callable[[], object], times: int) -> float:
    """Mean seconds."""
    wait()
    started = time.perf_counter()
    for _ in range(times):
        run()
    wait()
    return (time.perf_counter() - started) / times


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


# kind of work -> what times it, and whom
KINDS: dict[str, tuple[Callable[..., dict], tuple[str, ...]]] = {
    "matrix": (matrix, SIDES[:1]),
    "step": (step, SIDES),
    "api": (api, SIDES[:2]),
    "loop": (loop, SIDES[:3]),
    "sampling": (sampling, SIDES[:3]),
    "exact": (exact, SIDES[:3]),
}


def measure(work: str, side: str, settings: schema.Runtime) -> dict:
    """One side of one work, in this process."""
    kind, arguments = WORKS[work]
    if side == "plain":  # Hugging Face's as it is
        runtime.keep_memory = lambda: None  # type: ignore[assignment]
    if kind == "api":  # a user's own: threads and autocast, and no runtime.start
        torch.set_num_threads(settings.threads)
        precision = {"bf16": torch.bfloat16, "fp32": torch.float32}[settings.precision]
        machine = runtime.Runtime(torch.device("cpu"), precision, settings.threads, compile=False)
    else:
        machine = runtime.start(settings)
    found = KINDS[kind][0](side, machine, **arguments)
    peak = torch.cuda.max_memory_allocated() / 2**20 if machine.device.type == "cuda" else None
    return found | {"peak_mib": peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def add_runtime(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument(
        "--precision", choices=["fp32", "bf16"], help="default: bf16 where there is hardware for it"
    )
    parser.add_argument("--mode", default="reproducible", choices=["reproducible", "fast"])


def runtime_settings(args: argparse.Namespace) -> schema.Runtime:
    cuda = torch.cuda.is_available() and args.device != "cpu"
    return schema.Runtime(
        mode=args.mode,
        device=args.device,
        processes=1,
        threads=args.threads,
        precision=args.precision or ("bf16" if cuda or runtime.cpu_has_bf16() else "fp32"),
        evaluation_precision="fp32",
        compile=False,
    )


def machine_name(settings: schema.Runtime) -> str:
    facts = runtime.start(settings).facts()
    name = f"{facts.get('gpu', facts['cpu'])}, {facts['cpu_capability']}, torch {facts['torch']}"
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA")  # oneDNN's own: the matrix products use nothing newer
    return f"{name}, products by {limit}" if limit else name


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--works", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    add_runtime(parser)
    args = parser.parse_args()
    if "ours" not in args.sides:
        parser.error("--sides needs ours: the others are compared with it")
    settings = runtime_settings(args)
    if args.side:
        print(json.dumps(measure(args.works[0], args.side, settings)))
        return

    lines = []
    for work in args.works:
        sides = [side for side in KINDS[WORKS[work][0]][1] if side in args.sides]
        found: dict[str, dict] = {}
        for side in sides * 2:
            again = in_own_process(__file__, ["--works", work, "--side", side], settings)
            found[side] = min(found.get(side, again), again, key=lambda result: result["seconds"])
        for side in sides:
            ratio = found[side]["seconds"] / found["ours"]["seconds"]
            line = {"work": work, "side": side, **found[side], "times_ours": ratio}
            lines.append({key: round(v, 4) if isinstance(v, float) else v for key, v in line.items()})
            print("  ".join(f"{key} {value}" for key, value in lines[-1].items()), flush=True)
    conditions = {name: getattr(settings, name) for name in ("precision", "threads", "mode")}
    conditions["machine"] = machine_name(settings)
    merge([line | conditions for line in lines])


def in_own_process(script: str, arguments: list[str], settings: schema.Runtime) -> dict:
    """What the script, called with the arguments and settings, prints as JSON in its last line."""
    command = [sys.executable, script, *arguments]
    for name in ("threads", "device", "precision", "mode"):
        command += [f"--{name}", str(getattr(settings, name))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def merge(lines: list[dict]) -> None:
    """Put the lines into the table, in place of those of the same work and conditions, and draw it."""
    import pandas as pd

    same = ["work", "side", "precision", "threads", "mode", "machine"]
    table = pd.DataFrame(lines)
    if OUT.exists():
        table = pd.concat([pd.read_csv(OUT), table]).drop_duplicates(same, keep="last")
    table = table.sort_values([*same[2:], "work", "side"])
    table.to_csv(OUT, index=False, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    draw(table[(table["machine"] == lines[0]["machine"]) & (table["precision"] == lines[0]["precision"])])


def draw(table) -> None:
    """How many times as long the peers take, a group of bars per work."""
    from gpt2_shakespeare.report.pictures.style import Figure  # matplotlib, whatever MPLBACKEND names

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    table = table[table["work"] != "matrix"]
    works = list(dict.fromkeys(table["work"]))
    for offset, (side, colour) in enumerate(COLOURS.items()):
        part = table[table["side"] == side]
        places = [works.index(work) + 0.27 * (offset - 1) for work in part["work"]]
        bars = axes.bar(places, part["times_ours"], 0.25, color=colour, label=SIDE_NAMES[side])
        axes.bar_label(bars, fmt="%.2f", fontsize=9)
    axes.axhline(1, color="black", linewidth=1)
    axes.set_xticks(range(len(works)), [NAMES[work] for work in works], fontsize=9)
    axes.set_ylim(top=1.15 * table["times_ours"].max())
    axes.set_ylabel("how many times as long as ours")
    first = table.iloc[0]
    axes.set_title(
        f"{first['machine']}, {first['precision']}, {first['threads']} threads", fontsize=9, loc="left"
    )
    axes.legend(frameon=False, ncols=3, loc="upper left", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(OUT.with_suffix(".png"), metadata={"Software": None})


if __name__ == "__main__":
    main()
