"""Losses of a row that is trained on a share of train, the part nearest to val, with the lowest seed."""

import argparse
import math
import tempfile
from pathlib import Path

from stage import conditions, interruptible, stage
from safetensors.numpy import save_file

from gpt2_shakespeare import disk, params, paths, runtime
from gpt2_shakespeare.measure.losses import exact_losses
from gpt2_shakespeare.model import load_model
from gpt2_shakespeare.params.schema import Training
from gpt2_shakespeare.tokens import tokenizer
from gpt2_shakespeare.tokens.files import DataError, load_tokens
from gpt2_shakespeare.training.checkpoint import Checkpoints
from gpt2_shakespeare.training.plan import starting_model
from gpt2_shakespeare.training.trainer import Trainer


def main() -> None:
    settings = params.load()
    curves, rows = settings.learning_curves, {row.name: row for row in settings.trained_rows}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row", choices=curves.rows, required=True)
    parser.add_argument("--share", choices=curves.shares, type=float, required=True)
    args = parser.parse_args()
    row, seed, share = rows[args.row], min(settings.seeds), args.share
    scale, at = settings.at_scale, paths.Paths(settings.scale)
    machine = runtime.start(scale.runtime)
    encoding = tokenizer.load(at.tokenizer)
    train, dev = (load_tokens(at.tokens(part), encoding.n_vocab) for part in ("train", "dev"))
    model = starting_model(row.settings, encoding, at.base, seed)
    name = f"learning_curve-{row.name}-{share}"
    try:
        trainer = Trainer(
            model, train, dev, less(row.settings, share), row.context,
            seed=seed, machine=machine, label=f"{row.name}, {share:.3g} of train", shapes=tokenizer.shapes(encoding),
        )  # fmt: skip
    except DataError as error:
        raise DataError(f"learning_curves.shares: {share} of train for {row.name}: {error}") from None
    checkpoints = Checkpoints(at.checkpoints(name), trainer.fingerprint(), scale.checkpoint_interval)
    with tempfile.TemporaryDirectory() as folder, conditions(at.log(name), machine):
        with interruptible() as interrupted, checkpoints.lock():
            progress = trainer.run(Path(folder), checkpoints, interrupted)
        machine = runtime.start(scale.runtime.for_evaluation())
        trained = load_model(Path(folder)).to(machine.device)
        val = load_tokens(at.tokens("val"), encoding.n_vocab)
        with machine.autocast():
            losses = {"dev": exact_losses(trained, dev), "val": exact_losses(trained, val)}
    used = len(trainer.train_tokens)
    result = {"tokens": used, "passes": round(progress.tokens / used, 4)}
    result |= {f"{part}_loss": float(each.mean()) for part, each in losses.items()}
    out = at.learned(row.name, share)
    with disk.aside(at.learned(row.name, share, ".safetensors")) as temp:
        save_file({"val": losses["val"].astype("float32")}, temp)
    disk.write_json(out, result, indent=2, sort_keys=True)


def less(settings: Training, share: float) -> Training:
    """The settings of the same training on a share of its text: what counts steps is less by as much."""
    steps = {name: math.ceil(share * getattr(settings, name)) for name in ("warmup_steps", "eval_interval")}
    return settings.model_copy(update={"share": share * settings.share, **steps})


if __name__ == "__main__":
    stage(main)
