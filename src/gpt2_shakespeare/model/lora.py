"""Low-rank adapters (LoRA, Hu et al. 2021) by peft."""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from gpt2_shakespeare.model.config import PROJECTIONS

if TYPE_CHECKING:
    from gpt2_shakespeare.model.gpt import GPT


def add_lora(model: "GPT", rank: int, alpha: int) -> None:
    """Freeze a model and add an adapter to every projection of its blocks, in place.

    Args:
        rank: of the adapters' matrices.
        alpha: what an adapter adds is scaled by alpha / rank.
    """
    from peft import LoraConfig, inject_adapter_in_model

    names = sorted({name.split(".")[-1] for name in PROJECTIONS})
    settings = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules=names)
    inject_adapter_in_model(settings, model.transformer)


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
