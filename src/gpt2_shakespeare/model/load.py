"""A model from a folder, whichever class it needs."""

from pathlib import Path

from gpt2_shakespeare import disk
from gpt2_shakespeare.model import files
from gpt2_shakespeare.model.gpt import GPT
from gpt2_shakespeare.model.language_model import LanguageModel


def load_model(name_or_path: str | Path, **dropout: float) -> LanguageModel:
    """Load a causal language model in Hugging Face format: a GPT-2 as our own `GPT`, another one as `Pretrained`.

    Args:
        name_or_path: a folder; or `gpt2`, `gpt2-medium`, `gpt2-large`, `gpt2-xl`.
        dropout: `embd_dropout`, `attn_dropout` and `resid_dropout`, instead of those in config.json.

    Raises:
        ModelError: the folder can't be used; the message says why.
        AssetError: the hub can't be reached or serves other bytes.
    """
    return _class_of(Path(name_or_path)).from_pretrained(name_or_path, **dropout)


def random_model(folder: Path, **dropout: float) -> LanguageModel:
    """A model of the shape of one in a folder, with random weights by torch's generator; arguments as above."""
    kind = _class_of(folder)
    return GPT(files.read_config(folder, **dropout)) if kind is GPT else kind.random(folder, **dropout)


def read_shape(folder: Path) -> tuple[int, int]:
    """The block_size and the vocab_size of a model, from its config.json; raises ModelError as `load_model`."""
    if _class_of(folder) is GPT:
        ours = files.read_config(folder)
        return ours.block_size, ours.vocab_size
    from gpt2_shakespeare.model import pretrained_checks

    config = pretrained_checks.read_config(folder)
    return pretrained_checks.positions(config), config.vocab_size


def _class_of(folder: Path):
    try:
        found = disk.read_json(folder / files.CONFIG)
    except disk.FileError:
        return GPT  # whose reader says what is missing
    if found.get("model_type") == "gpt2":
        return GPT
    # here: importing transformers takes a second
    from gpt2_shakespeare.model.pretrained import Pretrained

    return Pretrained
