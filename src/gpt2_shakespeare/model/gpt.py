"""GPT-2 in PyTorch: one class for the model from scratch and the pretrained one.

Parameters have the names of `transformers.GPT2LMHeadModel`, so that each can read what the other has written.
"""

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpt2_shakespeare.model import dropout, files, weights
from gpt2_shakespeare.model.attention import attention
from gpt2_shakespeare.model.config import LAYER_NORM_EPS, GPTConfig
from gpt2_shakespeare.model.language_model import Cache, LanguageModel
from gpt2_shakespeare.model.lora import merged, save_adapter
from gpt2_shakespeare.model.spelling import Spelling

INIT_STD = 0.02  # standard deviation of GPT-2's random weights


class KVCache:
    """Keys and values of the tokens seen so far, at most block_size of them."""

    def __init__(self, kv: Tensor, length: int = 0):
        self.kv, self.length = kv, length

    @classmethod
    def of(cls, model: "GPT", batch_size: int) -> "KVCache":
        c, weight = model.config, model.transformer.wte.weight
        shape = (c.n_layer, 2, batch_size, c.n_head, c.block_size, c.n_embd // c.n_head)
        return cls(torch.empty(shape, dtype=weight.dtype, device=weight.device))

    def repeated(self, batch_size: int, room: int) -> "KVCache":
        kv = self.kv[:, :, :, :, : self.length + room].repeat(1, 1, batch_size, 1, 1, 1)
        return KVCache(kv, self.length)

    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store k and v (B, n_head, T, C / n_head) of the new tokens; return those of all tokens so far."""
        end = self.length + k.size(2)
        self.kv[layer, 0, :, :, self.length : end] = k
        self.kv[layer, 1, :, :, self.length : end] = v
        return self.kv[layer, 0, :, :, :end], self.kv[layer, 1, :, :, :end]


class Attention(nn.Module):
    """Causal multi-head self-attention."""

    def __init__(self, config: GPTConfig, layer: int):
        super().__init__()
        self.layer, self.n_head = layer, config.n_head
        self.attn_dropout, self.resid_dropout = config.dropout_of("attn"), config.dropout_of("resid")
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        B, T, C = x.shape
        qkv = self.c_attn(x).view(B, T, 3, self.n_head, C // self.n_head)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        if cache is not None:
            k, v = cache.append(self.layer, k, v)
        if k.size(2) == T:
            y = attention(q, k, v, self.attn_dropout if self.training else 0.0)
        else:  # new tokens after cached ones: each sees the cached ones, and the new ones up to itself
            mask = None
            if T > 1:
                mask = torch.ones(T, k.size(2), dtype=torch.bool, device=x.device).tril(k.size(2) - T)
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        y = self.c_proj(y.transpose(1, 2).flatten(2))
        return dropout.dropout(y, self.resid_dropout, self.training)


class MLP(nn.Module):
    """Two linear layers with a GELU between them; the hidden layer is four times as wide."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.resid_dropout = config.dropout_of("resid")
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))
        return dropout.dropout(x, self.resid_dropout, self.training)


class Block(nn.Module):
    """Pre-LN: each half reads a normalised copy of the residual stream and adds to it."""

    def __init__(self, config: GPTConfig, layer: int):
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, LAYER_NORM_EPS, bias=config.bias)
        self.attn = Attention(config, layer)
        self.ln_2 = nn.LayerNorm(config.n_embd, LAYER_NORM_EPS, bias=config.bias)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        x = x + self.attn(self.ln_1(x), cache)
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    """All of GPT-2 below its head."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.embd_dropout = config.dropout_of("embd")
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.block_size, config.n_embd)
        self.h = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd, LAYER_NORM_EPS, bias=config.bias)

    def forward(self, idx: Tensor, table: Tensor, cache: KVCache | None = None) -> Tensor:
        """Hidden states (B, T, C) of the tokens idx (B, T), which are rows of the table (n, C) of embeddings."""
        start = cache.length if cache else 0
        position = torch.arange(start, start + idx.size(1), device=idx.device)
        tokens = F.embedding(idx, table)
        x = dropout.dropout(tokens + self.wpe(position), self.embd_dropout, self.training)
        for block in self.h:
            x = block(x, cache)
        return self.ln_f(x)


class GPT(LanguageModel):
    """GPT-2 with a language-modelling head tied to the token embedding.

    `spelling` and `candidates` are used in training only (see `add_spelling` and `loss.Candidates`); a saved model has
    the spellings' part added to its token embedding.
    """

    transformer: Transformer

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.config = config
        self.transformer = Transformer(config)
        self.spelling: Spelling | None = None
        self._table: Tensor | None = None
        self._initialise()

    def _initialise(self) -> None:
        """GPT-2's: N(0, 0.02), the projections into the residual stream scaled by 1/sqrt(2 n_layer)."""
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif parameter.dim() == 2:
                residual = name.endswith("c_proj.weight")
                std = INIT_STD / (math.sqrt(2 * self.config.n_layer) if residual else 1)
                nn.init.normal_(parameter, std=std)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **dropout: float) -> "GPT":
        """Load a GPT-2 in Hugging Face format.

        Args:
            name_or_path: a folder with config.json and model.safetensors (or the files of an index,
                model.safetensors.index.json); or `gpt2`, `gpt2-medium`, `gpt2-large`, `gpt2-xl`, which are downloaded
                at a pinned revision.
            dropout: GPTConfig's dropout settings, instead of those in config.json.

        Raises:
            ModelError: a file is missing or broken, the config asks for what our GPT-2 doesn't have, or
                a tensor is missing, unknown, of another shape, no float, or not finite.
            AssetError: the hub can't be reached or serves other bytes.
        """
        with files.folder_of(name_or_path) as folder:
            config = files.read_config(folder, **dropout)
            with weights.opened(folder, config) as found:
                model = cls(config)
                with torch.no_grad():
                    found.copy_to(model.transformer.state_dict())
        model.name = str(name_or_path)
        return model

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors (fp32) as transformers.GPT2LMHeadModel reads them.

        LoRA adapters are merged into the weights, and written beside them too; the spellings' part is merged into the
        token embedding.
        """
        found = merged(self.transformer) | {"wte.weight": self.table().detach()}
        files.write(Path(folder), self.config, found)
        save_adapter(Path(folder), self.transformer, "transformer", transposed=True)

    @property
    def block_size(self) -> int:
        return self.config.block_size

    @property
    def vocab_size(self) -> int:
        return self.config.vocab_size

    @property
    def blocks(self) -> nn.ModuleList:
        return self.transformer.h

    def new_cache(self, batch_size: int) -> "KVCache":
        return KVCache.of(self, batch_size)

    def hidden(self, idx: Tensor, cache: Cache | None = None, table: Tensor | None = None) -> Tensor:
        length = self.require_room(idx, cache)
        assert cache is None or isinstance(cache, KVCache)
        x = self.transformer(idx, self.table() if table is None else table, cache)
        if cache:
            cache.length = length
        return x

    def table(self, types: Tensor | None = None) -> Tensor:
        """The embeddings of all types, or of some (n,): (n, C), with the spellings' part added.

        In eval mode the table of all types is computed once and kept until `train` is called.
        """
        weight = self.transformer.wte.weight
        if self.spelling is None:
            return weight if types is None else F.embedding(types, weight)
        if types is not None:
            return F.embedding(types, weight) + self.spelling(types)
        if self._table is not None:
            return self._table
        table = weight + self.spelling(torch.arange(len(weight), device=weight.device))
        if not self.training:
            self._table = table
        return table

    def train(self, mode: bool = True) -> "GPT":
        self._table = None
        return super().train(mode)

    def add_spelling(self, features: np.ndarray, starts: np.ndarray, std: float) -> None:
        self.spelling = Spelling(features, starts, self.config.n_embd)
        if std:
            nn.init.normal_(self.spelling.weight, std=std)
