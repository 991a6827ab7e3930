"""Figures of val itself, cut into as many texts as a row writes: what those of the rows are compared with."""

from stage import stage

from gpt2_shakespeare import paths
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.texts import judge


def main() -> None:
    params = schema.load()
    at, settings = paths.Paths(params.scale), params.analysis
    jury = judge.Judge.read(at)
    draws = [jury.figures(*judge.human(jury.val, settings, draw)) for draw in (0, 1)]
    judge.write(at.analysis("human", 0), {"figures": draws[0], "other_draw": draws[1]})


if __name__ == "__main__":
    stage(main)
