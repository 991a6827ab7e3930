"""Any causal language model that transformers builds, from a folder in Hugging Face format: never with code from there."""

import contextlib
import copy
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from gpt2_shakespeare import disk
from gpt2_shakespeare.errors import printable
from gpt2_shakespeare.model import pretrained_checks as checks
from gpt2_shakespeare.model import weights
from gpt2_shakespeare.model.attention import use_in_transformers
from gpt2_shakespeare.model.config import ModelError
from gpt2_shakespeare.model.files import CONFIG
from gpt2_shakespeare.model.language_model import Cache, LanguageModel
from gpt2_shakespeare.model.lora import merged, save_adapter

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


class HuggingFaceCache:
    """Keys and values as transformers keeps them."""

    def __init__(self, config: "PretrainedConfig"):
        from transformers import DynamicCache

        self.kv = DynamicCache(config=config)
        self.length = 0

    def repeated(self, batch_size: int, room: int) -> "HuggingFaceCache":
        found = copy.deepcopy(self)
        found.kv.batch_repeat_interleave(batch_size)
        return found


class Pretrained(LanguageModel):
    """A model of transformers behind our interface.

    Args:
        net: its weights are used, not copied.

    Raises:
        ModelError: its logits are not its head times its hidden states, which our loss relies on.
    """

    def __init__(self, net: "PreTrainedModel"):
        super().__init__()
        head, embedding = net.get_output_embeddings(), net.get_input_embeddings()
        if not isinstance(head, nn.Linear) or net.base_model is net:
            raise ModelError(
                f"a model of type {net.config.model_type} has no linear head on a trunk, so our loss can't be computed from it"
            )
        self.hf_config, self.kind = net.config, type(net).__name__
        self.prefix = net.base_model_prefix
        self.head_name = next(name for name, module in net.named_modules() if module is head)
        self.transformer: Any = net.base_model
        self.head = None if head.weight is embedding.weight else head
        self._block_size = checks.positions(net.config)
        checks.require_plain_head(net, self)
        use_in_transformers(net)

    # --- its parts -------------------------------------------------------------------------------------------------

    @property
    def block_size(self) -> int:
        return self._block_size

    @block_size.setter
    def block_size(self, size: int) -> None:
        """Read no longer texts than this; it is saved with the model."""
        self._block_size = min(size, checks.positions(self.hf_config))
        self.hf_config.block_size = self._block_size

    @property
    def vocab_size(self) -> int:
        return len(self.transformer.get_input_embeddings().weight)

    @property
    def blocks(self) -> nn.ModuleList:
        lists = [module for module in self.transformer.modules() if isinstance(module, nn.ModuleList)]
        return max(lists, key=lambda blocks: sum(p.numel() for p in blocks.parameters()))

    def new_cache(self, batch_size: int) -> HuggingFaceCache:
        return HuggingFaceCache(self.hf_config)

    def hidden(self, idx: Tensor, cache: Cache | None = None, table: Tensor | None = None) -> Tensor:
        length = self.require_room(idx, cache)
        assert cache is None or isinstance(cache, HuggingFaceCache)
        given = {"input_ids": idx} if table is None else {"inputs_embeds": F.embedding(idx, table)}
        out = self.transformer(
            **given, past_key_values=cache.kv if cache else None, use_cache=cache is not None
        )
        if cache:
            cache.length = length
        return out.last_hidden_state

    def table(self, types: Tensor | None = None) -> Tensor:
        weight = (self.head or self.transformer.get_input_embeddings()).weight
        return weight if types is None else F.embedding(types, weight)

    # --- what it can't do --------------------------------------------------------------------------------------------

    def add_spelling(self, features: np.ndarray, starts: np.ndarray, std: float) -> None:
        raise ModelError(f"{self.name}: spelling: only our own GPT-2 has it; set it to false")

    def sample_types(self, text: np.ndarray, sampled: int) -> None:
        if self.head is not None:
            raise ModelError(
                f"{self.name}: sampled_types: its head is not tied to its embedding, which sampling the types needs; leave "
                "it empty"
            )
        if type(self.transformer.get_input_embeddings()) is not nn.Embedding:
            raise ModelError(
                f"{self.name}: sampled_types: its embedding does more than look rows up; leave it empty"
            )
        super().sample_types(text, sampled)

    # --- on disk -----------------------------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(cls, folder: str | Path, **dropout: float) -> "Pretrained":
        """Load a model whose folder has config.json and model.safetensors, or the files of an index.

        Args:
            dropout: `embd_dropout`, `attn_dropout` and `resid_dropout`, instead of those in config.json.

        Raises:
            ModelError: it is no causal language model that transformers knows, comes with code, or holds weights that
                don't fit, are no floats or not finite; or it can't honour a dropout above 0.
        """
        from transformers import AutoModelForCausalLM

        folder = Path(folder)
        config = checks.read_config(folder, **dropout)
        found = weights.headers(folder)
        checks.require_enough(folder, config, found)
        try:
            with _quiet():
                loaded: Any = AutoModelForCausalLM.from_pretrained(
                    folder, config=config, dtype=torch.float32, local_files_only=True, use_safetensors=True,
                    trust_remote_code=False, output_loading_info=True, ignore_mismatched_sizes=True,
                )  # fmt: skip
            net, info = loaded
        except Exception as error:  # of many kinds, by architecture
            raise ModelError(f"{folder}: can't be loaded: {printable(error, 300)}") from None
        problems = [f"{printable(name)} is missing" for name in sorted(info["missing_keys"])]
        problems += [f"{printable(name)} is not known" for name in sorted(info["unexpected_keys"])]
        for name, there, wanted in sorted(info["mismatched_keys"]):
            problems.append(f"{printable(name)} has shape {tuple(there)}, not {tuple(wanted)}")
        problems += checks.not_finite(net)
        weights.refuse(folder, problems)
        return _named(cls, net, folder, **dropout)

    @classmethod
    def random(cls, folder: str | Path, **dropout: float) -> "Pretrained":
        """A model of the same shape as one in a folder, with random weights by torch's generator."""
        from transformers import AutoModelForCausalLM

        net = AutoModelForCausalLM.from_config(
            checks.read_config(Path(folder), **dropout), dtype=torch.float32
        )
        return _named(cls, net, Path(folder), **dropout)

    @classmethod
    def from_gguf(cls, file: Path) -> "Pretrained":
        """Load a GGUF file and turn its quantised numbers into fp32 ones.

        Raises:
            ModelError: it can't be read, or holds what transformers can't turn into fp32.
        """
        from transformers import AutoModelForCausalLM

        try:
            with _quiet():
                net = AutoModelForCausalLM.from_pretrained(
                    file.parent, gguf_file=file.name, dtype=torch.float32, local_files_only=True
                )
        except Exception as error:  # of many kinds
            raise ModelError(f"{file}: can't be read as a GGUF model: {printable(error, 300)}") from None
        if hasattr(net.config, "quantization_config"):
            del net.config.quantization_config
        weights.refuse(file, checks.not_finite(net))
        return _named(cls, net, file)

    def save_pretrained(self, folder: str | Path) -> None:
        folder = Path(folder)
        found = {f"{self.prefix}.{name}": tensor for name, tensor in merged(self.transformer).items()}
        if self.head is not None:
            found[f"{self.head_name}.weight"] = self.head.weight
        tensors = {name: tensor.detach().float().cpu().contiguous() for name, tensor in sorted(found.items())}
        with disk.aside(folder / weights.WEIGHTS) as temp:
            save_file(tensors, temp, metadata={"format": "pt"})
        settings = json.loads(self.hf_config.to_json_string(use_diff=True))
        settings = {
            key: value
            for key, value in settings.items()
            if not key.startswith("_") and key != "transformers_version"
        }
        settings |= {"architectures": [self.kind], "dtype": "float32"}
        disk.write_json(folder / CONFIG, settings, indent=2, sort_keys=True)
        save_adapter(folder, self.transformer, self.prefix)


def _named(cls: type[Pretrained], net: "PreTrainedModel", folder: Path, **dropout: float) -> Pretrained:
    try:
        model = cls(net)
        if any(dropout.values()):
            checks.require_dropout(model)
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from None
    model.name = str(folder)
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the reports and progress bars of transformers: what matters of them becomes our own errors."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(verbosity)
        logging.enable_progress_bar()
