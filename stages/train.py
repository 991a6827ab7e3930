"""Train one row of the table with one seed: from random weights, or from the base."""

import argparse

from stage import in_processes, stage, train_into

from gpt2_shakespeare import paths, runtime
from gpt2_shakespeare.measure import kinds, losses
from gpt2_shakespeare.model import GPT
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.tokens import data
from gpt2_shakespeare.tokens.tokenizer import load as load_tokenizer
from gpt2_shakespeare.tokens.tokenizer import shapes
from gpt2_shakespeare.training.trainer import Trainer, starting_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row", choices=schema.TRAINED_ROWS)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--epochs", type=int, help="of a fine-tuned row")
    args = parser.parse_args()

    params = schema.load()
    scale, at = params.at_scale, paths.Paths(params.scale)
    in_processes(scale.runtime.processes)
    machine = runtime.start(scale.runtime)
    encoding = load_tokenizer(at.tokenizer)
    vocab_size = encoding.n_vocab
    train, dev = (data.load_tokens(at.tokens(part), vocab_size) for part in ("train", "dev"))
    section, epochs = schema.TRAINED_ROWS[args.row]
    settings: schema.FromScratch | schema.FineTuning = getattr(scale, section)
    model = starting_model(settings, encoding, at.base, args.seed)
    probe = None
    if isinstance(settings, schema.FromScratch):
        context = settings.context
    else:
        planned = {"epochs": params.epochs, "long_epochs": params.long_epochs}[epochs or "epochs"]
        walks = planned if args.epochs is None else args.epochs
        if walks < 1:
            raise schema.ParamsError(f"--epochs: {walks} is not a positive number")
        context = [schema.Context(block_size=settings.block_size, epochs=walks)]
        texts = {
            file.stem: data.load_tokens(file, vocab_size) for file in sorted(at.other_tokens.glob("*.npy"))
        }
        base = GPT.from_pretrained(at.base).to(machine.device)
        forgetting = losses.Forgetting(base, texts, settings.eval_tokens)
        names = losses.Names(*kinds.name_probe(encoding, train, texts.values()))

        def probe(model: GPT) -> dict[str, float]:
            return forgetting.measure(model) | names.measure(model)

    name = f"{args.row}-{args.seed}"
    trainer = Trainer(
        model, train, dev, settings, context,
        seed=args.seed, machine=machine, label=name.replace("-", " "), shapes=shapes(encoding), probe=probe,
    )  # fmt: skip
    train_into(at.model(args.row, args.seed), trainer, at, name, scale.checkpoint_interval)


if __name__ == "__main__":
    stage(main)
