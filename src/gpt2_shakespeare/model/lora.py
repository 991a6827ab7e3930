"""Low-rank adapters (LoRA, Hu et al. 2021) by peft."""

from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import save_file
from torch import Tensor, nn

from gpt2_shakespeare import disk
from gpt2_shakespeare.errors import printable
from gpt2_shakespeare.model.config import ModelError

if TYPE_CHECKING:
    from gpt2_shakespeare.model.language_model import LanguageModel

ADAPTER = "adapter"  # folder in a model's, as peft reads it
NAME = "default"  # of the one adapter that a model has


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
            state[f"{name}.weight"] = state[f"{name}.weight"] + part.get_delta_weight(NAME)
    return state


def save_adapter(folder: Path, trunk: nn.Module, prefix: str, transposed: bool = False) -> None:
    """Write the adapter of a model alone into folder/adapter, if it has one.

    `peft.PeftModel.from_pretrained(base, folder / "adapter")` opens it, where base is transformers' model of what
    training started from.

    Args:
        folder: the model's.
        trunk: the model's part without the head.
        prefix: transformers' name for the trunk.
        transposed: transformers has GPT-2's Conv1D, (in, out), where the trunk has Linear.
    """
    adapted = {name: part for name, part in trunk.named_modules() if hasattr(part, "get_delta_weight")}
    if not adapted:
        return
    from transformers.pytorch_utils import Conv1D

    one = next(iter(adapted.values()))
    tensors = {
        f"base_model.model.{prefix}.{name}.{matrix}.weight": getattr(part, matrix)[NAME]
        .weight.detach()
        .float()
        .cpu()
        for name, part in sorted(adapted.items())
        for matrix in ("lora_A", "lora_B")
    }
    settings = {
        "base_model_name_or_path": None,
        "bias": "none",
        "fan_in_fan_out": transposed or isinstance(one.get_base_layer(), Conv1D),
        "inference_mode": True,
        "lora_alpha": one.lora_alpha[NAME],
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "r": one.r[NAME],
        "target_modules": sorted({name.split(".")[-1] for name in adapted}),
        "task_type": "CAUSAL_LM",
    }
    with disk.aside(folder / ADAPTER / "adapter_model.safetensors") as temp:
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()}, temp, metadata={"format": "pt"}
        )
    disk.write_json(folder / ADAPTER / "adapter_config.json", settings, indent=2)
