"""What a way of fine-tuning learns and what it forgets: dev loss beside the loss on text of another kind.

    dvc exp run -S scale=novels          # or as far as the stages prepare and base
    python benchmarks/forgetting.py finetune_long --scale novels --variants start learning_rate=0.0003
    python benchmarks/forgetting.py finetune_long --scale novels --rehearsal 0.1
    python benchmarks/forgetting.py finetune_long --scale laptop --trained --shares 0.25 0.5 0.75 1

Each variant of a row (see recipe.py) is trained; with --trained the model in models/<scale>/ is taken. It is measured
with the weights that lie some share of the way from the base's to its own: 1 are its own (Wortsman et al. 2022, WiSE-FT).
--rehearsal adds text of the base's corpus to the training text, as a share of both (the scale's base must be
pretrained here). Dev is scored exactly; val is not read. Adds lines to benchmarks/forgetting.csv and draws them; without
a row it only draws.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import gpt2_shakespeare  # noqa: F401  # isort: skip  (sets what OpenMP reads when torch is imported)
import numpy as np
import torch
from recipe import add_line, arguments, commit, find_row, load_parts, parsed, trainer_of
from torch import Tensor

from gpt2_shakespeare import paths, runtime
from gpt2_shakespeare.measure.forgetting import Forgetting
from gpt2_shakespeare.measure.losses import exact_loss
from gpt2_shakespeare.model import LanguageModel, load_model
from gpt2_shakespeare.params.rows import TrainedRow
from gpt2_shakespeare.params.schema import Scale
from gpt2_shakespeare.report.registry import OTHER_TEXTS
from gpt2_shakespeare.tokens import tokenizer
from gpt2_shakespeare.tokens.files import Tokens, load_tokens

OUT = Path(__file__).with_suffix(".csv")
OTHER_TOKENS = 16_384  # of the other text, as stages/evaluate.py


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--shares", type=float, nargs="+", default=[1.0])
    parser.add_argument("--rehearsal", type=float, default=0.0)
    parser.add_argument(
        "--trained", action="store_true", help="take the model of the pipeline; trains nothing"
    )
    args = parsed(parser)
    if not 0 <= args.rehearsal < 1:
        parser.error("--rehearsal: a share of the training text, below 1")
    if args.trained and (args.variants != ["start"] or args.rehearsal or args.epochs):
        parser.error("--trained: the row as the pipeline trained it has no variants")
    if args.row:
        run(args)
    draw()


def run(args: argparse.Namespace) -> None:
    at, of = paths.Paths(args.scale), commit()
    for variant, label in zip(args.variants, args.labels, strict=True):
        scale, row = find_row(args.scale, args.row, variant, args.epochs)
        if not row.from_base:
            raise SystemExit(
                f"forgetting: {row.name} doesn't start from the base's weights, so it can't forget them"
            )
        for seed in args.seeds:
            started = time.perf_counter()
            if args.trained:
                model = load_model(at.model(row.name, seed))
            else:
                model = trained(scale, row, seed, at, args.rehearsal)
            minutes = round((time.perf_counter() - started) / 60, 1)
            about = {"scale": args.scale, "row": row.name, "variant": variant, "label": label}
            about |= {"rehearsal": args.rehearsal, "epochs": row.epochs, "seed": seed}
            for share, figures in measured(scale, model, args.shares, at).items():
                end = {"minutes": "" if args.trained else minutes, "commit": of}
                add_line(OUT, about | {"share": share} | figures | end)


def trained(scale: Scale, row: TrainedRow, seed: int, at: paths.Paths, rehearsal: float) -> LanguageModel:
    """The row's model with the lowest dev loss, trained on train and text of the base's corpus."""
    train, dev = load_parts(at)
    if rehearsal:
        seen = load_tokens(at.pretrain_tokens / "train.npy", tokenizer.load(at.tokenizer).n_vocab)
        train = np.concatenate([train, seen[: round(len(train) * rehearsal / (1 - rehearsal))]])
    trainer = trainer_of(scale, row, at, train, dev, seed, row.name)
    with tempfile.TemporaryDirectory() as folder:
        trainer.run(Path(folder))
        return load_model(Path(folder))


def measured(
    scale: Scale, model: LanguageModel, shares: list[float], at: paths.Paths
) -> dict[float, dict[str, float | str]]:
    """Figures of the base (share 0) and of the model at each share of the way from the base to it."""
    machine = runtime.start(scale.runtime.for_evaluation())
    base, model = load_model(at.base).to(machine.device), model.to(machine.device)
    dev = load_tokens(at.tokens("dev"), base.vocab_size)
    texts = {name: at.other_tokens / f"{name}.npy" for name in OTHER_TEXTS}
    name, file = next((name, file) for name, file in texts.items() if file.exists())
    other: dict[str, Tokens] = {name: load_tokens(file, base.vocab_size)}
    forgetting = Forgetting(base, other, OTHER_TOKENS)
    ends = {key: value.clone() for key, value in model.state_dict().items()}
    found: dict[float, dict[str, float | str]] = {}
    for share in sorted({0.0, *shares}):
        model.load_state_dict(between(base.state_dict(), ends, share))
        with machine.autocast():  # which keeps the weights that it has cast until it ends
            figures, dev_loss = forgetting.measure(model), exact_loss(model, dev)
        found[share] = {
            "dev_loss": round(dev_loss, 4),
            "text": name,
            "other_loss": round(figures[f"other_loss_{name}"], 4),
            "kl": round(figures[f"kl_{name}"], 4),
        }
    return found


def between(start: Mapping[str, Tensor], end: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Weights that lie this share of the way from some to others."""
    return {
        key: torch.lerp(start[key], value, share) if value.is_floating_point() else value
        for key, value in end.items()
    }


def draw() -> None:
    """A panel for each scale: what is learned against what is forgotten, a line from the base to each model."""
    import pandas as pd

    from gpt2_shakespeare.report.pictures.style import (  # matplotlib, whatever MPLBACKEND names
        PALETTE,
        Figure,
    )

    table = pd.read_csv(OUT).drop_duplicates(
        ["scale", "row", "variant", "rehearsal", "epochs", "seed", "share"], keep="last"
    )
    scales = list(dict.fromkeys(table["scale"]))
    figure = Figure(figsize=(8.5, 5.2 * len(scales)), dpi=110, layout="constrained")
    for axes, scale in zip(figure.subplots(len(scales), 1, squeeze=False)[:, 0], scales, strict=True):
        part = table[table["scale"] == scale]
        groups = part.groupby(["row", "label", "rehearsal", "epochs", "share"], sort=False)
        means = groups[["dev_loss", "other_loss"]].mean().reset_index()
        for number, ((row, label, *_), line) in enumerate(
            means.groupby(["row", "label", "rehearsal", "epochs"], sort=False)
        ):
            line, colour = line.sort_values("share"), PALETTE[number % len(PALETTE)]
            name = row if label == "start" else f"{row}, {label}"
            axes.plot(line["dev_loss"], line["other_loss"], ":", color=colour, linewidth=1)
            axes.plot(line["dev_loss"][1:], line["other_loss"][1:], "o", color=colour, label=name)
            for point in line.itertuples():
                if 0 < point.share < 1:
                    axes.annotate(
                        f"{point.share:g}", (point.dev_loss, point.other_loss), xytext=(5, 4),
                        textcoords="offset points", fontsize=8, color=colour,
                    )  # fmt: skip
        start = means[means["share"] == 0].iloc[0]
        axes.plot(start["dev_loss"], start["other_loss"], "s", color="black", markersize=8, label="base")
        axes.set_title(
            f"{scale}: learning goes left, forgetting up; numbers: the share of the way from the base to the model",
            fontsize=10, loc="left",
        )  # fmt: skip
        axes.set_xlabel("dev loss (exact), nats per token")
        axes.set_ylabel(f"loss on {OTHER_TEXTS[part['text'].iloc[0]].lower()}, nats per token")
        axes.legend(fontsize=8, frameon=False)
        axes.grid(color="#e6e6e6")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(OUT.with_suffix(".png"), metadata={"Software": None})


if __name__ == "__main__":
    main()
