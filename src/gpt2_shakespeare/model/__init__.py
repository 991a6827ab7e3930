"""The models: our GPT-2 and any causal language model of transformers, their loss, and their files on disk."""

from gpt2_shakespeare.model.config import GPTConfig, ModelError
from gpt2_shakespeare.model.gpt import GPT
from gpt2_shakespeare.model.language_model import LanguageModel
from gpt2_shakespeare.model.load import load_model

__all__ = ["GPT", "GPTConfig", "LanguageModel", "ModelError", "load_model"]
