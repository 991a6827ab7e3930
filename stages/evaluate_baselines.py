"""Losses of the n-gram baselines: what counting the same tokens reaches."""

from collections.abc import Callable

import numpy as np
from stage import no_arguments, stage

from gpt2_shakespeare import disk, params, paths
from gpt2_shakespeare.baselines import ngram
from gpt2_shakespeare.baselines.cache import best_cache
from gpt2_shakespeare.measure import kinds
from gpt2_shakespeare.tokens import tokenizer
from gpt2_shakespeare.tokens.corpus import bits_per_char
from gpt2_shakespeare.tokens.files import Tokens, load_tokens


def main() -> None:
    no_arguments(__doc__)
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
    masks = kinds.kinds(tokenizer.load(at.tokenizer), tokens["val"], tokens["train"])
    tokens["train"] = tokens["train"][: len(tokens["val"])]  # as for the trained rows
    paths.fresh(at.baseline("").parent)
    for row, probabilities in rows.items():
        p = {part: probabilities(tokens[part]) for part in tokens}
        result: dict[str, float] = {f"{part}_loss": ngram.loss(p[part]) for part in p}
        result |= kinds.split_losses(-np.log(p["val"]), masks)
        result["bits_per_char"] = bits_per_char(
            result["val_loss"], corpus["tokens"]["val"], corpus["chars"]["val"]
        )
        if row == "trigram_cache":
            result |= {"cache_weight": cache.weight, "cache_size": cache.size}
        disk.write_json(at.baseline(row), result, indent=2, sort_keys=True)


if __name__ == "__main__":
    stage(main)
