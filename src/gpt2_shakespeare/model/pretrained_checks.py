"""What a model of transformers must be, so that it can stand behind our interface."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gpt2_shakespeare import disk
from gpt2_shakespeare.errors import printable
from gpt2_shakespeare.model.config import ModelError
from gpt2_shakespeare.model.files import CONFIG

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from gpt2_shakespeare.model.pretrained import Pretrained

BLOCK_SIZE = (
    "block_size"  # our key in config.json: the longest text that is read, where that is below its positions
)
LARGEST = 2**31  # of a number in config.json
POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len")
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_decoder_layers")
# The names that configs of transformers give to each kind of dropout
DROPOUTS = {
    "embd": ("embd_pdrop", "embedding_dropout", "hidden_dropout", "dropout"),
    "attn": ("attn_pdrop", "attention_dropout", "attention_probs_dropout_prob"),
    "resid": ("resid_pdrop", "hidden_dropout", "dropout"),
}


def read_config(folder: Path, **dropout: float) -> "PretrainedConfig":
    """The config of a causal language model, its dropout changed.

    Raises:
        ModelError: as `Pretrained.from_pretrained`.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    file = folder / CONFIG
    try:
        found = disk.read_json(file)
    except disk.FileError as error:
        raise ModelError(f"{error}; a model in Hugging Face format has it") from None
    kind = found.get("model_type")
    if "auto_map" in found:
        raise ModelError(f"{file}: auto_map asks for code that comes with the model, which is never run")
    if not isinstance(kind, str) or kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise ModelError(
            f"{file}: model_type {printable(repr(kind))} is no causal language model that transformers knows"
        )
    if found.get("quantization_config") or found.get("is_encoder_decoder"):
        raise ModelError(f"{file}: a quantised model, or one with an encoder, can't be trained on")
    for key, value in found.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and not abs(value) < LARGEST:
            raise ModelError(f"{file}: {printable(key)} is {printable(value)}, too large a number")
    layers = next((found[key] for key in LAYERS if key in found), None)
    if isinstance(layers, int) and layers > 100_000:  # some configs build a list of them
        raise ModelError(f"{file}: {layers} layers are too many")
    try:
        config = CONFIG_MAPPING[kind].from_dict(found)
    except Exception as error:  # of many kinds, by architecture
        raise ModelError(f"{file}: {printable(error, 300)}") from None
    for setting, value in dropout.items():
        names = [name for name in DROPOUTS[setting.removesuffix("_dropout")] if hasattr(config, name)]
        if value and not names:
            key = "attn_dropout" if setting == "attn_dropout" else "dropout"
            raise ModelError(
                f"{file}: {key}: a model of type {kind} has no such dropout, so {value} can't be used; set it to 0"
            )
        for name in names[:1]:
            setattr(config, name, value)
    return config


def not_finite(net: nn.Module) -> list[str]:
    """Names the parameters that hold NaN or infinity."""
    return [
        f"{name} holds numbers that are not finite"
        for name, tensor in net.named_parameters()
        if not torch.stack(torch.aminmax(tensor.detach())).isfinite().all()
    ]


def require_enough(folder: Path, config: "PretrainedConfig", found: dict[str, tuple[int, ...]]) -> None:
    """Before memory is taken: the files hold about as many numbers as the config asks for."""
    from transformers import AutoModelForCausalLM

    layers = int(getattr(config, "num_hidden_layers", 0) or 0)
    if layers > len(found):
        raise ModelError(f"{folder}: {len(found)} tensors are too few for {layers} layers")
    try:
        with torch.device("meta"):
            wanted = AutoModelForCausalLM.from_config(config).num_parameters()
    except Exception as error:  # of many kinds, by architecture
        raise ModelError(f"{folder / CONFIG}: {printable(error, 300)}") from None
    there = sum(int(np.prod(shape)) for shape in found.values())
    if wanted > there:
        raise ModelError(f"{folder}: config.json asks for {wanted:,} weights, and the files hold {there:,}")


def positions(config: "PretrainedConfig") -> int:
    """The longest text that a model reads, in tokens."""
    found = [getattr(config, name, None) for name in (BLOCK_SIZE, *POSITIONS)]
    sizes = [size for size in found if isinstance(size, int) and size > 0]
    if not sizes:
        raise ModelError(f"{CONFIG} of type {config.model_type} doesn't say how many positions it has")
    return min(sizes)


@torch.no_grad()
def require_plain_head(net: "PreTrainedModel", model: "Pretrained") -> None:
    """See that the model's own logits are our hidden states times our table, and that they depend on no later token."""
    kind = f"a model of type {net.config.model_type}"
    if net.get_output_embeddings().bias is not None:
        raise ModelError(f"{kind} has a bias in its head, which our loss has no place for")
    if cap := getattr(net.config, "final_logit_softcapping", None):
        raise ModelError(f"{kind} caps its logits (final_logit_softcapping {cap}), which our loss doesn't")
    was_training = net.training
    net.eval()
    n = min(16, model.block_size)
    idx = (torch.arange(2 * n, device=model.device).view(2, n) * 7919) % model.vocab_size
    with torch.autocast(model.device.type, enabled=False):  # whatever the caller computes in
        theirs = net(input_ids=idx, use_cache=False).logits
        hidden = model.hidden(idx)
        ours = F.linear(hidden, model.table())
        earlier = model.hidden(idx[:, : n - 1])
    net.train(was_training)
    if not torch.allclose(ours, theirs, rtol=1e-3, atol=1e-3):
        scales = [key for key in ("logit_scale", "logits_scaling") if hasattr(net.config, key)]
        raise ModelError(
            f"the logits of {kind} are more than its head times its hidden states ({', '.join(scales) or 'a scale, perhaps'}); "
            "our loss can't be computed from it"
        )
    if not torch.allclose(hidden[:, : n - 1], earlier, rtol=1e-2, atol=1e-3):
        raise ModelError(f"{kind} sees later tokens; only a causal one can be used")


@torch.no_grad()
def require_dropout(model: "Pretrained") -> None:
    """See that the dropout that is asked for happens."""
    idx = torch.arange(min(16, model.block_size, model.vocab_size), device=model.device)[None]
    was_training = model.training
    model.train()
    with torch.random.fork_rng(devices=[]):
        first, second = model.hidden(idx), model.hidden(idx)
    model.train(was_training)
    if torch.equal(first, second):
        raise ModelError(
            f"dropout, attn_dropout: a model of type {model.hf_config.model_type} doesn't use them; set them to 0"
        )
