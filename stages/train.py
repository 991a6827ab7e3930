"""Train one row of the table with one seed: from random weights, or from the base."""

from stage import TEXTS, described, in_processes, row_and_seed, stage, train_into

from gpt2_shakespeare import params, paths, runtime
from gpt2_shakespeare.measure.probe import Probe
from gpt2_shakespeare.model import load_model
from gpt2_shakespeare.tokens import tokenizer
from gpt2_shakespeare.tokens.files import load_tokens
from gpt2_shakespeare.training.plan import starting_model
from gpt2_shakespeare.training.trainer import Trainer


def main() -> None:
    settings = params.load()
    row, seed = row_and_seed(__doc__, settings.trained_rows)
    scale, at = settings.at_scale, paths.Paths(settings.scale)
    in_processes(scale.runtime.processes)
    machine = runtime.start(scale.runtime)
    encoding = tokenizer.load(at.tokenizer)
    vocab_size = encoding.n_vocab
    train, dev = (load_tokens(at.tokens(part), vocab_size) for part in ("train", "dev"))
    model = starting_model(row.settings, encoding, at.base, seed)
    probe = None
    if row.from_base:
        texts = {file.stem: load_tokens(file, vocab_size) for file in sorted(at.other_tokens.glob("*.npy"))}
        base = load_model(at.base).to(machine.device)
        probe = Probe(base, encoding, train, texts, row.settings.eval_tokens)

    trainer = Trainer(
        model, train, dev, row.settings, row.context,
        seed=seed, machine=machine, label=f"{row.name} {seed}", shapes=tokenizer.shapes(encoding), probe=probe,
    )  # fmt: skip
    about = (TEXTS[scale.corpus], described(scale.base) if row.from_base else "random weights")
    out, history = at.model(row.name, seed), at.history(row.name, seed)
    train_into(out, trainer, at, f"{row.name}-{seed}", scale.checkpoint_interval, about, history)


if __name__ == "__main__":
    stage(main)
