"""GPT-2 in PyTorch: one class for the model from scratch and the pretrained one.

Parameters carry Hugging Face's names, so that `save_pretrained` writes and `from_pretrained` reads what
`transformers.GPT2LMHeadModel` does. Only the four projections of a block differ: Hugging Face keeps them
as (in, out), `nn.Linear` as (out, in); they are transposed on the way.
"""

import dataclasses
import json
import logging
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gpt2_shakespeare.errors import UserError
from gpt2_shakespeare.model import dropout
from gpt2_shakespeare.model.loss import Candidates, linear_cross_entropy

log = logging.getLogger(__name__)

LAYER_NORM_EPS = 1e-5  # GPT-2's
INIT_STD = 0.02  # of GPT-2's random weights
TANH_GELU = ("gelu_new", "gelu_pytorch_tanh")  # two names that Hugging Face has for GPT-2's activation
TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
BUFFERS = (".attn.bias", ".attn.masked_bias")  # causal masks that old checkpoints carry


class ModelError(UserError, ValueError):
    """A model or its files can't be used; the message names the file, the tensor or the setting."""


@dataclass(frozen=True)
class GPTConfig:
    """Shape of a GPT-2; the defaults are the 124M model. `dropout` stands for each kind left at None."""

    block_size: int = 1024
    vocab_size: int = 50257
    n_layer: int = 12
    n_head: int = 12
    n_embd: int = 768
    dropout: float = 0.0
    bias: bool = True
    embd_dropout: float | None = None
    attn_dropout: float | None = None
    resid_dropout: float | None = None

    def __post_init__(self) -> None:
        for name in ("block_size", "vocab_size", "n_layer", "n_head", "n_embd"):
            if getattr(self, name) < 1:
                raise ModelError(f"{name}: {getattr(self, name)} is not a positive number")
        if self.n_embd % self.n_head:
            raise ModelError(f"n_embd: {self.n_embd} is not divisible by n_head {self.n_head}")
        for name in ("dropout", "embd_dropout", "attn_dropout", "resid_dropout"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise ModelError(f"{name}: {value} is not in [0, 1)")

    def dropout_of(self, kind: str) -> float:
        """Dropout of `embd`, `attn` or `resid`."""
        value = getattr(self, f"{kind}_dropout")
        return self.dropout if value is None else value


class KVCache:
    """Keys and values of the tokens seen so far, at most block_size of them."""

    def __init__(self, model: "GPT", batch_size: int):
        c, weight = model.config, model.transformer.wte.weight
        shape = (c.n_layer, 2, batch_size, c.n_head, c.block_size, c.n_embd // c.n_head)
        self.kv = torch.empty(shape, dtype=weight.dtype, device=weight.device)
        self.length = 0

    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store k, v (B, n_head, T, head) of the new tokens; return those of all tokens so far."""
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
        drops = self.training and self.attn_dropout > 0
        if drops and dropout.is_for(x):
            return self._project(dropout.attention(qkv, self.attn_dropout))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mask = None
        if cache is not None:
            k, v = cache.append(self.layer, k, v)
            if (
                1 < T < k.size(2)
            ):  # several new tokens after old ones: each sees the old and those up to itself
                mask = torch.ones(T, k.size(2), dtype=torch.bool, device=x.device).tril(k.size(2) - T)
        y = F.scaled_dot_product_attention(
            q, k, v,
            attn_mask=mask,
            dropout_p=self.attn_dropout if drops else 0.0,
            is_causal=mask is None and T > 1,
        )  # fmt: skip
        return self._project(y.transpose(1, 2))

    def _project(self, y: Tensor) -> Tensor:
        """What all heads found, (B, T, n_head, C / n_head), back into the residual stream, (B, T, C)."""
        return dropout.dropout(self.c_proj(y.flatten(2)), self.resid_dropout, self.training)


class MLP(nn.Module):
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
    """All of GPT-2 below its head; the token embedding is the head's matrix too."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.embd_dropout = config.dropout_of("embd")
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.block_size, config.n_embd)
        self.h = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd, LAYER_NORM_EPS, bias=config.bias)

    def forward(self, idx: Tensor, table: Tensor, cache: KVCache | None = None) -> Tensor:
        """idx (B, T) -> hidden states (B, T, C); the rows of the table are the embeddings of the ids."""
        start = cache.length if cache else 0
        position = torch.arange(start, start + idx.size(1), device=idx.device)
        tokens = F.embedding(idx, table)
        x = dropout.dropout(tokens + self.wpe(position), self.embd_dropout, self.training)
        for block in self.h:
            x = block(x, cache)
        return self.ln_f(x)


class Spelling(nn.Module):
    """What types that are spelled alike share: a vector for each feature of a spelling (`tokenizer.spelling`), and a
    type's are added up (Bojanowski et al. 2017), over the root of their number.

    Args:
        features: the features of all types, one after the other.
        starts: where each type's begin, and the end of the last one's; (vocab_size + 1,).
    """

    features: Tensor
    starts: Tensor

    def __init__(self, features: np.ndarray, starts: np.ndarray, n_embd: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(int(features.max(initial=-1)) + 1, n_embd))
        self.register_buffer("features", torch.from_numpy(features), persistent=False)
        self.register_buffer("starts", torch.from_numpy(starts), persistent=False)

    def forward(self, types: Tensor) -> Tensor:
        """What is added to the embeddings of the types (n,), (n, C)."""
        first, counts = self.starts[types], self.starts[types + 1] - self.starts[types]
        ends = counts.cumsum(0)
        places = torch.arange(int(ends[-1]), device=types.device)
        places += torch.repeat_interleave(first - (ends - counts), counts)
        total = F.embedding_bag(self.features[places], self.weight, ends - counts, mode="sum")
        return total * counts.clamp(min=1).rsqrt()[:, None]


class GPT(nn.Module):
    """GPT-2 with a language-modelling head tied to the token embedding.

    Raises:
        ModelError: by the config, for a shape that can't be.
    """

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.config = config
        self.transformer = Transformer(config)
        self.spelling: Spelling | None = None  # in training only; on disk it is part of the token embedding
        self.candidates: Candidates | None = None
        self._table: Tensor | None = None
        self._initialise()

    def add_spelling(self, features: np.ndarray, starts: np.ndarray, std: float) -> None:
        """Let types that are spelled alike learn together; the arguments are Spelling's, and the spread of its weights."""
        self.spelling = Spelling(features, starts, self.config.n_embd)
        if std:
            nn.init.normal_(self.spelling.weight, std=std)

    def train(self, mode: bool = True) -> "GPT":
        self._table = None
        return super().train(mode)

    def table(self, types: Tensor | None = None) -> Tensor:
        """The embeddings of all types, or of some (n,); (n, C). In eval mode made once."""
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

    def _initialise(self) -> None:
        """GPT-2's: N(0, 0.02), the projections into the residual stream scaled by 1/sqrt(2 n_layer)."""
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif parameter.dim() == 2:
                residual = name.endswith("c_proj.weight")
                std = INIT_STD / (math.sqrt(2 * self.config.n_layer) if residual else 1)
                nn.init.normal_(parameter, std=std)

    def forward(
        self, idx: Tensor, targets: Tensor | None = None, cache: KVCache | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Logits of every position, and the mean loss where targets are given.

        Args:
            idx: token ids (B, T); with a cache, the tokens that follow those in it.
            targets: the ids to predict, (B, T).
            cache: read and extended in place.

        Returns:
            logits (B, T, vocab_size); loss in nats per token, or None.

        Raises:
            ModelError: more tokens than block_size.
        """
        logits = F.linear(self.hidden(idx, cache), self.table())
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    def hidden(self, idx: Tensor, cache: KVCache | None = None, table: Tensor | None = None) -> Tensor:
        """Final hidden states, (B, T, n_embd); idx are places in the table, where one is given."""
        length = idx.size(1) + (cache.length if cache else 0)
        if length > self.config.block_size:
            raise ModelError(f"{length} tokens are more than block_size {self.config.block_size}")
        x = self.transformer(idx, self.table() if table is None else table, cache)
        if cache:
            cache.length = length
        return x

    def loss(self, idx: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of `forward`, for training: it never holds all logits at once. With candidates, an estimate."""
        types = log_weights = None
        if self.candidates:
            types, log_weights, idx, targets = self.candidates.draw(idx, targets)
        table = self.table(types)
        return linear_cross_entropy(self.hidden(idx, table=table), table, targets, log_weights)

    def n_params(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    # --- on disk -------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **dropout: float) -> "GPT":
        """A GPT-2 in Hugging Face format.

        Args:
            name_or_path: a folder with config.json and model.safetensors, or `gpt2`, `gpt2-medium`,
                `gpt2-large`, `gpt2-xl`, which are downloaded at a pinned revision.
            dropout: GPTConfig's dropout settings, instead of those in config.json.

        Raises:
            ModelError: a file is missing or broken, the config asks for what GPT-2 doesn't have, or
                a tensor is missing, extra or misshapen.
            AssetError: the hub can't be reached or serves other bytes.
        """
        from gpt2_shakespeare.corpora.assets import HUB_NAMES
        from gpt2_shakespeare.corpora.hub import fetch_hub

        if str(name_or_path) in HUB_NAMES:
            with tempfile.TemporaryDirectory() as temp:
                folder = fetch_hub(*HUB_NAMES[str(name_or_path)], Path(temp))
                return cls.from_pretrained(folder, **dropout)
        folder = Path(name_or_path)
        model = cls(read_config(folder, **dropout))
        model._load(folder / "model.safetensors")
        return model

    def _load(self, file: Path) -> None:
        try:
            found = load_file(file)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{file}: can't be read as safetensors: {error}") from None
        found = {
            name.removeprefix("transformer."): tensor
            for name, tensor in found.items()
            if not name.endswith(BUFFERS)
        }
        head = found.pop("lm_head.weight", None)
        if head is not None and not torch.equal(head, found.get("wte.weight", torch.empty(0))):
            raise ModelError(
                f"{file}: lm_head.weight differs from wte.weight; only a tied head can be loaded"
            )
        wanted = self.transformer.state_dict()
        problems = [f"{name} is missing" for name in wanted if name not in found]
        problems += [f"{name} is not known" for name in found if name not in wanted]
        for name in wanted.keys() & found.keys():
            if name.endswith(TRANSPOSED):
                found[name] = found[name].t()
            if found[name].shape != wanted[name].shape:
                problems.append(
                    f"{name} has shape {tuple(found[name].shape)}, not {tuple(wanted[name].shape)}"
                )
        if problems:
            more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
            raise ModelError(f"{file}: {'; '.join(sorted(problems)[:5])}{more}")
        self.transformer.load_state_dict({name: tensor.float() for name, tensor in found.items()})

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors (fp32) as transformers.GPT2LMHeadModel reads them; LoRA is merged."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        c = self.config
        tensors = {}
        for name, tensor in (merged(self.transformer) | {"wte.weight": self.table().detach()}).items():
            tensor = tensor.t() if name.endswith(TRANSPOSED) else tensor
            tensors[f"transformer.{name}"] = tensor.float().cpu().contiguous()
        if not c.bias:  # Hugging Face's GPT-2 always has biases: zeros give the same logits
            for name, tensor in list(tensors.items()):
                if name.endswith(TRANSPOSED):
                    tensors[name.replace("weight", "bias")] = torch.zeros(tensor.size(1))
                elif ".ln_" in name:
                    tensors[name.replace("weight", "bias")] = torch.zeros_like(tensor)
        save_file(dict(sorted(tensors.items())), folder / "model.safetensors", metadata={"format": "pt"})
        settings = {
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "activation_function": "gelu_new",
            "attn_pdrop": c.dropout_of("attn"),
            "embd_pdrop": c.dropout_of("embd"),
            "resid_pdrop": c.dropout_of("resid"),
            "layer_norm_epsilon": LAYER_NORM_EPS,
            "n_embd": c.n_embd,
            "n_head": c.n_head,
            "n_layer": c.n_layer,
            "n_positions": c.block_size,
            "vocab_size": c.vocab_size,
            "bos_token_id": c.vocab_size - 1,
            "eos_token_id": c.vocab_size - 1,
            "tie_word_embeddings": True,
        }
        (folder / "config.json").write_text(json.dumps(settings, indent=2) + "\n")


def merged(module: nn.Module) -> dict[str, Tensor]:
    """The state of a module as if it had no LoRA adapters: what they add, added to the weights they adapt."""
    state = {
        name.replace(".base_layer", ""): tensor
        for name, tensor in module.state_dict().items()
        if ".lora_" not in name
    }
    for name, part in module.named_modules():
        if hasattr(part, "get_delta_weight"):
            state[f"{name}.weight"] = state[f"{name}.weight"] + part.get_delta_weight("default")
    return state


def add_lora(model: "GPT", rank: int, alpha: int) -> None:
    """Freeze the model and add LoRA adapters (Hu et al. 2021) to every projection of its blocks, in place."""
    from peft import LoraConfig, inject_adapter_in_model

    names = sorted({name.split(".")[-2] for name in TRANSPOSED})
    settings = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules=names)
    inject_adapter_in_model(settings, model.transformer)


def read_config(folder: Path, **dropout: float) -> GPTConfig:
    """GPTConfig from a Hugging Face config.json; refuses what our GPT-2 can't be.

    Raises:
        ModelError: no such file, not JSON, a missing key, or a setting that changes the arithmetic.
    """
    file = folder / "config.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"{file}: can't be read: {error.strerror}; a GPT-2 in Hugging Face format has it"
        ) from None
    except ValueError as error:
        raise ModelError(f"{file}: not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ModelError(f"{file}: not a table of settings")
    n_embd = found.get("n_embd")
    fixed = {
        "model_type": ("gpt2",),
        "activation_function": TANH_GELU,
        "layer_norm_epsilon": (LAYER_NORM_EPS,),
        "n_inner": (None, 4 * n_embd if isinstance(n_embd, int) else None),
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
        "add_cross_attention": (False,),
        "tie_word_embeddings": (True,),
    }
    for key, allowed in fixed.items():
        if key in found and found[key] not in allowed:
            raise ModelError(f"{file}: {key} is {found[key]!r}; only {allowed[0]!r} can be loaded")
    sizes: dict[str, int] = {}
    for key in ("n_positions", "vocab_size", "n_layer", "n_head", "n_embd"):
        value = found.get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ModelError(f"{file}: {key} is {value!r}, not a whole number")
        sizes["block_size" if key == "n_positions" else key] = value
    if not dropout:
        dropout = {f"{kind}_dropout": found.get(f"{kind}_pdrop", 0.1) for kind in ("embd", "attn", "resid")}
    return dataclasses.replace(GPTConfig(**sizes), **dropout)  # type: ignore[arg-type]
