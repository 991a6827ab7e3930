"""How often a model starts a turn of one of train's speakers in a text that has none of them."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import tiktoken
import torch

from gpt2_shakespeare.measure.kinds import headings, text_of
from gpt2_shakespeare.model import GPT
from gpt2_shakespeare.model.loss import token_losses
from gpt2_shakespeare.runtime import evaluating
from gpt2_shakespeare.tokens.files import Tokens

NEUTRAL_PROMPTS, NEUTRAL_TOKENS = 4, 16  # prompts from each text of another kind, and the length of each


def name_probe(
    encoding: tiktoken.Encoding, train: Tokens, others: Iterable[Tokens]
) -> tuple[list[list[int]], np.ndarray]:
    """The arguments of `Names`: train's headings in alphabetical order, and neutral prompts.

    A prompt is a piece of a text of another kind and an empty line, after which a turn might start.

    Args:
        train: the text whose headings are taken.
        others: texts of other kinds; those shorter than a prompt give none.
    """
    names = sorted(set(headings(text_of(encoding, train)[0]).values()))
    # each is encoded with the empty line before it, as in the text, because that changes its tokens
    gap = encoding.encode_ordinary("\n\nA")[:-1]
    found = [encoding.encode_ordinary(f"\n\n{name.decode(errors='replace')}\n")[len(gap) :] for name in names]
    pieces = [
        np.r_[text[start : start + NEUTRAL_TOKENS], gap]
        for text in others
        for start in np.linspace(0, len(text) - NEUTRAL_TOKENS, NEUTRAL_PROMPTS).astype(int)
        if len(text) >= NEUTRAL_TOKENS
    ]
    return found, np.array(pieces, dtype=np.int64).reshape(-1, NEUTRAL_TOKENS + len(gap))


class Names:
    """The probability that a model continues neutral prompts with one of some headings.

    Args:
        headings: token ids of each, up to the end of its line, so that none is the start of another one.
        prompts: token ids (B, P), each ending where a heading may start.
    """

    def __init__(self, headings: Sequence[Sequence[int]], prompts: np.ndarray):
        self.lengths = np.array([len(heading) for heading in headings], dtype=int)
        longest = self.lengths.max(initial=0)
        self.headings = np.zeros((len(headings), longest), dtype=np.int64)  # padded on the right
        for row, heading in zip(self.headings, headings, strict=True):
            row[: len(heading)] = heading
        self.prompts = prompts.astype(np.int64)

    def measure(self, model: GPT) -> dict[str, float]:
        """`p_name`: the probability that a prompt is followed by one of the headings, a mean over the prompts.

        Empty if there are no headings or no prompts, or if the two together are longer than the model's block_size.
        """
        start, longest = self.prompts.shape[1] - 1, self.headings.shape[1]
        if not self.headings.size or not self.prompts.size or start + longest > model.config.block_size:
            return {}
        device = model.transformer.wte.weight.device
        inside = torch.from_numpy(np.arange(longest) < self.lengths[:, None]).to(device)
        found = []
        with evaluating(model):
            table = model.table()
            for prompt in self.prompts:
                rows = np.concatenate([np.tile(prompt, (len(self.headings), 1)), self.headings], axis=1)
                idx = torch.from_numpy(rows).to(device)
                hidden, targets = model.hidden(idx[:, :-1])[:, start:], idx[:, start + 1 :]
                losses = torch.zeros(inside.shape, dtype=torch.float64, device=device)
                losses[inside] = token_losses(hidden[inside], table, targets[inside]).double()
                found.append(losses.sum(1).neg().logsumexp(0).exp().item())
        return {"p_name": math.fsum(found) / len(found)}
