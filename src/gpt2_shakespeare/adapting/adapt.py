"""Losses of models that go on learning from what they have predicted, in the ways of params.yaml's `adapting`.

Everything is chosen on dev: the rate of dynamic evaluation, and how far the mixture trusts the models at its start.
The mixture counts train, learns its weights on dev, and goes on through val.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from gpt2_shakespeare.adapting.distributions import Dynamic, Statistics, best_dynamic, dynamic_losses, shares
from gpt2_shakespeare.adapting.mixture import Mixture
from gpt2_shakespeare.model import LanguageModel
from gpt2_shakespeare.tokens.files import Tokens

PARTS = ("dev", "val")


def adapted(
    models: Sequence[LanguageModel], vocabulary: Sequence[bytes], tokens: Mapping[str, Tokens], way: str
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Losses of dev and val, and what was chosen.

    Args:
        models: of one row, trained on the same text; one, or those of all seeds.
        vocabulary: the bytes of each token, by its id.
        tokens: of train, dev and val.
        way: its last word counts: `dynamic`, `mixed` or `both`.

    Returns:
        -log p of every token of dev and val but the first, in nats, float64 (n - 1,); and the settings chosen on dev.

    Raises:
        DataError: a text has fewer than two tokens, or train no window.
        ModelError: a probability is not finite.
    """
    last, facts = way.rpartition("_")[2], dict[str, float]()
    learning: list[tuple[Dynamic, Statistics] | None] = [None] * len(models)
    if last != "mixed":
        statistics = [Statistics(model, tokens["train"]) for model in models]
        best = best_dynamic(models[0], statistics[0], tokens["dev"])
        learning = [(best, each) for each in statistics]
        facts |= {"dynamic_rate": best.rate, "dynamic_decay": best.decay}
    if last == "dynamic":
        return {part: dynamic_losses(models, tokens[part], learning) for part in PARTS}, facts
    mixture = Mixture(vocabulary, sum(len(vocabulary[token]) for part in tokens.values() for token in part))
    mixture.read(tokens["train"])
    given = {
        part: shares(models, mixture.trie, mixture.trie.walk(tokens[part]), tokens[part], learning)
        for part in PARTS
    }
    mixture, losses, facts["mixture_trust"] = mixture.mixed_with(tokens["dev"], given["dev"])
    return {"dev": losses[1:], "val": mixture.read(tokens["val"], given["val"])[1:]}, facts
