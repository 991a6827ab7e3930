"""A language model mixed with counting, at the level of bytes. No torch.

The text is a sequence of decisions (trie.py). For each one a logistic mixer (Mahoney 2005, as in PAQ) joins what the
models say with what was counted so far under contexts: the last 0 to 7 bytes, words, tokens, the speaker, the line, the
longest repeat. First it predicts, then it learns: counts, mixing weights and final maps all go on learning through the
text that is measured, and nothing of that text is known before it is predicted.
"""

from collections.abc import Sequence

import numpy as np

from gpt2_shakespeare.adapting import kernel
from gpt2_shakespeare.adapting.state import Rates, State, count_models, empty, last_weights
from gpt2_shakespeare.adapting.trie import Trie
from gpt2_shakespeare.tokens.files import Tokens

RATES = Rates(
    first=0.02, least=0.001, fall=100_000.0, join=0.002, last=0.002, map=250, slot=250, final=0.02, share=0.4
)
START = 0.08
TRUSTS = (0.1, 0.4, 0.9)  # what the models' weight may be at the start, as against the counts'
SURE = 20.0  # no model is taken to be surer than this, as log(p / (1 - p))


class Mixture:
    """What has been read so far, and what it says of the text that follows.

    Args:
        vocabulary: the bytes of each token, by its id.
        n_bytes: of all that will be read, about: sizes the tables.

    Raises:
        TrieError: a token is empty, or two are the same.
    """

    def __init__(self, vocabulary: Sequence[bytes], n_bytes: int, rates: Rates = RATES):
        self.trie, self.rates = Trie(vocabulary), rates
        log_size = min(max(int(n_bytes).bit_length() + 1, 12), 22)
        self.state = empty(log_size, START)

    def read(self, tokens: Tokens, shares: np.ndarray | None = None) -> np.ndarray:
        """Predict a text that follows what was read, and learn it.

        Args:
            shares: each model's probability of a 1 at each decision (models, decisions); None for a text that the
                models were trained on.

        Returns:
            -log p of every token, in nats, float64 (n,).
        """
        walk = self.trie.walk(tokens)
        stretched = np.empty((0, len(walk.bit)), np.float32)
        if shares is not None:
            if not self.state.last.size:
                self.state = self.state._replace(last=last_weights(len(shares), TRUSTS[1]))
            if shares.shape != (self.models, len(walk.bit)):
                raise ValueError(
                    f"shares {shares.shape} are not of {self.models} models, {len(walk.bit)} decisions"
                )
            with np.errstate(divide="ignore"):
                stretched = np.clip(np.log(shares) - np.log1p(-shares), -SURE, SURE).astype(np.float32)
        text = self.trie.text(tokens)
        self.state = self.state._replace(
            text=np.concatenate([self.state.text, text]),
            ends=np.concatenate([self.state.ends, np.zeros(len(text), np.uint8)]),
        )
        lengths = self.trie.lengths(tokens)
        ids = tokens.astype(np.int64)
        return kernel.read(
            self.state, ids, lengths, (walk.first, walk.bit, walk.node, walk.depth), stretched, self.rates
        )

    @property
    def models(self) -> int:
        """The number of models that are mixed in."""
        return count_models(self.state.last)

    def mixed_with(self, tokens: Tokens, shares: np.ndarray) -> tuple["Mixture", np.ndarray, float]:
        """Begin to mix models in, with the trust in them that gives this text the lowest loss.

        Args:
            tokens: dev; shares: as `read` takes them.

        Returns:
            the mixture that has read the text, the losses of its tokens, and the trust.
        """
        best: tuple[Mixture, np.ndarray, float] | None = None
        for trust in TRUSTS:
            one = self.copy()
            one.state = one.state._replace(last=last_weights(len(shares), trust))
            losses = one.read(tokens, shares)
            if best is None or losses.sum() < best[1].sum():
                best = one, losses, trust
        assert best
        return best

    def copy(self) -> "Mixture":
        """The same, which goes on by itself."""
        other = object.__new__(Mixture)
        other.trie, other.rates = self.trie, self.rates
        other.state = State(*(array.copy() for array in self.state))
        return other
