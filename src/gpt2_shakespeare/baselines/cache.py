"""A unigram cache of the text so far (Kuhn & De Mori 1990), mixed into any model's probabilities. No torch."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from gpt2_shakespeare.baselines.ngram import loss
from gpt2_shakespeare.tokens.files import Tokens

CACHE_WEIGHTS = (0.02, 0.05, 0.1, 0.15, 0.2)
CACHE_SIZES = (100, 200, 400, 800, 1600, 3200)  # tokens


@dataclass(frozen=True)
class Cache:
    """Mixes a unigram of the last `size` tokens of the text into a model's probabilities, with this weight."""

    weight: float
    size: int

    def mix(self, tokens: Tokens, probabilities: np.ndarray) -> np.ndarray:
        """p of every token but the first by the mixture, given p by the model; both float64 (n - 1,)."""
        counts = np.zeros(int(tokens.max()) + 1)
        own = np.empty(len(probabilities))
        for i, target in enumerate(tokens[1:]):
            counts[tokens[i]] += 1
            if i >= self.size:
                counts[tokens[i - self.size]] -= 1
            own[i] = counts[target] / min(i + 1, self.size)
        return self.weight * own + (1 - self.weight) * probabilities


def best_cache(tokens: Tokens, probabilities: np.ndarray) -> Cache:
    """The cache whose mixture has the lowest loss on these tokens, which should be dev's."""
    caches = [Cache(weight, size) for weight, size in product(CACHE_WEIGHTS, CACHE_SIZES)]
    return min(caches, key=lambda cache: loss(cache.mix(tokens, probabilities)))
