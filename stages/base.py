"""The pretrained model that fine-tuning starts from: what `download` brought, a user's own, or pretrained here."""

from pathlib import Path

from stage import TEXTS, conditions, described, in_processes, no_arguments, stage, train_into
from progress import working

from gpt2_shakespeare import disk, params, paths, runtime
from gpt2_shakespeare.model import ModelError, load_model
from gpt2_shakespeare.model.card import card
from gpt2_shakespeare.model.complete import complete
from gpt2_shakespeare.model.pretrained import Pretrained
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
    disk.remove(at.base)
    with disk.aside(at.base, folder=True) as out, conditions(at.log("base"), machine), working("base"):
        folder = base_folder(settings, at)
        gguf = folder / paths.GGUF
        model = Pretrained.from_gguf(gguf) if gguf.exists() else load_model(folder)
        if not fits(encoding, model.vocab_size):
            raise ModelError(
                f"{folder}: the base has {model.vocab_size} token types and the tokenizer {vocab_size}; "
                "for a base with tokens of its own set tokenizer.source to base and leave vocab_size out"
            )
        longest = max(row.settings.longest_window for row in settings.trained_rows if row.needs_base)
        if model.block_size < longest:
            raise ModelError(
                f"{folder}: the base has block_size {model.block_size}, and a row is fine-tuned on windows of "
                f"{longest}; lower that row's block_size"
            )
        hugging_face.refuse_other(folder, encoding)
        if isinstance(model, Pretrained):
            model.block_size = scale.model.block_size
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
