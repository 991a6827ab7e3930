"""The pictures: one module each, and how they look in style.py."""

import os

# Before the first import of matplotlib, which fails where MPLBACKEND names a backend that isn't installed, as a
# notebook's does in the processes that it starts. Nothing is shown here: any backend will do.
_backend = os.environ.pop("MPLBACKEND", None)
import matplotlib  # noqa: E402, F401

if _backend is not None:
    os.environ["MPLBACKEND"] = _backend

from gpt2_shakespeare.report.pictures import (  # noqa: E402
    bars,
    bits,
    curves,
    decoding,
    forgetting,
    learning,
    memorisation,
    names,
)

# File -> the function that draws it
OF_LOSSES = {
    "loss_curves.png": curves.draw,
    "val_loss.png": bars.draw,
    "bits_per_char.png": bits.draw,
    "forgetting.png": forgetting.draw,
    "names.png": names.draw,
}
OF_LEARNING = {"learning_curves.png": learning.draw}
OF_TEXTS = {
    "memorisation.png": memorisation.draw,
    "decoding.png": decoding.draw,
}
