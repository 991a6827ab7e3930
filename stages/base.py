"""The pretrained model that fine-tuning starts from: from the hub, from a folder, or pretrained here."""

from pathlib import Path

from stage import TEXTS, conditions, described, in_processes, no_arguments, stage, train_into

from gpt2_shakespeare import params, paths, runtime
from gpt2_shakespeare.model import GPT, ModelError
from gpt2_shakespeare.model.card import card
from gpt2_shakespeare.model.complete import complete
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.tokens import hugging_face, tokenizer
from gpt2_shakespeare.tokens.files import load_tokens
from gpt2_shakespeare.tokens.json_tokenizer import fits
from gpt2_shakespeare.training.plan import new_model
from gpt2_shakespeare.training.trainer import Trainer


def main() -> None:
    no_arguments(__doc__)
    settings = params.load()
    scale, at = settings.at_scale, paths.Paths(settings.scale)
    if scale.pretraining:
        in_processes(scale.runtime.processes)
    encoding = tokenizer.load(at.tokenizer)
    vocab_size = encoding.n_vocab
    machine = runtime.start(scale.runtime)
    if scale.pretraining:
        trainer = pretraining(scale.pretraining, vocab_size, at, machine)
        about = (TEXTS[str(scale.base.corpus)], "random weights")
        train_into(at.base, trainer, at, "base", scale.checkpoint_interval, about)
        return
    out = paths.fresh(at.base)
    with conditions(at.log("base"), machine):
        folder = base_folder(settings, at)
        model = GPT.from_pretrained(folder)
        if not fits(encoding, model.config.vocab_size):
            raise ModelError(
                f"{folder}: the base has {model.config.vocab_size} token types and the tokenizer {vocab_size}; "
                "for a base with GPT-2's own tokens set tokenizer.source to gpt2 and vocab_size to 50257"
            )
        longest = max(row.settings.longest_window for row in settings.trained_rows if row.from_base)
        if model.config.block_size < longest:
            raise ModelError(
                f"{folder}: the base has block_size {model.config.block_size}, and a row is fine-tuned on windows of "
                f"{longest}; lower that row's block_size"
            )
        hugging_face.refuse_other(folder, encoding)
        model.save_pretrained(out)
        complete(
            out,
            at.tokenizer,
            card(f"{at.scale}: base", "a corpus of others", described(scale.base), None, None),
        )


def base_folder(settings: params.Params, at: paths.Paths) -> Path:
    """The folder that holds the base: the user's own, or what `download` has brought (a GGUF as paths.GGUF)."""
    return Path(settings.base_path) if settings.at_scale.base.source == "path" else at.raw_base


def pretraining(
    settings: schema.Pretraining, vocab_size: int, at: paths.Paths, machine: runtime.Runtime
) -> Trainer:
    """The training of a base on its own corpus; the same trainer as every row's."""
    train, dev = (load_tokens(at.pretrain_tokens / f"{name}.npy", vocab_size) for name in ("train", "dev"))
    model = new_model(settings, vocab_size, paths.BASE_SEED)
    return Trainer(
        model, train, dev, settings, settings.context,
        seed=paths.BASE_SEED, machine=machine, label="base",
    )  # fmt: skip


if __name__ == "__main__":
    stage(main)
