"""The rows of the table: what params.yaml declares, and the rows that are always there."""

from dataclasses import dataclass
from typing import Literal

from gpt2_shakespeare.params.schema import FineTuning, FromScratch

Kind = Literal["baseline", "base", "scratch", "finetune", "lora", "ensemble"]
BASELINES = ("unigram", "trigram", "trigram_cache")
ALWAYS = (*BASELINES, "base", "finetune")  # rows that no list of params.yaml names
RESERVED = (*ALWAYS, "human")  # `human` is val itself, among the texts


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Args:
        kind: `scratch` is trained from random weights, `finetune` and `lora` from the base; a `baseline` counts
            n-grams; an `ensemble` averages the probabilities of another row's seeds.
        settings: of a trained row.
        epochs: of a row that is trained from the base: walks over its windows.
        of: the row whose seeds an ensemble averages.
        cached: whether the ensemble is mixed with a cache of the text so far.
    """

    name: str
    kind: Kind
    settings: FromScratch | FineTuning | None = None
    epochs: int | None = None
    of: str = ""
    cached: bool = False

    @property
    def trained(self) -> bool:
        """Whether it is trained here, once with each seed."""
        return self.kind in ("scratch", "finetune", "lora")

    @property
    def from_base(self) -> bool:
        return self.kind in ("finetune", "lora")

    @property
    def has_model(self) -> bool:
        """Whether it is a single model, that can be sampled."""
        return self.trained or self.kind == "base"
