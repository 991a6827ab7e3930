"""The models: our GPT-2, its loss, and its files on disk."""

from gpt2_shakespeare.model.gpt import GPT, GPTConfig, ModelError

__all__ = ["GPT", "GPTConfig", "ModelError"]
