"""Figures of the texts of one row for every temperature and top_p."""

import argparse

from stage import conditions, stage

from gpt2_shakespeare import config, judge, paths, runtime, sample
from gpt2_shakespeare.model import GPT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row", choices=config.MODEL_ROWS)
    parser.add_argument("--seed", type=int, default=0, help="the base is one for all seeds")
    args = parser.parse_args()

    params = config.load()
    at, settings = paths.Paths(params.scale), params.analysis
    machine = runtime.start(params.at_scale.runtime)
    model = GPT.from_pretrained(at.model(args.row, args.seed)).to(machine.device)
    jury = judge.Judge.read(at)

    cells = []
    with conditions(at.log(f"decode-{args.row}"), machine):
        prompts, _ = judge.human(jury.val, settings)
        for temperature, top_p in settings.decodings():
            decoding = {"temperature": temperature, "top_p": top_p}
            texts = sample.samples(model, prompts, settings.max_new_tokens, **decoding, seed=settings.seed)
            cells.append({**decoding, "figures": jury.figures(prompts, texts)})
    judge.write(at.decoding(args.row), {"cells": cells})


if __name__ == "__main__":
    stage(main)
