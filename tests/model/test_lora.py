"""LoRA: what learns, and what is saved."""

import torch
from test_gpt import tiny

from gpt2_shakespeare.model import GPT
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
