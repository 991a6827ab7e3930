"""Losses of several seeds' models as one: their probabilities averaged, and a cache of the text mixed in."""

import json

import numpy as np
from safetensors.numpy import load_file
from stage import stage

from gpt2_shakespeare import paths
from gpt2_shakespeare.baselines import ngram
from gpt2_shakespeare.measure import kinds
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.tokens import data, tokenizer


def main() -> None:
    params = schema.load()
    at = paths.Paths(params.scale)
    corpus = json.loads(at.corpus_facts.read_text())
    tokens = {
        part: data.load_tokens(at.tokens(part), corpus["vocab_size"]) for part in ("train", "dev", "val")
    }
    masks = kinds.kinds(tokenizer.load(at.tokenizer), tokens["val"], tokens["train"])
    paths.fresh(at.ensembles)
    if len(params.seeds) < 2:
        return  # no ensemble: the report shows its rows as missing
    for row, (member, cached) in schema.ENSEMBLES.items():
        losses = [load_file(at.token_losses(member, seed)) for seed in params.seeds]
        p = {part: np.mean([np.exp(-each[part]) for each in losses], axis=0) for part in ("dev", "val")}
        result: dict[str, float] = {}
        if cached:
            cache = ngram.best_cache(tokens["dev"], p["dev"])
            p = {part: cache.mix(tokens[part], p[part]) for part in p}
            result |= {"cache_weight": cache.weight, "cache_size": cache.size}
        result |= {f"{part}_loss": ngram.loss(p[part]) for part in p}
        result |= kinds.split_losses(-np.log(p["val"]), masks)
        result["bits_per_char"] = data.bits_per_char(
            result["val_loss"], corpus["tokens"]["val"], corpus["chars"]["val"]
        )
        at.evaluation(row, 0).write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    stage(main)
