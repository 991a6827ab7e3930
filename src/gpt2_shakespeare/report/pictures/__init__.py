"""The pictures: one module each, and how they look in style.py."""

from gpt2_shakespeare.report.pictures import bars, curves, decoding, forgetting, memorisation, names

# File -> the function that draws it
OF_LOSSES = {
    "loss_curves.png": curves.draw,
    "val_loss.png": bars.draw,
    "forgetting.png": forgetting.draw,
    "names.png": names.draw,
}
OF_TEXTS = {
    "memorisation.png": memorisation.draw,
    "decoding.png": decoding.draw,
}
