"""Windows and batches: which tokens they have, in which order."""

import numpy as np
import pytest

from gpt2_shakespeare.tokens.batches import Batches, window_starts, windows
from gpt2_shakespeare.tokens.files import DataError
from gpt2_shakespeare.tokens.renaming import Renaming


def ramp(n):
    """Tokens 0, 1, 2, ...: a window's start can be read from its first token."""
    return np.arange(n, dtype=np.uint16)


# --- windows -------------------------------------------------------------------------------------


def test_the_windows_of_the_reference():
    train = window_starts(304_222, 1024, 128)
    assert len(train) == 2369
    assert train[:3].tolist() == [0, 128, 256]
    assert len(window_starts(33_803, 1024, 128)) == 257


@pytest.mark.parametrize("n", range(12))
@pytest.mark.parametrize("stride", [1, 2, 4, 5])
def test_windows_are_all_that_fit(n, stride):
    fits = [start for start in range(0, n, stride) if start + 4 + 1 <= n]  # 4 inputs, and one token more
    assert window_starts(n, 4, stride).tolist() == fits


def test_targets_are_the_inputs_moved_by_one():
    idx, targets = windows(ramp(20), np.array([3, 15, 0]), 4)
    assert idx.tolist() == [[3, 4, 5, 6], [15, 16, 17, 18], [0, 1, 2, 3]]
    assert targets.tolist() == [[4, 5, 6, 7], [16, 17, 18, 19], [1, 2, 3, 4]]
    assert idx.dtype == targets.dtype == np.int64


# --- batches -------------------------------------------------------------------------------------


def starts(batches, steps):
    """Starts of the windows of some steps, in order; ramp's tokens are their own places."""
    return [int(row[0]) for step in steps for row in batches.batch(step)[0]]


def test_an_epoch_holds_every_window_once():
    batches = Batches(ramp(101), 10, 5, 4, seed=1)  # 19 windows
    first = starts(batches, range(5))[:19]
    assert sorted(first) == list(range(0, 91, 5))
    assert first != sorted(first)


def test_epochs_have_different_orders():
    batches = Batches(ramp(101), 10, 10, 5, seed=1)  # 10 windows, 2 steps an epoch
    orders = [tuple(starts(batches, (2 * epoch, 2 * epoch + 1))) for epoch in range(5)]
    assert len(set(orders)) == 5
    assert {tuple(sorted(order)) for order in orders} == {tuple(range(0, 100, 10))}


def test_a_batch_that_crosses_an_epoch_is_full():
    batches = Batches(ramp(71), 10, 10, 4, seed=1)  # 7 windows
    walked = starts(batches, range(7))  # 28 windows: 4 epochs
    assert all(part.shape == (4, 10) for step in range(7) for part in batches.batch(step))
    for epoch in range(4):
        assert sorted(walked[7 * epoch : 7 * epoch + 7]) == list(range(0, 70, 10))


def test_a_batch_larger_than_the_epoch_holds_several():
    batches = Batches(ramp(31), 10, 10, 8, seed=1)  # 3 windows
    walked = starts(batches, range(3))
    assert [sorted(walked[i : i + 3]) for i in range(0, 24, 3)] == [[0, 10, 20]] * 8


def test_a_batch_does_not_depend_on_those_before():
    straight = Batches(ramp(201), 10, 3, 4, seed=1)
    wanted = [straight.batch(step) for step in range(40)]
    jumping = Batches(ramp(201), 10, 3, 4, seed=1)
    for step in np.random.default_rng(0).permutation(40):
        for found, right in zip(jumping.batch(int(step)), wanted[step], strict=True):
            assert np.array_equal(found, right)


def test_seeds_give_different_orders():
    orders = {tuple(starts(Batches(ramp(201), 10, 3, 4, seed), range(16))) for seed in range(10)}
    assert len(orders) == 10


@pytest.mark.parametrize(
    ("n_tokens", "block_size", "stride", "batch_size", "epochs", "steps"),
    [
        (304_222, 1024, 128, 16, 1, 149),  # the reference's epoch
        (304_222, 1024, 128, 16, 6, 889),  # 14,214 windows
        (304_222, 1024, 128, 16, 0.5, 74),  # 1184 windows; half of 2369 is rounded to even
        (101, 10, 10, 5, 1, 2),
        (101, 10, 10, 3, 1, 4),
        (101, 10, 10, 5, 0.1, 1),
        (101, 10, 10, 5, 0.001, 1),
        (101, 10, 10, 100, 3, 1),
        (101, 10, 10, 5, 1.6, 4),
    ],
)
def test_steps_walk_over_the_windows_as_often_as_asked(
    n_tokens, block_size, stride, batch_size, epochs, steps
):
    tokens = np.zeros(n_tokens, np.uint16)
    assert Batches(tokens, block_size, stride, batch_size, 0).steps(epochs) == steps


def test_random_offsets_move_all_windows_of_an_epoch_by_as_much():
    batches = Batches(ramp(101), 10, 10, 5, seed=3, random_offsets=True)
    epochs = [
        np.sort(np.concatenate([batches.batch(2 * epoch + half)[0][:, 0] for half in (0, 1)]))
        for epoch in range(3)
    ]
    for starts in epochs:
        assert len(set(starts)) == 10 and starts.max() <= 90
        assert (np.diff(starts) != 10).sum() <= 1  # where the text's end was jumped over
    assert len({starts[0] for starts in epochs}) > 1


def test_renamed_batches_are_a_function_of_seed_and_step_and_targets_follow_inputs():
    renaming = Renaming(ramp(101), np.zeros(500, int), share=0.5, below=2)
    again, batches = (Batches(ramp(101), 10, 10, 5, 0, renaming=renaming) for _ in range(2))
    again.batch(0)
    idx, targets = batches.batch(7)
    assert all(np.array_equal(*pair) for pair in zip((idx, targets), again.batch(7), strict=True))
    assert np.array_equal(idx[:, 1:], targets[:, :-1])
    assert not np.array_equal(idx, Batches(ramp(101), 10, 10, 5, 0).batch(7)[0])


def test_a_text_shorter_than_a_window_is_refused():
    Batches(ramp(11), 10, 10, 1, 0)
    with pytest.raises(DataError, match="10 training tokens are too few for one window of block_size 10"):
        Batches(ramp(10), 10, 10, 1, 0)
