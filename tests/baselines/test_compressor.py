"""The compressor's code lengths."""

import pyppmd

from gpt2_shakespeare.baselines.compressor import MEMORY, ORDER, code_length

TEXT = b"To be, or not to be, that is the question:\n" * 20
EMPTY = 5  # bytes of a compressed file of nothing


def test_a_code_length_is_that_of_a_file_that_can_be_read_again():
    encoder = pyppmd.Ppmd7Encoder(ORDER, MEMORY)
    packed = encoder.encode(TEXT) + encoder.flush()
    assert code_length(TEXT) == 8 * (len(packed) - EMPTY)
    assert pyppmd.Ppmd7Decoder(ORDER, MEMORY).decode(packed, len(TEXT)) == TEXT


def test_what_was_read_before_makes_a_text_shorter():
    assert code_length(TEXT, TEXT) < 0.3 * code_length(TEXT)
    assert code_length(b"xyzzy", TEXT) > 0 and code_length(b"") == 0
