"""Figures of the texts of one row for every temperature and top_p."""

from stage import conditions, row_and_seed, stage

from gpt2_shakespeare import paths, runtime
from gpt2_shakespeare.model import GPT
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.texts import judge, sampling


def main() -> None:
    args = row_and_seed(__doc__)

    params = schema.load()
    at, settings = paths.Paths(params.scale), params.analysis
    machine = runtime.start(params.at_scale.runtime)
    model = GPT.from_pretrained(at.model(args.row, args.seed)).to(machine.device)
    jury = judge.Judge.read(at)

    cells = []
    with conditions(at.log(f"decode-{args.row}"), machine):
        prompts, _ = judge.human(jury.val, settings)
        for temperature, top_p in settings.decodings():
            decoding = {"temperature": temperature, "top_p": top_p}
            texts = sampling.samples(model, prompts, settings.max_new_tokens, **decoding, seed=settings.seed)
            cells.append({**decoding, "figures": jury.figures(prompts, texts)})
    judge.write(at.decoding(args.row), {"cells": cells})


if __name__ == "__main__":
    stage(main)
