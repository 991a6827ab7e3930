"""Losses of the baselines: what counting the same tokens reaches, and what a compressor does."""

import math
from collections.abc import Callable

import numpy as np
from stage import no_arguments, stage
from progress import working

from gpt2_shakespeare import disk, params, paths
from gpt2_shakespeare.adapting.mixture import Mixture
from gpt2_shakespeare.baselines import compressor, ngram
from gpt2_shakespeare.baselines.cache import best_cache
from gpt2_shakespeare.measure import kinds
from gpt2_shakespeare.tokens import tokenizer
from gpt2_shakespeare.tokens.corpus import bits_per_char
from gpt2_shakespeare.tokens.files import Tokens, load_tokens


def main() -> None:
    no_arguments(__doc__)
    with working("evaluate_baselines"):
        measure()


def measure() -> None:
    at = paths.Paths(params.load().scale)
    corpus = disk.read_json(at.corpus_facts)
    vocab_size = corpus["vocab_size"]
    tokens = {part: load_tokens(at.tokens(part), vocab_size) for part in ("train", "dev", "val")}
    trigram = ngram.Ngram(tokens["train"], vocab_size)
    cache = best_cache(tokens["dev"], trigram.probabilities(tokens["dev"]))
    rows: dict[str, Callable[[Tokens], np.ndarray]] = {
        "unigram": ngram.Unigram(tokens["train"], vocab_size).probabilities,
        "trigram": trigram.probabilities,
        "trigram_cache": lambda part: cache.mix(part, trigram.probabilities(part)),
    }
    encoding = tokenizer.load(at.tokenizer)
    masks = kinds.kinds(encoding, tokens["val"], tokens["train"])
    texts = {part: encoding.decode_bytes(each.tolist()) for part, each in tokens.items()}
    mixture = Mixture(tokenizer.spelled(encoding), sum(map(len, texts.values())))
    counted = {part: mixture.read(tokens[part]) for part in ("train", "dev", "val")}
    tokens["train"] = tokens["train"][: len(tokens["val"])]  # as for the trained rows
    paths.fresh(at.baseline("").parent)
    results: dict[str, dict[str, float]] = {}
    for row, probabilities in rows.items():
        p = {part: probabilities(tokens[part]) for part in tokens}
        result: dict[str, float] = {f"{part}_loss": ngram.loss(p[part]) for part in p}
        result |= kinds.split_losses(-np.log(p["val"]), masks)
        if row == "trigram_cache":
            result |= {"cache_weight": cache.weight, "cache_size": cache.size}
        results[row] = result
    results["ppmd"] = {}
    before = texts["train"]
    for part in ("dev", "val"):  # val after dev, as the mixtures read it
        bits = compressor.code_length(texts[part], before)
        results["ppmd"][f"{part}_loss"] = bits * math.log(2) / len(tokens[part])
        before += texts[part]
    results["counting"] = {f"{part}_loss": float(counted[part][1:].mean()) for part in ("dev", "val")}
    results["counting"] |= kinds.split_losses(counted["val"][1:], masks)
    for row, result in results.items():
        result["bits_per_char"] = bits_per_char(
            result["val_loss"], corpus["tokens"]["val"], corpus["chars"]["val"]
        )
        disk.write_json(at.baseline(row), result, indent=2, sort_keys=True)


if __name__ == "__main__":
    stage(main)
