"""A GPT-2 on disk: config.json and model.safetensors, as transformers.GPT2LMHeadModel reads and writes them."""

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from gpt2_shakespeare import disk
from gpt2_shakespeare.errors import printable
from gpt2_shakespeare.model.config import LAYER_NORM_EPS, TRANSPOSED, GPTConfig, ModelError
from gpt2_shakespeare.model.weights import WEIGHTS

CONFIG = "config.json"
TANH_GELU = ("gelu_new", "gelu_pytorch_tanh")  # Hugging Face's two names for GPT-2's activation


@contextlib.contextmanager
def folder_of(name_or_path: str | Path) -> Iterator[Path]:
    """The folder of a model; `gpt2`, `gpt2-medium`, ... are downloaded into one that is deleted afterwards.

    Raises:
        AssetError: the hub can't be reached or serves other bytes than the pinned ones.
    """
    folder = Path(name_or_path)
    if folder.is_dir():
        yield folder
        return
    # here: a model that lies on disk needs nothing of it
    from gpt2_shakespeare.corpora.assets import HUB_NAMES
    from gpt2_shakespeare.corpora.hub import fetch_hub

    if str(name_or_path) in HUB_NAMES:
        with tempfile.TemporaryDirectory() as temp:
            yield fetch_hub(*HUB_NAMES[str(name_or_path)], Path(temp))
    else:
        yield folder  # its reader says what is missing


def read_config(folder: Path, **dropout: float) -> GPTConfig:
    """GPTConfig from a Hugging Face config.json.

    Args:
        dropout: GPTConfig's dropout settings, instead of those in the file.

    Raises:
        ModelError: no such file, not JSON, a missing key, or a setting that our GPT-2 doesn't implement.
    """
    file = folder / CONFIG
    try:
        found = disk.read_json(file)
    except disk.FileError as error:
        raise ModelError(f"{error}; a GPT-2 in Hugging Face format has it") from None
    n_embd = found.get("n_embd")
    fixed = {
        "model_type": ("gpt2",),
        "activation_function": TANH_GELU,
        "layer_norm_epsilon": (LAYER_NORM_EPS,),
        "n_inner": (None, 4 * n_embd if isinstance(n_embd, int) else None),
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
        "add_cross_attention": (False,),
        "tie_word_embeddings": (True,),
    }
    for key, allowed in fixed.items():
        if key in found and found[key] not in allowed:
            raise ModelError(
                f"{file}: {key} is {printable(repr(found[key]))}; only {allowed[0]!r} can be loaded"
            )
    sizes: dict[str, int] = {}
    for key in ("n_positions", "vocab_size", "n_layer", "n_head", "n_embd"):
        value = found.get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ModelError(f"{file}: {key} is {printable(repr(value))}, not a whole number")
        sizes["block_size" if key == "n_positions" else key] = value
    if not dropout:
        dropout = {f"{kind}_dropout": found.get(f"{kind}_pdrop", 0.1) for kind in ("embd", "attn", "resid")}
    try:
        return dataclasses.replace(GPTConfig(**sizes), **dropout)  # type: ignore[arg-type]
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from None


def write(folder: Path, config: GPTConfig, weights: Mapping[str, Tensor]) -> None:
    """Write config.json and model.safetensors (fp32); weights are a transformer's, in the layout of our modules."""
    tensors = {}
    for name, tensor in weights.items():
        tensor = tensor.t() if name.endswith(TRANSPOSED) else tensor
        tensors[f"transformer.{name}"] = tensor.float().cpu().contiguous()
    if not config.bias:  # Hugging Face's GPT-2 always has biases: zeros give the same logits
        for name, tensor in list(tensors.items()):
            if name.endswith(TRANSPOSED):
                tensors[name.replace("weight", "bias")] = torch.zeros(tensor.size(1))
            elif ".ln_" in name:
                tensors[name.replace("weight", "bias")] = torch.zeros_like(tensor)
    with disk.aside(folder / WEIGHTS) as temp:
        save_file(dict(sorted(tensors.items())), temp, metadata={"format": "pt"})
    settings = {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": TANH_GELU[0],
        "attn_pdrop": config.dropout_of("attn"),
        "embd_pdrop": config.dropout_of("embd"),
        "resid_pdrop": config.dropout_of("resid"),
        "layer_norm_epsilon": LAYER_NORM_EPS,
        "n_embd": config.n_embd,
        "n_head": config.n_head,
        "n_layer": config.n_layer,
        "n_positions": config.block_size,
        "vocab_size": config.vocab_size,
        "bos_token_id": config.vocab_size - 1,
        "eos_token_id": config.vocab_size - 1,
        "tie_word_embeddings": True,
    }
    disk.write_json(folder / CONFIG, settings, indent=2)
