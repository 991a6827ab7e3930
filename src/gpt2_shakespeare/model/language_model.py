"""What every language model here can do: our own GPT-2, and those that transformers builds."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpt2_shakespeare import runtime
from gpt2_shakespeare.model.config import ModelError
from gpt2_shakespeare.model.loss import Candidates, linear_cross_entropy


class Cache(Protocol):
    """Keys and values of the tokens that a model has read."""

    length: int  # of these tokens

    def repeated(self, batch_size: int, room: int) -> "Cache":
        """A cache of this many texts that all begin with the one text of this cache, each with room for more tokens."""


class LanguageModel(nn.Module, ABC):
    """A causal language model, as training, measuring and sampling know it.

    The logits of a position are its hidden state (`hidden`) times the rows of a matrix (`table`); the training loss is
    computed from these two, so that the logits are never all in memory.

    `candidates` are used in training only: see `loss.Candidates`.
    """

    transformer: nn.Module  # all of it below the head
    name = "the model"  # in messages; the folder that it was loaded from
    candidates: Candidates | None = None

    @property
    @abstractmethod
    def block_size(self) -> int:
        """Tokens of the longest text that it can read at once."""

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """Rows of its embedding."""

    @property
    @abstractmethod
    def blocks(self) -> nn.ModuleList:
        """Its layers."""

    @abstractmethod
    def hidden(self, idx: Tensor, cache: Cache | None = None, table: Tensor | None = None) -> Tensor:
        """Final hidden states, (B, T, C).

        Args:
            idx: token ids (B, T); with a cache, the tokens that follow those in it.
            cache: of `new_cache`; read and extended in place.
            table: embeddings (n, C) whose rows idx names, instead of those of all types.

        Raises:
            ModelError: more tokens than block_size.
        """

    @abstractmethod
    def table(self, types: Tensor | None = None) -> Tensor:
        """The head's rows of all types, or of some (n,): (n, C)."""

    @abstractmethod
    def new_cache(self, batch_size: int) -> Cache:
        """An empty cache for this many texts."""

    @abstractmethod
    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors (fp32) as transformers reads them, LoRA adapters merged."""

    @abstractmethod
    def add_spelling(self, features: np.ndarray, starts: np.ndarray, std: float) -> None:
        """Let types whose spellings have something in common share a part of their embeddings, in training.

        Args:
            features, starts: as `spelling.Spelling` takes them.
            std: standard deviation of the random vectors; 0 leaves them at zero.

        Raises:
            ModelError: this model can't.
        """

    def sample_types(self, text: np.ndarray, sampled: int) -> None:
        """Compute training losses over the types of a text and this many others: see `loss.Candidates`.

        Raises:
            ModelError: this model can't.
        """
        self.candidates = Candidates(text, self.vocab_size, sampled)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def forward(
        self, idx: Tensor, targets: Tensor | None = None, cache: Cache | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Logits of every position, and the mean loss if targets are given.

        Args:
            idx, cache: as of `hidden`.
            targets: the ids to predict, (B, T).

        Returns:
            logits (B, T, vocab_size); loss in nats per token, or None.

        Raises:
            ModelError: more tokens than block_size.
        """
        logits = F.linear(self.hidden(idx, cache), self.table())
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    def loss(self, idx: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of `forward`, for training: the logits are never all in memory.

        With candidates it is an estimate: the softmax is over a sample of the token types.
        """
        runtime.keep_memory()
        types = log_weights = None
        if self.candidates:
            types, log_weights, idx, targets = self.candidates.draw(idx, targets)
        table = self.table(types)
        embeddings = None if types is None else table
        return linear_cross_entropy(self.hidden(idx, table=embeddings), table, targets, log_weights)

    def require_room(self, idx: Tensor, cache: Cache | None) -> int:
        """Tokens of the text so far and the new ones together; raises ModelError where they are above block_size."""
        length = idx.size(1) + (cache.length if cache else 0)
        if length > self.block_size:
            raise ModelError(f"{length} tokens are more than block_size {self.block_size}")
        return length

    def n_params(self) -> int:
        """Number of parameters; a tied head counts once."""
        return sum(parameter.numel() for parameter in self.parameters())
