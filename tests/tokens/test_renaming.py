"""Rare types that are replaced in a window."""

import numpy as np

from gpt2_shakespeare.tokens.renaming import Renaming

SHAPES = np.array([0] * 5 + [1] * 5 + [-1] * 5)  # of 15 types
RARE = np.array([0, 0, 0, 0, 1, 6, 12], np.uint16)  # type 0 is common, 1 and 6 are rare, 12 has no shape


def test_renaming_keeps_what_is_common_and_shapes_and_renames_consistently():
    renaming = Renaming(RARE, SHAPES, share=1.0, below=2)
    window = np.array([0, 1, 6, 12, 1, 0, 6])
    found = [renaming.apply(window, np.random.default_rng(seed)) for seed in range(50)]
    for renamed in found:
        assert (renamed[[0, 3, 5]] == [0, 12, 0]).all()
        assert renamed[1] == renamed[4] and SHAPES[renamed[1]] == 0
        assert renamed[2] == renamed[6] and SHAPES[renamed[2]] == 1
    assert {renamed[1] for renamed in found} == {1, 2, 3, 4}  # never the common one
    assert {renamed[2] for renamed in found} == {5, 6, 7, 8, 9}


def test_renaming_takes_its_share_of_the_types():
    shapes, window = np.zeros(2000, int), np.arange(1000)
    renaming = Renaming(window, shapes, share=0.3, below=2)
    renamed = renaming.apply(window, np.random.default_rng(0))
    assert 0.25 < (renamed != window).mean() < 0.35
