"""The model: our GPT-2, its loss, and its files on disk."""

from gpt2_shakespeare.model.config import GPTConfig, ModelError
from gpt2_shakespeare.model.gpt import GPT

__all__ = ["GPT", "GPTConfig", "ModelError"]
