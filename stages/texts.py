"""What one model writes: samples for the prompts of params.yaml, figures of its texts, and what it knows by heart."""

from typing import Any

import numpy as np
from stage import conditions, row_and_seed, stage
from progress import working

from gpt2_shakespeare import params, paths, runtime
from gpt2_shakespeare.model import load_model
from gpt2_shakespeare.texts import judge, sampling
from gpt2_shakespeare.tokens.files import load_tokens


def main() -> None:
    settings = params.load()
    row, seed = row_and_seed(__doc__, (row for row in settings.rows if row.has_model))
    at, analysis = paths.Paths(settings.scale), settings.analysis
    decoding = {"temperature": settings.sample.temperature, "top_p": settings.sample.top_p}
    machine = runtime.start(settings.at_scale.runtime.for_evaluation())
    model = load_model(at.model(row.name, seed)).to(machine.device)
    jury = judge.Judge.read(at)

    out = at.texts(row.name, seed)
    parts = {"train": jury.train, "val": jury.val}  # val is the control
    if row.kind == "base":  # which may have read any of them, and the corpus too
        parts |= {
            file.stem: load_tokens(file, jury.encoding.n_vocab)
            for file in sorted(at.other_tokens.glob("*.npy"))
        }
    others = [each for each in analysis.temperatures if each != settings.sample.temperature]
    with (
        conditions(at.log(f"texts-{out.stem}"), machine),
        machine.autocast(),
        working(f"texts {out.stem}", 2 + len(parts) + len(others)) as done,
    ):
        prompts, _ = judge.human(jury.val, analysis)
        texts = sampling.samples(model, prompts, analysis.max_new_tokens, **decoding, seed=analysis.seed)
        result = {**decoding, "figures": jury.figures(prompts, texts)}
        done()
        length = analysis.prefix_tokens + analysis.recall_tokens
        for part, tokens in parts.items():
            pieces = judge.cut(tokens, analysis.prefixes, length, part)
            prefixes, originals = np.split(pieces, [analysis.prefix_tokens], axis=1)
            greedy = sampling.samples(
                model, prefixes, analysis.recall_tokens, temperature=0, top_p=1, seed=analysis.seed
            )
            result[f"recall_{part}"] = jury.recall(greedy, originals)
            done()
        result["samples"] = sampling.for_prompts(model, jury.encoding, settings.sample, jury.train)
        done()
        cooler_and_hotter: list[dict[str, Any]] = []
        for temperature in others:  # one text a prompt
            changed = {"temperature": temperature, "samples_per_prompt": 1}
            found = sampling.for_prompts(
                model, jury.encoding, settings.sample.model_copy(update=changed), jury.train
            )
            cooler_and_hotter += [{"temperature": temperature} | text for text in found]
            done()
        result["other_temperatures"] = cooler_and_hotter
    judge.write(out, result)


if __name__ == "__main__":
    stage(main)
