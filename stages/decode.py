"""Figures of the texts of one model for every temperature and top_p."""

from stage import conditions, row_and_seed, stage
from progress import each

from gpt2_shakespeare import params, paths, runtime
from gpt2_shakespeare.model import load_model
from gpt2_shakespeare.texts import judge, sampling


def main() -> None:
    settings = params.load()
    row, seed = row_and_seed(__doc__, (row for row in settings.rows if row.has_model))
    at, analysis = paths.Paths(settings.scale), settings.analysis
    machine = runtime.start(settings.at_scale.runtime.for_evaluation())
    model = load_model(at.model(row.name, seed)).to(machine.device)
    jury = judge.Judge.read(at)

    cells = []
    with conditions(at.log(f"decode-{row.name}"), machine), machine.autocast():
        prompts, _ = judge.human(jury.val, analysis)
        for temperature, top_p in each(analysis.decodings(), f"decode {row.name}"):
            decoding = {"temperature": temperature, "top_p": top_p}
            texts = sampling.samples(model, prompts, analysis.max_new_tokens, **decoding, seed=analysis.seed)
            cells.append({**decoding, "figures": jury.figures(prompts, texts)})
    judge.write(at.decoding(row.name), {"cells": cells})


if __name__ == "__main__":
    stage(main)
