"""Figures of the texts of one row with one seed, and what it knows by heart of train."""

import numpy as np
from stage import conditions, row_and_seed, stage

from gpt2_shakespeare import paths, runtime
from gpt2_shakespeare.model import GPT
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.texts import judge, sampling


def main() -> None:
    args = row_and_seed(__doc__)

    params = schema.load()
    at, settings = paths.Paths(params.scale), params.analysis
    decoding = {"temperature": params.sample.temperature, "top_p": params.sample.top_p}
    machine = runtime.start(params.at_scale.runtime)
    model = GPT.from_pretrained(at.model(args.row, args.seed)).to(machine.device)
    jury = judge.Judge.read(at)

    out = at.analysis(args.row, args.seed)
    with conditions(at.log(f"analyse-{out.stem}"), machine):
        prompts, _ = judge.human(jury.val, settings)
        texts = sampling.samples(model, prompts, settings.max_new_tokens, **decoding, seed=settings.seed)
        result = {**decoding, "figures": jury.figures(prompts, texts)}
        length = settings.prefix_tokens + settings.recall_tokens
        for part, tokens in {"train": jury.train, "val": jury.val}.items():  # val is the control
            pieces = judge.cut(tokens, settings.prefixes, length, part)
            prefixes, originals = np.split(pieces, [settings.prefix_tokens], axis=1)
            greedy = sampling.samples(
                model, prefixes, settings.recall_tokens, temperature=0, top_p=1, seed=settings.seed
            )
            result[f"recall_{part}"] = jury.recall(greedy, originals)
    judge.write(out, result)


if __name__ == "__main__":
    stage(main)
