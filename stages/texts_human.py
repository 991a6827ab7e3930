"""Figures of val itself, cut into as many texts as a row writes: what those of the rows are compared with."""

from stage import no_arguments, stage
from progress import each

from gpt2_shakespeare import params, paths
from gpt2_shakespeare.texts import judge


def main() -> None:
    no_arguments(__doc__)
    settings = params.load()
    at = paths.Paths(settings.scale)
    jury = judge.Judge.read(at)
    draws = [
        jury.figures(*judge.human(jury.val, settings.analysis, draw)) for draw in each((0, 1), "texts_human")
    ]
    judge.write(at.texts("human"), {"figures": draws[0], "other_draw": draws[1]})


if __name__ == "__main__":
    stage(main)
