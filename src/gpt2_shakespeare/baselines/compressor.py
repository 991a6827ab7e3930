"""PPMd (Shkarin 2002), a general-purpose compressor, as a model of text. No torch."""

from pyppmd import Ppmd7Encoder

ORDER = 6
MEMORY = 1 << 28  # bytes: what it learns from a few megabytes is never thrown away


def code_length(text: bytes, before: bytes = b"") -> int:
    """Bits that a text takes after another one has been read; it goes on learning while it reads."""
    return 8 * (_size(before + text) - _size(before))


def _size(text: bytes) -> int:
    """Bytes of the compressed text."""
    encoder = Ppmd7Encoder(max_order=ORDER, mem_size=MEMORY)
    return len(encoder.encode(text)) + len(encoder.flush())
