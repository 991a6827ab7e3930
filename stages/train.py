"""Train one row of the table with one seed: from random weights, or from the base."""

import argparse

from stage import in_processes, stage, train_into

from gpt2_shakespeare import config, data, paths, runtime
from gpt2_shakespeare.model import GPT
from gpt2_shakespeare.tokenizer import load as load_tokenizer
from gpt2_shakespeare.train import Trainer, new_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row", choices=config.TRAINED_ROWS)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--epochs", type=int, help="of a fine-tuned row")
    args = parser.parse_args()

    params = config.load()
    scale, at = params.at_scale, paths.Paths(params.scale)
    in_processes(scale.runtime.processes)
    machine = runtime.start(scale.runtime)
    vocab_size = load_tokenizer(at.tokenizer).n_vocab
    train, dev = (data.load_tokens(at.tokens(part), vocab_size) for part in ("train", "dev"))
    settings: config.FromScratch | config.FineTuning
    section, epochs = config.TRAINED_ROWS[args.row]
    if section == "scratch":
        settings, context = scale.scratch, scale.scratch.context
        model = new_model(settings, vocab_size, args.seed)
    else:
        settings = scale.finetune
        planned = {"epochs": params.epochs, "long_epochs": params.long_epochs}[epochs or "epochs"]
        walks = planned if args.epochs is None else args.epochs
        if walks < 1:
            raise config.ConfigError(f"--epochs: {walks} is not a positive number")
        context = [config.Context(block_size=settings.block_size, epochs=walks)]
        model = GPT.from_pretrained(at.base, **settings.dropouts())

    name = f"{args.row}-{args.seed}"
    trainer = Trainer(
        model, train, dev, settings, context,
        seed=args.seed, machine=machine, label=name.replace("-", " "),
    )  # fmt: skip
    train_into(at.model(args.row, args.seed), trainer, at, name, scale.checkpoint_interval)


if __name__ == "__main__":
    stage(main)
