"""Losses of a trigram and of counting, of shares of train: the part nearest to val, as for the trained rows."""

import math

from stage import no_arguments, stage

from gpt2_shakespeare import disk, params, paths
from gpt2_shakespeare.adapting.mixture import Mixture
from gpt2_shakespeare.baselines import ngram
from gpt2_shakespeare.tokens import tokenizer
from gpt2_shakespeare.tokens.files import load_tokens


def main() -> None:
    no_arguments(__doc__)
    settings = params.load()
    at = paths.Paths(settings.scale)
    encoding = tokenizer.load(at.tokenizer)
    train, dev, val = (load_tokens(at.tokens(part), encoding.n_vocab) for part in ("train", "dev", "val"))
    n_bytes = len(encoding.decode_bytes([*train.tolist(), *dev.tolist(), *val.tolist()]))
    vocabulary = tokenizer.spelled(encoding)
    results = []
    for share in settings.learning_curves.shares:
        some = train[-math.ceil(share * len(train)) :]
        mixture = Mixture(vocabulary, n_bytes)
        for part in (some, dev, val):  # val after dev, as in evaluate_baselines
            counted = mixture.read(part)
        trigram = ngram.loss(ngram.Ngram(some, encoding.n_vocab).probabilities(val))
        counting = float(counted[1:].mean())
        results.append({"share": share, "tokens": len(some), "trigram": trigram, "counting": counting})
    disk.write_json(at.learned_baselines, {"shares": results}, indent=2, sort_keys=True)


if __name__ == "__main__":
    stage(main)
