"""Figures of val itself, all of it, in draws of as many texts as a row writes: what those of the rows are compared with."""

import numpy as np
from stage import no_arguments, stage
from progress import each

from gpt2_shakespeare import params, paths
from gpt2_shakespeare.texts import judge


def main() -> None:
    no_arguments(__doc__)
    settings = params.load()
    at = paths.Paths(settings.scale)
    jury = judge.Judge.read(at)
    analysis = settings.analysis
    length = analysis.prompt_tokens + analysis.max_new_tokens
    count = max(2, len(jury.val) // (length * analysis.samples))  # with fewer than two there is no spread
    pieces = judge.cut(jury.val, count * analysis.samples, length, "val")
    draws = [
        jury.figures(*np.split(pieces[draw::count], [analysis.prompt_tokens], axis=1))
        for draw in each(range(count), "texts_human")
    ]
    judge.write(at.texts("human"), {"draws": draws})


if __name__ == "__main__":
    stage(main)
