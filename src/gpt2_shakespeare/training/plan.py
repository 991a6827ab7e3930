"""What a training run is going to do: the model it starts from, and its phases."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gpt2_shakespeare import runtime
from gpt2_shakespeare.model import GPT, GPTConfig, LanguageModel, load_model
from gpt2_shakespeare.model.gpt import INIT_STD
from gpt2_shakespeare.model.load import random_model
from gpt2_shakespeare.model.lora import add_lora
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.tokens import tokenizer
from gpt2_shakespeare.tokens.batches import Batches
from gpt2_shakespeare.tokens.files import Tokens
from gpt2_shakespeare.tokens.renaming import Renaming
from gpt2_shakespeare.tokens.tokenizer import Encoding


def new_model(settings: schema.FromScratch, vocab_size: int, seed: int) -> GPT:
    """A GPT-2 of the settings' shape with random weights, which are a function of the seed."""
    runtime.seed_step(seed, 0)
    shape = GPTConfig(vocab_size=vocab_size, **settings.model.model_dump())
    return GPT(dataclasses.replace(shape, **settings.dropouts()))  # type: ignore[arg-type]


def starting_model(
    settings: schema.FromScratch | schema.FineTuning, encoding: Encoding, base: Path, seed: int
) -> LanguageModel:
    """The model that a row's training starts from: random weights, in a shape of its own or in the base's, or the base.

    LoRA adds adapters.

    Raises:
        ModelError: the base can't be read, or can't honour a setting.
    """
    model: LanguageModel
    if isinstance(settings, schema.FromScratch):
        model, std = new_model(settings, encoding.n_vocab, seed), INIT_STD
    elif isinstance(settings, schema.SameShape):
        runtime.seed_step(seed, 0)
        model, std = random_model(base, **settings.dropouts()), INIT_STD
    else:  # the base's embedding is trained already, so the spellings' part starts at zero
        model, std = load_model(base, **settings.dropouts()), 0.0
    if isinstance(settings, schema.LoRA):
        runtime.seed_step(seed, 0)
        add_lora(model, settings.rank, settings.alpha)
    if settings.spelling:
        model.add_spelling(*tokenizer.spelling(encoding), std)
    return model


@dataclass(frozen=True)
class Phase:
    """A part of a run at one context length.

    Args:
        batches: those of its steps, from 0 on.
        start: its first step in the learning-rate schedule, which spans all phases.
        steps: planned steps; early stopping may end it before.
        epochs: planned walks over the windows.
    """

    batches: Batches
    start: int
    steps: int
    epochs: float

    def is_probed(self, step: int) -> bool:
        """Whether `step` steps end an epoch, or a quarter of the first epoch, in which a model learns most."""
        epoch = self.batches.steps(1)
        return step % epoch == 0 or step in (epoch // 4, epoch // 2, 3 * epoch // 4)

    def epochs_after(self, step: int) -> float:
        """Walks over the windows in `step` steps. What fills up the last batch is not counted."""
        return min(self.epochs, step * self.batches.batch_size / len(self.batches.starts))


def plan(
    tokens: Tokens,
    settings: schema.Training,
    context: Sequence[schema.Context],
    seed: int,
    shapes: np.ndarray | None = None,
) -> list[Phase]:
    """The phases of a run, one for each entry of `context`.

    Args:
        tokens: the training text.
        shapes: of the token types (`tokenizer.shapes`), needed if the settings ask for renaming.

    Raises:
        DataError: the text is shorter than a window.
        schema.ParamsError: a step takes more windows than a phase's epochs have, or no window is as long as the stride.
    """
    renaming = None
    if settings.renaming:
        if shapes is None:
            raise ValueError("renaming needs the shapes of the token types")
        renaming = Renaming(tokens, shapes, settings.renaming.share, settings.renaming.below)
    longest = max(part.block_size for part in context)
    if settings.stride and settings.stride > longest:
        raise schema.ParamsError(
            f"stride: {settings.stride} is above block_size {longest} and would leave out tokens; leave it empty for windows "
            "side by side"
        )
    per_step = settings.batch_size * settings.grad_accum_steps
    batches = [
        Batches(
            tokens, part.block_size, min(settings.stride or part.block_size, part.block_size), per_step, seed,
            random_offsets=settings.random_offsets, renaming=renaming,
        )
        for part in context
    ]  # fmt: skip
    phases, start = [], 0
    for part, each in zip(context, batches, strict=True):
        windows = len(each.starts)
        if per_step > round(windows * part.epochs):
            raise schema.ParamsError(
                f"batch_size, grad_accum_steps: a step of {settings.batch_size} × {settings.grad_accum_steps} windows is more "
                f"than a whole phase (block_size {part.block_size}: {windows} windows; epochs: {part.epochs:g}); lower them "
                "or raise epochs"
            )
        phases.append(Phase(each, start, each.steps(part.epochs), part.epochs))
        start += phases[-1].steps
    return phases
