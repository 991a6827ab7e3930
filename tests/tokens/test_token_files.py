"""Token files: what is written comes back, and anything else is refused."""

import zipfile

import numpy as np
import pytest

from gpt2_shakespeare.tokens.files import DataError, load_tokens, save_tokens


def ramp(n):
    return np.arange(n, dtype=np.uint16)


def test_tokens_come_back_from_disk(tmp_path):
    save_tokens(tmp_path / "new" / "train.npy", ramp(60))
    found = load_tokens(tmp_path / "new" / "train.npy", 60)
    assert found.dtype == np.uint16 and np.array_equal(found, ramp(60))


def test_a_token_outside_the_vocabulary_is_refused(tmp_path):
    save_tokens(tmp_path / "train.npy", ramp(60))
    with pytest.raises(DataError, match="train.npy: token id 59 is outside the model's vocab_size 59"):
        load_tokens(tmp_path / "train.npy", 59)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(10),
        np.arange(10, dtype=np.int16),
        np.arange(10, dtype=np.uint64),
        np.arange(10, dtype=">u2"),
        np.zeros((2, 5), np.uint16),
        np.array(3, np.uint16),
        np.array(["a"]),
    ],
)
def test_other_arrays_are_refused(tmp_path, array):
    np.save(tmp_path / "train.npy", array)
    with pytest.raises(DataError, match="train.npy: not a list of 16-bit or 32-bit token ids"):
        load_tokens(tmp_path / "train.npy", 61)


def test_every_truncation_is_refused(tmp_path):
    save_tokens(tmp_path / "train.npy", ramp(20))
    raw = (tmp_path / "train.npy").read_bytes()
    for length in range(len(raw)):
        (tmp_path / "cut.npy").write_bytes(raw[:length])
        with pytest.raises(DataError, match="cut.npy: can't be read as tokens"):
            load_tokens(tmp_path / "cut.npy", 61)


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
        load_tokens(tmp_path / "train.npy", 61)
    assert not sprung.exists()


def test_missing_token_files_and_archives_are_refused(tmp_path):
    with pytest.raises(DataError, match="train.npy: can't be read as tokens"):
        load_tokens(tmp_path / "train.npy", 61)
    with zipfile.ZipFile(tmp_path / "train.npy", "w") as archive:
        archive.writestr("tokens", b"1 2 3")
    with pytest.raises(DataError, match=r"train.npy: not a list"):
        load_tokens(tmp_path / "train.npy", 61)


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
        load_tokens(tmp_path / "train.npy", 61)
