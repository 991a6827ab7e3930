"""LoRA: what learns, and what is saved."""

import architectures
import pytest
import torch
from peft import PeftModel
from test_gpt import tiny
from transformers import AutoModelForCausalLM

from gpt2_shakespeare.model import GPT, load_model
from gpt2_shakespeare.model.lora import add_lora


def test_lora_trains_adapters_only_and_is_saved_merged(tmp_path):
    model, before = tiny(), tiny()
    add_lora(model, rank=2, alpha=4)
    learning = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert len(learning) == 3 * 4 * 2 and all(".lora_" in name for name in learning)
    idx = torch.arange(10)[None]
    assert torch.equal(model(idx)[0], before(idx)[0])  # an adapter starts at zero
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_B" in name:
                parameter.normal_()
    model.save_pretrained(tmp_path)
    assert not torch.allclose(model(idx)[0], before(idx)[0], atol=1e-2)
    torch.testing.assert_close(GPT.from_pretrained(tmp_path)(idx)[0], model(idx)[0], rtol=1e-4, atol=1e-4)


def trained(model):
    """The model with an adapter that changes it."""
    add_lora(model, rank=2, alpha=4)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_B" in name:
                parameter.normal_(std=0.5)
    return model


@pytest.mark.parametrize("kind", ["ours", *architectures.CONFIGS])
def test_peft_opens_the_adapter_alone_on_the_base(tmp_path, kind):
    base, folder, again = tmp_path / "base", tmp_path / "row", tmp_path / "again"
    if kind == "ours":
        tiny().save_pretrained(base)
    else:
        architectures.saved(base, kind)
    model = trained(load_model(base))
    model.save_pretrained(folder)
    idx = torch.arange(10)[None]
    opened = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder / "adapter")
    merged = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        torch.testing.assert_close(opened(idx).logits, merged(idx).logits, rtol=1e-4, atol=1e-4)
        plain = AutoModelForCausalLM.from_pretrained(base)
        assert not torch.allclose(plain(idx).logits, merged(idx).logits, atol=1e-2)
    model.save_pretrained(again)
    files = {path.name: path.read_bytes() for path in (folder / "adapter").iterdir()}
    assert set(files) == {"adapter_config.json", "adapter_model.safetensors"}
    assert files == {path.name: path.read_bytes() for path in (again / "adapter").iterdir()}
    assert str(tmp_path).encode() not in b"".join(files.values())


def test_a_model_without_an_adapter_has_no_folder_for_it(tmp_path):
    tiny().save_pretrained(tmp_path)
    assert not (tmp_path / "adapter").exists()
