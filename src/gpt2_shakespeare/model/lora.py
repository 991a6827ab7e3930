"""Low-rank adapters (LoRA, Hu et al. 2021) by peft."""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from gpt2_shakespeare.errors import printable
from gpt2_shakespeare.model.config import ModelError

if TYPE_CHECKING:
    from gpt2_shakespeare.model.language_model import LanguageModel


def add_lora(model: "LanguageModel", rank: int, alpha: int) -> None:
    """Freeze a model and add an adapter to every projection of its blocks, in place.

    Args:
        rank: of the adapters' matrices.
        alpha: what an adapter adds is scaled by alpha / rank.

    Raises:
        ModelError: peft can't adapt a model of this kind.
    """
    from peft import LoraConfig, inject_adapter_in_model
    from transformers.pytorch_utils import Conv1D

    names = {
        name.split(".")[-1]
        for name, part in model.blocks.named_modules()
        if isinstance(part, nn.Linear | Conv1D)
    }
    settings = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules=sorted(names))
    try:
        inject_adapter_in_model(settings, model.transformer)
    except ValueError as error:
        raise ModelError(f"{model.name}: LoRA: {printable(error, 200)}") from None
    for name, parameter in model.named_parameters():  # a head beside the trunk too
        parameter.requires_grad_(".lora_" in name)


def merged(module: nn.Module) -> dict[str, Tensor]:
    """The state dict of the same module without adapters: what they add is added to the weights they adapt."""
    state = {
        name.replace(".base_layer", ""): tensor
        for name, tensor in module.state_dict().items()
        if ".lora_" not in name
    }
    for name, part in module.named_modules():
        if hasattr(part, "get_delta_weight"):
            state[f"{name}.weight"] = state[f"{name}.weight"] + part.get_delta_weight("default")
    return state
