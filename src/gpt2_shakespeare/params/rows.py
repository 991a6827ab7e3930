"""The rows of the table: what params.yaml declares, and the rows that are always there."""

from dataclasses import dataclass
from typing import Literal

from gpt2_shakespeare.params.schema import Context, FineTuning, FromScratch

Kind = Literal[
    "baseline", "base", "scratch", "random", "finetune", "lora", "ensemble", "adapting"
]  # fmt: skip
BASELINES = ("unigram", "trigram", "trigram_cache", "ppmd", "counting")
RESERVED = (*BASELINES, "base", "human")  # always there; `human` is val itself, among the texts


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the table.

    Args:
        kind: `scratch` is trained from random weights, `random` too but in the base's shape, `finetune` and `lora`
            from the base; a `baseline` counts n-grams; an `ensemble` averages the probabilities of another row's seeds;
            an `adapting` row has another row's models go on learning from what they have predicted.
        of: the row whose seeds an ensemble averages, or whose models go on learning.
        way: in which these do.
        cached: whether the ensemble is mixed with a cache of the text so far.
        settings: of a trained row.
    """

    name: str
    kind: Kind
    of: str = ""
    way: str = ""
    cached: bool = False
    settings: FromScratch | FineTuning | None = None

    @property
    def trained(self) -> bool:
        """Whether it is trained here, once with each seed."""
        return self.kind == "scratch" or self.needs_base

    @property
    def from_base(self) -> bool:
        """Whether its training starts from the base's weights."""
        return self.kind in ("finetune", "lora")

    @property
    def needs_base(self) -> bool:
        """Whether its training needs the base, for its weights or its shape: the rows of `rows.finetune`."""
        return self.from_base or self.kind == "random"

    @property
    def has_model(self) -> bool:
        """Whether it is a single model, which can be sampled."""
        return self.trained or self.kind == "base"


@dataclass(frozen=True, kw_only=True)
class TrainedRow(Row):
    """A row that is trained here.

    Args:
        epochs: walks over the windows, of a row of `rows.finetune`.
    """

    settings: FromScratch | FineTuning
    epochs: int = 1

    @property
    def context(self) -> list[Context]:
        """The phases of its training."""
        if isinstance(self.settings, FromScratch):
            return self.settings.context
        return [Context(block_size=self.settings.block_size, epochs=self.epochs)]
