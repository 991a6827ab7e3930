"""Weights in safetensors files, one or several: looked at before they are believed."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gpt2_shakespeare import disk
from gpt2_shakespeare.errors import printable
from gpt2_shakespeare.model.config import TRANSPOSED, GPTConfig, ModelError, shapes

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
LARGEST_INDEX = 2**24  # bytes
PICKLE = "pytorch_model.bin"
BUFFERS = (".attn.bias", ".attn.masked_bias")  # causal masks, which old checkpoints contain
WRAPPERS = ("_orig_mod.", "module.")  # of torch.compile, and of training on several devices
HEAD = "lm_head.weight"
FLOATS = ("F64", "F32", "F16", "BF16")


@contextlib.contextmanager
def opened(folder: Path, config: GPTConfig) -> Iterator["Weights"]:
    """The weights in a folder, after their names, shapes and types have been compared with the config.

    Only the headers of the files are read for that, so nothing is built whose weights are not there.

    Raises:
        ModelError: a file is missing or broken; or a tensor is missing, unknown, of another shape or no float.
    """
    with _places(folder, _plain) as (file, found, problems):
        weights = Weights(file, found)
        refuse(file, problems + sorted(weights.problems(config)))
        yield weights


def headers(folder: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights in a folder, from the headers of their files.

    Raises:
        ModelError: a file is missing or broken, or a tensor is no float.
    """
    with _places(folder, _unwrapped) as (file, found, problems):
        shapes_found = {}
        for name, (tensors, theirs) in found.items():
            there = tensors.get_slice(theirs)
            shapes_found[name] = tuple(there.get_shape())
            if there.get_dtype() not in FLOATS:
                problems.append(
                    f"{printable(name)} is of type {there.get_dtype()}, not one of {', '.join(FLOATS)}"
                )
        refuse(file, problems)
        return shapes_found


def refuse(file: Path, problems: list[str]) -> None:
    """Raises ModelError with the first few, if there are any."""
    if problems:
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise ModelError(f"{file}: {'; '.join(problems[:5])}{more}")


@contextlib.contextmanager
def _places(
    folder: Path, plain: Callable[[str], str]
) -> Iterator[tuple[Path, dict[str, tuple[Any, str]], list[str]]]:
    """The file that stands for the weights; by its plain name each tensor's open file and name there; and problems."""
    file, shards = _files(folder)
    with contextlib.ExitStack() as stack:
        found: dict[str, tuple[Any, str]] = {}
        problems: list[str] = []
        for shard, listed in shards.items():
            tensors = stack.enter_context(_open(folder / shard))
            held = set(tensors.keys())
            problems += [f"{printable(name)} is not in {shard}" for name in sorted(listed - held)]
            for name in sorted(held):
                known_as = plain(name)
                if known_as in found:
                    problems.append(f"{printable(name)} is there twice")
                found[known_as] = (tensors, name)
        yield file, found, problems


class Weights:
    """Tensors in open files.

    Args:
        file: what messages name.
        places: by a tensor's plain name, its open file and its name there.
    """

    def __init__(self, file: Path, places: dict[str, tuple[Any, str]]):
        self.file = file
        self.places = {name: place for name, place in places.items() if not name.endswith(BUFFERS)}

    def problems(self, config: GPTConfig) -> list[str]:
        """How names, shapes and types differ from what the config asks for."""
        if config.n_layer > len(self.places):  # no list of a billion names
            return [f"{len(self.places)} tensors are too few for n_layer {config.n_layer}"]
        wanted = shapes(config)
        found = [f"{name} is missing" for name in wanted if name not in self.places]
        for name, (tensors, theirs) in self.places.items():
            if name == HEAD:
                continue
            if name not in wanted:
                found.append(f"{printable(name)} is not known")
                continue
            there = tensors.get_slice(theirs)
            shape = tuple(there.get_shape())
            if name.endswith(TRANSPOSED):
                shape = shape[::-1]
            if shape != wanted[name]:
                found.append(f"{name} has shape {shape}, not {wanted[name]}")
            elif there.get_dtype() not in FLOATS:
                found.append(f"{name} is of type {there.get_dtype()}, not one of {', '.join(FLOATS)}")
        return found

    def copy_to(self, state: dict[str, Tensor]) -> None:
        """Copy every tensor to its place among a transformer's weights.

        Raises:
            ModelError: a number is not finite, or the head is not tied to the embedding.
        """
        for name, target in state.items():
            tensor = self._read(name)
            target.copy_(tensor.t() if name.endswith(TRANSPOSED) else tensor)
            if (
                not torch.stack(torch.aminmax(target)).isfinite().all()
            ):  # NaN is both; no copy as large as the tensor
                raise ModelError(f"{self.file}: {name} holds numbers that are not finite")
        head, table = (self._read(name) if HEAD in self.places else None for name in (HEAD, "wte.weight"))
        if (
            head is not None
            and table is not None
            and (head.dtype != table.dtype or not torch.equal(head, table))
        ):
            raise ModelError(f"{self.file}: {HEAD} differs from wte.weight; only a tied head can be loaded")

    def _read(self, name: str) -> Tensor:
        tensors, theirs = self.places[name]
        try:
            return tensors.get_tensor(theirs)
        except (OSError, SafetensorError, RuntimeError) as error:
            raise ModelError(f"{self.file}: {name} can't be read: {printable(error, 200)}") from None


def _unwrapped(name: str) -> str:
    """A tensor's name without what wrappers put before it."""
    for wrapper in WRAPPERS:
        name = name.replace(wrapper, "")
    return name


def _plain(name: str) -> str:
    """A tensor's name without what wrappers and GPT2LMHeadModel put before it."""
    return _unwrapped(name).removeprefix("transformer.")


@contextlib.contextmanager
def _open(file: Path) -> Iterator[Any]:
    """A safetensors file whose header has been read and fits its size."""
    try:
        disk.require_file(file)
        tensors = safe_open(file, framework="pt")
    except disk.FileError as error:
        raise ModelError(str(error)) from None
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{file}: can't be read as safetensors: {printable(error, 200)}") from None
    with tensors:
        yield tensors


def _files(folder: Path) -> tuple[Path, dict[str, set[str]]]:
    """The file that stands for the weights, and the files that hold them, each with the tensors that an index lists.

    Raises:
        ModelError: there is none; the message says what lies there instead, and what to do.
    """
    file, index = folder / WEIGHTS, folder / INDEX
    if file.exists() or file.is_symlink():
        return file, {WEIGHTS: set()}
    if index.exists():
        return index, _shards(index)
    if (folder / PICKLE).exists() or (folder / f"{PICKLE}.index.json").exists():
        raise ModelError(
            f"{file}: not there, only {PICKLE}, a pickle, which can run any code and is not opened; if you trust it: "
            f"python -c \"from transformers import AutoModelForCausalLM as M; M.from_pretrained('{printable(folder, 200)}')"
            f".save_pretrained('{printable(folder, 200)}')\""
        )
    if next(folder.glob("model-*-of-*.safetensors"), None):
        raise ModelError(
            f"{index}: not there, only the files that it lists; fetch it from where they come from"
        )
    raise ModelError(f"{file}: can't be read: No such file or directory")


def _shards(index: Path) -> dict[str, set[str]]:
    """Files and their tensors by an index."""
    try:
        table = disk.read_json(index, LARGEST_INDEX).get("weight_map")
    except disk.FileError as error:
        raise ModelError(str(error)) from None
    if not isinstance(table, dict) or not table:
        raise ModelError(f"{index}: no weight_map, which says what tensor is in what file")
    found: dict[str, set[str]] = {}
    for name, shard in table.items():
        if not isinstance(shard, str) or Path(shard).name != shard or not shard.endswith(".safetensors"):
            raise ModelError(
                f"{index}: {printable(name)} is in {printable(repr(shard))}, not a safetensors file beside the index"
            )
        found.setdefault(shard, set()).add(name)
    return found
