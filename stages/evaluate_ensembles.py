"""Losses of several seeds' models as one: their probabilities averaged, and a cache of the text mixed in."""

import numpy as np
from stage import collect, no_arguments, stage
from progress import each
from safetensors.numpy import load_file

from gpt2_shakespeare import disk, params, paths
from gpt2_shakespeare.baselines import ngram
from gpt2_shakespeare.baselines.cache import best_cache
from gpt2_shakespeare.measure import kinds
from gpt2_shakespeare.tokens import tokenizer
from gpt2_shakespeare.tokens.corpus import bits_per_char
from gpt2_shakespeare.tokens.files import load_tokens


def main() -> None:
    no_arguments(__doc__)
    settings = params.load()
    at = paths.Paths(settings.scale)
    collect(settings, at.data / "evaluation")
    corpus = disk.read_json(at.corpus_facts)
    tokens = {part: load_tokens(at.tokens(part), corpus["vocab_size"]) for part in ("train", "dev", "val")}
    masks = kinds.kinds(tokenizer.load(at.tokenizer), tokens["val"], tokens["train"])
    paths.fresh(at.ensembles)
    if len(settings.seeds) < 2 or not settings.ensembles:
        disk.write_text(
            at.ensembles / paths.EMPTY, "No ensemble: params.yaml lists none, or one seed only.\n"
        )
        return  # the report shows its rows as missing
    for row in each(settings.ensembles, "evaluate_ensembles"):
        losses = [load_file(at.token_losses(row.of, seed)) for seed in settings.seeds]
        p = {part: np.mean([np.exp(-one[part]) for one in losses], axis=0) for part in ("dev", "val")}
        result: dict[str, float] = {}
        if row.cached:
            cache = best_cache(tokens["dev"], p["dev"])
            p = {part: cache.mix(tokens[part], p[part]) for part in p}
            result |= {"cache_weight": cache.weight, "cache_size": cache.size}
        result |= {f"{part}_loss": ngram.loss(p[part]) for part in p}
        result |= kinds.split_losses(-np.log(p["val"]), masks)
        result["bits_per_char"] = bits_per_char(
            result["val_loss"], corpus["tokens"]["val"], corpus["chars"]["val"]
        )
        disk.write_json(at.ensemble(row.name), result, indent=2, sort_keys=True)


if __name__ == "__main__":
    stage(main)
