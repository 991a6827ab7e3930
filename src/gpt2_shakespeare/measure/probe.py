"""What fine-tuning is asked again and again while it trains, besides its losses."""

from collections.abc import Mapping

from gpt2_shakespeare.measure.forgetting import Forgetting
from gpt2_shakespeare.measure.names import Names, name_probe
from gpt2_shakespeare.model import LanguageModel
from gpt2_shakespeare.tokens.files import Tokens
from gpt2_shakespeare.tokens.tokenizer import Encoding


class Probe:
    """What a model has forgotten of other texts (`Forgetting`), and whether it starts a speaker's turn in them (`Names`).

    Args:
        base: that it starts from, not changed.
        train: its training text.
        texts: texts of other kinds, by name.
        max_tokens: of each of them.

    Raises:
        DataError: a text is too short for one window.
    """

    def __init__(
        self,
        base: LanguageModel,
        encoding: Encoding,
        train: Tokens,
        texts: Mapping[str, Tokens],
        max_tokens: int,
    ):
        self.texts = texts
        self.forgetting = Forgetting(base, texts, max_tokens)
        self.names = Names(*name_probe(encoding, train, texts.values()))

    def __call__(self, model: LanguageModel) -> dict[str, float]:
        return self.forgetting.measure(model) | self.names.measure(model)
