"""Time per token of a training step over context length and depth, beside the arithmetic it takes.

    python benchmarks/scaling.py       # five minutes on two cores

GPT-2's width (768, 12 heads), 2,048 tokens a micro-batch, two of them a step, dropout 0.1, each size in a process of its own. The
arithmetic of a token is that of `speed.gflop_per_token`. Writes benchmarks/scaling.csv and scaling.png.
"""

import argparse
import json
from pathlib import Path

import gpt2_shakespeare  # noqa: F401  # isort: skip  (sets what OpenMP reads when torch is imported)
import pandas as pd
import speed

from gpt2_shakespeare import runtime

OUT = Path(__file__).with_suffix(".csv")
TOKENS = 2048  # of a micro-batch
LENGTHS = (128, 256, 512, 1024, 2048)
LAYERS = (2, 4, 8, 12, 24)
SIZES = [(12, length) for length in LENGTHS] + [(layers, 256) for layers in LAYERS if layers != 12]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    speed.add_runtime(parser)
    parser.add_argument("--one", nargs=2, type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    settings = speed.runtime_settings(args)
    if args.one:
        n_layer, block_size = args.one
        found = speed.step(
            "ours", runtime.start(settings), shape=speed.GPT2 | {"n_layer": n_layer}, block_size=block_size,
            batch_size=TOKENS // block_size, micro_batches=2, steps=1,
        )  # fmt: skip
        print(json.dumps(found))
        return
    lines = []
    for n_layer, block_size in SIZES:
        found = speed.in_own_process(__file__, ["--one", str(n_layer), str(block_size)], settings)
        microseconds = 1e6 / found["tokens_per_s"]
        gflop = speed.gflop_per_token(speed.GPT2 | {"n_layer": n_layer}, block_size)
        line: dict[str, float] = {"n_layer": n_layer, "block_size": block_size}
        line |= {"microseconds_per_token": round(microseconds, 1), "gflop_per_token": round(gflop, 4)}
        lines.append(line | {"gflop_per_s": round(gflop / microseconds * 1e6, 1)})
        print("  ".join(f"{key} {value}" for key, value in lines[-1].items()), flush=True)
    table = pd.DataFrame(lines).assign(
        precision=settings.precision,
        threads=settings.threads,
        mode=settings.mode,
        machine=speed.machine_name(settings),
    )
    table.to_csv(OUT, index=False, lineterminator="\n")
    draw(table)


def draw(table: pd.DataFrame) -> None:
    """Measured times, and the arithmetic's share of them: the line through the fastest size."""
    from gpt2_shakespeare.report.pictures.style import Figure  # matplotlib, whatever MPLBACKEND names

    figure = Figure(figsize=(9, 4), dpi=120, layout="constrained")
    first = table.iloc[0]
    for axes, name, part in zip(
        figure.subplots(1, 2),
        ("block_size", "n_layer"),
        (table[table["n_layer"] == 12], table[table["block_size"] == 256]),
        strict=True,
    ):
        line = part.sort_values(name)
        axes.plot(line[name], line["microseconds_per_token"], "o-", color="#0072B2", label="measured")
        best = table["gflop_per_s"].max()
        axes.plot(
            line[name], line["gflop_per_token"] / best * 1e6, "k:", label=f"FLOP at {best / 1e3:.2f} TFLOP/s"
        )
        axes.set_xscale("log", base=2)
        axes.set_xticks(list(line[name]), list(line[name]))
        axes.set_xlabel({"block_size": "tokens of context, 12 layers", "n_layer": "layers, 256 tokens"}[name])
        axes.set_ylabel("microseconds per token")
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    figure.suptitle(f"{first['machine']}, {first['precision']}, {first['threads']} threads", fontsize=9)
    figure.savefig(OUT.with_suffix(".png"), metadata={"Software": None})


if __name__ == "__main__":
    main()
