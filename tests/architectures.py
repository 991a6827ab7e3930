"""Tiny random models of several architectures of transformers, as folders."""

import tiny
import torch
import transformers

SHAPE = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "vocab_size": tiny.VOCAB_SIZE, "max_position_embeddings": 32, "bos_token_id": 0, "eos_token_id": 0,
}  # fmt: skip
CONFIGS = {
    "llama": lambda: transformers.LlamaConfig(**SHAPE, num_key_value_heads=2, tie_word_embeddings=True),
    "qwen3": lambda: transformers.Qwen3Config(**SHAPE, num_key_value_heads=2, head_dim=8),
    "gpt_neox": lambda: transformers.GPTNeoXConfig(**SHAPE),
    "opt": lambda: transformers.OPTConfig(**SHAPE, ffn_dim=64, word_embed_proj_dim=32),
    "gemma": lambda: transformers.GemmaConfig(**SHAPE, num_key_value_heads=2, head_dim=8),
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=tiny.VOCAB_SIZE, n_positions=32, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
    ),
}  # fmt: skip


def saved(folder, kind, **changes):
    """A folder with a random model of this kind, and the model."""
    config = CONFIGS[kind]()
    for key, value in changes.items():
        setattr(config, key, value)
    torch.manual_seed(0)
    net = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    net.save_pretrained(folder)
    return net
