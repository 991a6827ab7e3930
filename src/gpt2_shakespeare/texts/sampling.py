"""Sampling from a model: temperature and top-p, with a KV cache and a random generator for each text."""

import codecs
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gpt2_shakespeare.model import LanguageModel, ModelError
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.runtime import evaluating
from gpt2_shakespeare.texts import memorisation
from gpt2_shakespeare.tokens.files import Tokens
from gpt2_shakespeare.tokens.tokenizer import Encoding

CANDIDATES = (128, 1024, 8192)  # tokens that are enough for top_p often, nearly always, and almost certainly
COPIED = 8  # tokens word for word as in train that are called copied
BATCH = 32  # texts sampled at once; memory depends on it, the texts don't


def generate(
    model: LanguageModel,
    idx: Tensor,
    max_new_tokens: int,
    *,
    temperature: float = 0.8,
    top_p: float = 0.9,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
    drawn: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """Continue every row of idx by max_new_tokens tokens.

    When the context reaches block_size tokens, its last block_size / 2 tokens are kept and generation continues from
    them.

    Args:
        idx: prompts (B, T), T >= 1; of a prompt longer than block_size only the end is read.
        temperature: divides the logits; 0 takes the likeliest token (greedy).
        top_p: draw from the smallest set of tokens with at least this probability (Holtzman et al. 2020);
            1 draws from all tokens.
        generator: one for all rows, or one for each row; then a row's text doesn't depend on the batch it is in.
            They are CPU generators, whatever the model's device.
        drawn: is called with the new tokens (B, 1) of each step.

    Returns:
        (B, T + max_new_tokens), the prompts included.

    Raises:
        ValueError: an empty prompt, a temperature below 0, a top_p outside (0, 1], or a sequence of generators that
            has not one for each row.
        ModelError: the model's logits are not finite.
    """
    if idx.size(1) < 1:
        raise ValueError("the prompt is empty; a continuation needs at least one token")
    if not temperature >= 0 or not 0 < top_p <= 1:
        raise ValueError(f"temperature {temperature} must be >= 0 and top_p {top_p} in (0, 1]")
    if isinstance(generator, Sequence) and len(generator) != idx.size(0):
        raise ValueError(f"{len(generator)} generators for {idx.size(0)} rows")
    block_size = model.block_size
    with evaluating(model):
        cache, new = model.new_cache(idx.size(0)), idx[:, -block_size:]
        for _ in range(max_new_tokens):
            if cache.length + new.size(1) > block_size:
                cache, new = model.new_cache(idx.size(0)), idx[:, -max(1, block_size // 2) :]
            logits = F.linear(model.hidden(new, cache)[:, -1], model.table())
            if not logits.sum().isfinite():
                raise ModelError(
                    f"{model.name}: the logits of token {idx.size(1)} are not finite, so no text can be sampled; the "
                    "model's weights are too large for its precision, or broken"
                )
            # on the CPU, so that draws don't depend on the device; and cumsum is not deterministic on a GPU
            new = draw(logits.float().cpu(), temperature, top_p, generator).to(idx.device)
            idx = torch.cat((idx, new), dim=1)
            if drawn:
                drawn(new)
    return idx


def continuations(
    model: LanguageModel,
    encoding: Encoding,
    prompt: str,
    seeds: Sequence[int],
    settings: schema.Sampling,
) -> list[str]:
    """One continuation of the prompt for each seed, without the prompt; of an empty one, from the end-of-text token."""
    return [encoding.decode(row) for row in _ids(model, encoding, prompt, seeds, settings).tolist()]


def written(
    model: LanguageModel,
    encoding: Encoding,
    prompt: str,
    seed: int,
    settings: schema.Sampling,
    write: Callable[[str], object],
) -> None:
    """Hand the text that `continuations` gives for this seed to `write`, piece by piece, while it is drawn.

    No piece ends inside a character.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def drawn(new: Tensor) -> None:
        if piece := decoder.decode(encoding.decode_bytes(new[0].tolist())):
            write(piece)

    _ids(model, encoding, prompt, [seed], settings, drawn)
    if piece := decoder.decode(b"", final=True):
        write(piece)


def for_prompts(
    model: LanguageModel, encoding: Encoding, settings: schema.Sampling, train: Tokens
) -> list[dict[str, Any]]:
    """samples_per_prompt continuations of every prompt, each with its prompt and a seed of its own.

    Args:
        train: the text in which copied stretches are looked for, (n,).

    Returns:
        prompt, seed, text, and `copied`: where at least COPIED tokens stand in train word for word, as pairs of the
        first character and the one after the last.
    """
    found: list[dict[str, Any]] = []
    for number, prompt in enumerate(settings.prompts):
        seeds = [settings.seed + 1000 * number + n for n in range(settings.samples_per_prompt)]
        ids = _ids(model, encoding, prompt, seeds, settings)
        for seed, row, lengths in zip(seeds, ids.tolist(), memorisation.matches(ids, train), strict=True):
            copied = [
                [len(encoding.decode(row[:place])) for place in stretch]
                for stretch in memorisation.stretches(lengths, COPIED)
            ]
            found.append({"prompt": prompt, "seed": seed, "text": encoding.decode(row), "copied": copied})
    return found


def _ids(
    model: LanguageModel,
    encoding: Encoding,
    prompt: str,
    seeds: Sequence[int],
    settings: schema.Sampling,
    drawn: Callable[[Tensor], None] | None = None,
) -> np.ndarray:
    """Token ids of a continuation for each seed, without the prompt, (B, max_new_tokens)."""
    device = model.device
    ids = torch.tensor([encoding.encode_ordinary(prompt) or [encoding.eot_token]] * len(seeds), device=device)
    tokens = generate(
        model,
        ids,
        settings.max_new_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        drawn=drawn,
    )
    return tokens[:, ids.size(1) :].cpu().numpy()


def samples(
    model: LanguageModel,
    prompts: np.ndarray,
    max_new_tokens: int,
    *,
    temperature: float,
    top_p: float,
    seed: int,
) -> np.ndarray:
    """Continuations of prompts, without the prompts: (B, T) -> (B, max_new_tokens), int64.

    The first text is drawn with this seed, the second with the next one, and so on.
    """
    device, parts = model.device, []
    for first in range(0, len(prompts), BATCH):
        idx = torch.from_numpy(prompts[first : first + BATCH]).to(device)
        texts = generate(
            model,
            idx,
            max_new_tokens,
            temperature=temperature,
            top_p=top_p,
            generator=[torch.Generator().manual_seed(seed + first + n) for n in range(len(idx))],
        )
        parts.append(texts[:, idx.size(1) :].cpu().numpy())
    return np.concatenate(parts)


def draw(
    logits: Tensor,
    temperature: float,
    top_p: float,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
) -> Tensor:
    """Draw one token id for each row of logits: (B, vocab_size) -> (B, 1), on the CPU."""
    if temperature == 0:
        return logits.argmax(-1, keepdim=True)
    # in float64 and relative to the largest logit, so that no temperature overflows
    scaled = (logits.double() - logits.amax(-1, keepdim=True)).div_(temperature)
    probs = torch.softmax(scaled, dim=-1)
    if isinstance(generator, Sequence):
        uniform = torch.cat([torch.rand(1, 1, generator=each) for each in generator])
    else:
        uniform = torch.rand(len(logits), 1, generator=generator)
    return _nucleus(probs, uniform, top_p, CANDIDATES)


def _nucleus(probs: Tensor, uniform: Tensor, top_p: float, candidates: tuple[int, ...]) -> Tensor:
    """Draw from the likeliest tokens by inverting their cumulative probabilities at `uniform`; (B, 1) token ids.

    Sorting 50,257 probabilities takes longer than the forward pass of a small model. So only a few candidates are
    sorted, and more only for rows in which those have less probability than top_p. With top_p 1 no order is needed.

    Args:
        probs: (B, vocab_size).
        uniform: a random number in [0, 1) for each row, (B, 1).
        candidates: how many of the likeliest tokens to try in turn before all are sorted.
    """
    if top_p == 1:
        return _pick(probs, torch.arange(probs.size(-1)).expand_as(probs), uniform, top_p)
    if not candidates or candidates[0] >= probs.size(-1):
        return _pick(*probs.sort(dim=-1, descending=True, stable=True), uniform, top_p)
    ids = probs.topk(candidates[0], sorted=False).indices.sort(-1).values
    some, order = probs.gather(-1, ids).sort(dim=-1, descending=True, stable=True)
    # tokens as likely as the last candidate may have been left out, so those likelier than it must be enough
    short = some.where(some > some[:, -1:], 0.0).sum(-1) <= top_p
    picked = _pick(some, ids.gather(-1, order), uniform, top_p)
    if short.any():
        picked[short] = _nucleus(probs[short], uniform[short], top_p, candidates[1:])
    return picked


def _pick(probs: Tensor, ids: Tensor, uniform: Tensor, top_p: float) -> Tensor:
    """As `_nucleus`, given sorted probabilities and their ids, of which the smaller comes first in ties."""
    before = probs.cumsum(-1) - probs  # probability of the likelier tokens
    cumulative = probs.masked_fill(before >= top_p, 0.0).cumsum(-1)
    total = cumulative[:, -1:].contiguous()
    place = torch.searchsorted(cumulative, uniform * total, right=True)
    last = torch.searchsorted(cumulative, total)  # if the product is rounded up to the total
    return ids.gather(-1, place.minimum(last))
