"""How often a model starts a turn of one of train's speakers in a text that has none of them."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from gpt2_shakespeare.measure.kinds import headings, text_of
from gpt2_shakespeare.model import LanguageModel
from gpt2_shakespeare.model.language_model import Cache
from gpt2_shakespeare.model.loss import token_losses
from gpt2_shakespeare.runtime import evaluating
from gpt2_shakespeare.tokens.files import Tokens
from gpt2_shakespeare.tokens.tokenizer import Encoding

NEUTRAL_PROMPTS, NEUTRAL_TOKENS = 4, 16  # prompts from each text of another kind, and the length of each
TOKENS_PER_BATCH = 16_384  # of a forward pass; the speakers of Tiny Shakespeare fit into one


def name_probe(
    encoding: Encoding, train: Tokens, others: Iterable[Tokens]
) -> tuple[list[list[int]], np.ndarray]:
    """The arguments of `Names`: train's headings in alphabetical order, and neutral prompts.

    A prompt is a piece of a text of another kind and what train has before a heading: an empty line, and where its
    headings are indented the white space before them. Of several indents the most frequent one counts.

    Args:
        train: the text whose headings are taken.
        others: texts of other kinds; those shorter than a prompt give none.
    """
    text, starts = text_of(encoding, train)
    found: dict[bytes, set[tuple[bytes, tuple[int, ...]]]] = {}  # by indent: headings, each with its tokens
    before: Counter[tuple[bytes, tuple[int, ...]]] = (
        Counter()
    )  # indents, and the tokens from the empty line on
    for (first, last), name in headings(text).items():
        indent = name[: len(name) - len(name.lstrip())]
        # The tokens are train's own. Encoded by itself a heading may have others: a space before its first letter
        # belongs to the word, other white space to the empty line, and its line end to the next line's indent.
        word = np.searchsorted(starts, first + len(indent.removesuffix(b" ")))
        line, end = np.searchsorted(starts, (first - 2, last), side="right")
        found.setdefault(indent, set()).add((name, tuple(train[word:end].tolist())))
        before[indent, tuple(train[max(0, line - 1) : word].tolist())] += first > 0
    indent, gap = b"", tuple(encoding.encode_ordinary("\n\nA")[:-1])
    if before.total():
        (indent, gap), _ = before.most_common(1)[0]
    pieces = [
        np.r_[text[start : start + NEUTRAL_TOKENS], gap]
        for text in others
        for start in np.linspace(0, len(text) - NEUTRAL_TOKENS, NEUTRAL_PROMPTS).astype(int)
        if len(text) >= NEUTRAL_TOKENS
    ]
    prompts = np.array(pieces, dtype=np.int64).reshape(-1, NEUTRAL_TOKENS + len(gap))
    return [list(tokens) for _, tokens in sorted(found.get(indent, ()))], prompts


class Names:
    """The probability that a model continues neutral prompts with one of some headings.

    Args:
        headings: token ids of each, up to the end of its line, so that none is the start of another one.
        prompts: token ids (B, P), each ending where a heading may start.
    """

    def __init__(self, headings: Sequence[Sequence[int]], prompts: np.ndarray):
        self.headings, self.prompts = headings, prompts.astype(np.int64)

    def measure(self, model: LanguageModel) -> dict[str, float]:
        """`p_name`: the probability that a prompt is followed by one of the headings, a mean over the prompts.

        Headings that are longer than what a prompt leaves of the model's block_size are not among them. Empty if there
        are no headings or no prompts.
        """
        room = model.block_size - (self.prompts.shape[1] - 1)
        fitting = [heading for heading in self.headings if len(heading) <= room]
        if not fitting or not len(self.prompts):
            return {}
        some = max(1, TOKENS_PER_BATCH // (self.prompts.shape[1] - 1 + max(map(len, fitting))))
        found = []
        with evaluating(model):
            for prompt in torch.from_numpy(self.prompts).to(model.device):
                cache = model.new_cache(1)
                model.hidden(prompt[None, :-1], cache)  # read once for all headings
                parts = [
                    _log_p(model, cache, prompt[-1:], fitting[i : i + some])
                    for i in range(0, len(fitting), some)
                ]
                found.append(torch.cat(parts).logsumexp(0).exp().item())
        return {"p_name": math.fsum(found) / len(found)}


def _log_p(model: LanguageModel, cache: Cache, last: Tensor, headings: Sequence[Sequence[int]]) -> Tensor:
    """Log of the probability of each heading after the text of the cache and one more token, float64 (N,)."""
    lengths = np.array([len(heading) for heading in headings])
    inside = np.arange(lengths.max()) < lengths[:, None]
    rows = np.zeros(inside.shape, dtype=np.int64)  # padded on the right
    rows[inside] = np.concatenate(headings)
    targets, mask = (torch.from_numpy(each).to(last.device) for each in (rows, inside))
    idx = torch.cat([last.expand(len(headings), 1), targets[:, :-1]], 1)
    hidden = model.hidden(idx, cache.repeated(*idx.shape))
    losses = torch.zeros(mask.shape, dtype=torch.float64, device=last.device)
    losses[mask] = token_losses(hidden[mask], model.table(), targets[mask]).double()
    return losses.sum(1).neg()
