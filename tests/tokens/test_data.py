"""Corpus files, token files, the split, windows and batches."""

import math
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import fuzz

from gpt2_shakespeare.errors import UserError
from gpt2_shakespeare.tokens import data, tokenizer
from gpt2_shakespeare.tokens.data import Batches, DataError, read_corpus


def ramp(n):
    """Tokens 0, 1, 2, ...: a window's start can be read from its first token."""
    return np.arange(n, dtype=np.uint16)


@pytest.fixture
def corpus(tmp_path):
    return tmp_path / "corpus.txt"


# --- the corpus ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"To be\n", "To be\n"),
        (b"\xef\xbb\xbfTo be\n", "To be\n"),
        (b"a\r\nb\r\n", "a\nb\n"),
        (b"a\rb\r", "a\nb\n"),
        (b"a\r\r\nb", "a\n\nb"),
        ("Élan, 𝔘 🙂\n".encode(), "Élan, 𝔘 🙂\n"),
        ("a\u2028b\u0085c".encode(), "a\u2028b\u0085c"),  # only CR and CRLF are line ends to us
        (b"  To be ", "  To be "),
        (b"a\x00b", "a\x00b"),
        (b"To <|endoftext|> be", "To <|endoftext|> be"),
    ],
)
def test_a_text_is_read_with_lf_and_without_its_mark(corpus, raw, text):
    corpus.write_bytes(raw)
    assert read_corpus(corpus) == text


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (b"To \xe9 be", "not UTF-8 at byte 3 (0xe9)"),
        (b"To be \xe2\x82", "not UTF-8 at byte 6 (0xe2)"),
        (b"\xff\xfeT\x00o\x00", "not UTF-8 at byte 0 (0xff)"),
        (b"a\xed\xa0\x80", "not UTF-8 at byte 1 (0xed)"),  # a lone surrogate
        (b"", "the corpus is empty"),
        (b"\xef\xbb\xbf", "the corpus is empty"),
        (b" \r\n\t ", "the corpus is empty"),
    ],
)
def test_a_text_that_cannot_be_used_is_refused(corpus, raw, wanted):
    corpus.write_bytes(raw)
    with pytest.raises(DataError) as caught:
        read_corpus(corpus)
    assert str(caught.value).startswith(f"{corpus}: {wanted}")


def test_the_offset_counts_the_byte_order_mark(corpus):
    corpus.write_bytes(b"\xef\xbb\xbfTo \xff be")
    with pytest.raises(DataError, match=r"at byte 6 \(0xff\)"):
        read_corpus(corpus)


def test_a_missing_corpus_and_a_folder_are_refused(tmp_path):
    with pytest.raises(DataError, match="nowhere.txt: can't be read: No such file or directory"):
        read_corpus(tmp_path / "nowhere.txt")
    with pytest.raises(DataError, match="can't be read: Is a directory"):
        read_corpus(tmp_path)


@pytest.fixture(scope="module")
def fuzz_file(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "file"


@fuzz
@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_a_text_or_refused(fuzz_file, raw):
    fuzz_file.write_bytes(raw)
    try:
        text = read_corpus(fuzz_file)
    except DataError as error:
        assert "\n" not in str(error)
    else:
        assert text.strip() and "\r" not in text
        assert raw.decode().splitlines()[-1].removeprefix("\ufeff") in text


def test_data_errors_are_ones_that_a_user_can_mend():
    assert issubclass(DataError, UserError)


# --- tokens --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encoding(tmp_path_factory):
    return tokenizer.train(["the cat sat on the mat\n" * 3], 262, tmp_path_factory.mktemp("tokenizer"))


def test_documents_are_joined_by_the_end_of_text(encoding):
    a, b, c = (encoding.encode_ordinary(text) for text in ("the cat", "sat", "on the mat"))
    assert data.encode(encoding, ["the cat"]).tolist() == a
    assert data.encode(encoding, ["the cat", "sat", "on the mat"]).tolist() == [*a, 261, *b, 261, *c]
    assert data.encode(encoding, ["the cat"]).dtype == np.uint16


def test_the_end_of_text_inside_a_document_is_plain_text(encoding):
    found = data.encode(encoding, ["the <|endoftext|> cat"])
    assert 261 not in found
    assert encoding.decode(found.tolist()) == "the <|endoftext|> cat"


def test_the_split_of_tiny_shakespeare():
    parts = data.split((np.arange(338_025) % 50_000).astype(np.uint16), 1024)
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 289_010,
        "dev": 15_212,
        "val": 33_803,
    }
    assert len(parts["train"]) + len(parts["dev"]) == 304_222  # the reference's train part


def test_the_parts_follow_each_other_in_the_text():
    parts = data.split(ramp(1000), 10)
    assert list(parts) == ["train", "dev", "val"]
    in_the_text = [parts["dev"], parts["train"], parts["val"]]
    assert np.array_equal(np.concatenate(in_the_text), ramp(1000))
    assert (len(parts["dev"]), len(parts["val"])) == (45, 100)


def test_a_corpus_too_short_is_refused_with_both_lengths():
    data.split(ramp(1000), 44)
    with pytest.raises(DataError, match=r"its dev part has 45 tokens \(of 1000\).* block_size 45"):
        data.split(ramp(1000), 45)
    with pytest.raises(DataError, match=r"its train part has 0 tokens \(of 0\)"):
        data.split(ramp(0), 8)


def test_tokens_come_back_from_disk(tmp_path):
    data.save_tokens(tmp_path / "new" / "train.npy", ramp(60))
    found = data.load_tokens(tmp_path / "new" / "train.npy", 60)
    assert found.dtype == np.uint16 and np.array_equal(found, ramp(60))


def test_a_token_outside_the_vocabulary_is_refused(tmp_path):
    data.save_tokens(tmp_path / "train.npy", ramp(60))
    with pytest.raises(DataError, match="train.npy: token id 59 is outside the model's vocab_size 59"):
        data.load_tokens(tmp_path / "train.npy", 59)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(10),
        np.arange(10, dtype=np.int16),
        np.arange(10, dtype=">u2"),
        np.zeros((2, 5), np.uint16),
        np.array(3, np.uint16),
        np.array(["a"]),
    ],
)
def test_other_arrays_are_refused(tmp_path, array):
    np.save(tmp_path / "train.npy", array)
    with pytest.raises(DataError, match="train.npy: not a list of 16-bit token ids"):
        data.load_tokens(tmp_path / "train.npy", 61)


def test_every_truncation_is_refused(tmp_path):
    data.save_tokens(tmp_path / "train.npy", ramp(20))
    raw = (tmp_path / "train.npy").read_bytes()
    for length in range(len(raw)):
        (tmp_path / "cut.npy").write_bytes(raw[:length])
        with pytest.raises(DataError, match="cut.npy: can't be read as tokens"):
            data.load_tokens(tmp_path / "cut.npy", 61)


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


def test_a_pickle_is_refused_unopened(tmp_path):
    sprung = tmp_path / "sprung"
    np.save(tmp_path / "train.npy", np.array([Trap(sprung)], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="train.npy: can't be read as tokens"):
        data.load_tokens(tmp_path / "train.npy", 61)
    assert not sprung.exists()


def test_missing_token_files_and_archives_are_refused(tmp_path):
    with pytest.raises(DataError, match="train.npy: can't be read as tokens"):
        data.load_tokens(tmp_path / "train.npy", 61)
    with zipfile.ZipFile(tmp_path / "train.npy", "w") as archive:
        archive.writestr("tokens", b"1 2 3")
    with pytest.raises(DataError, match=r"train.npy: not a list"):
        data.load_tokens(tmp_path / "train.npy", 61)


@pytest.mark.parametrize(
    "raw",
    [
        b"PK\x03\x04garbage",
        b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<u2', 'fortran_order': Fal]e, 'shape': (3,), }".ljust(117) + b"\n",
        b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<u2', 'fortran_order': False, 'shape': (99999999999999,), }".ljust(117)
        + b"\n",
        b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<,2', 'fortran_order': False, 'shape': (3,), }".ljust(117) + b"\n",
    ],
    ids=["archive", "brackets", "shape", "type"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Reading")
def test_a_damaged_header_is_refused(tmp_path, raw):
    (tmp_path / "train.npy").write_bytes(raw)
    with pytest.raises(DataError, match="train.npy: can't be read as tokens"):
        data.load_tokens(tmp_path / "train.npy", 61)


# --- windows -------------------------------------------------------------------------------------


def test_the_windows_of_the_reference():
    train = data.window_starts(304_222, 1024, 128)
    assert len(train) == 2369
    assert train[:3].tolist() == [0, 128, 256]
    assert len(data.window_starts(33_803, 1024, 128)) == 257


@pytest.mark.parametrize("n", range(12))
@pytest.mark.parametrize("stride", [1, 2, 4, 5])
def test_windows_are_all_that_fit(n, stride):
    fits = [start for start in range(0, n, stride) if start + 4 + 1 <= n]  # 4 inputs, and one token more
    assert data.window_starts(n, 4, stride).tolist() == fits


def test_targets_are_the_inputs_moved_by_one():
    idx, targets = data.windows(ramp(20), np.array([3, 15, 0]), 4)
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


SHAPES = np.array([0] * 5 + [1] * 5 + [-1] * 5)  # of 15 types
RARE = np.array([0, 0, 0, 0, 1, 6, 12], np.uint16)  # type 0 is common, 1 and 6 are rare, 12 has no shape


def test_renaming_keeps_what_is_common_and_shapes_and_renames_consistently():
    renaming = data.Renaming(RARE, SHAPES, share=1.0, below=2)
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
    renaming = data.Renaming(window, shapes, share=0.3, below=2)
    renamed = renaming.apply(window, np.random.default_rng(0))
    assert 0.25 < (renamed != window).mean() < 0.35


def test_renamed_batches_are_a_function_of_seed_and_step_and_targets_follow_inputs():
    renaming = data.Renaming(ramp(101), np.zeros(500, int), share=0.5, below=2)
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


def test_bits_per_char():
    assert data.bits_per_char(3 * math.log(2), n_tokens=10, n_chars=30) == pytest.approx(1.0)
    assert data.bits_per_char(4.766, 10_000, 30_831) == pytest.approx(2.230, abs=5e-4)  # a published pair
    assert data.bits_per_char(3.3424, 10_000, 30_831) == pytest.approx(1.564, abs=5e-4)
