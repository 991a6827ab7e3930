"""What the result of a training run depends on; it decides whether a checkpoint may be resumed."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

# The modules and folders of the package whose arithmetic decides the result.
CODE = ("measure", "model", "runtime.py", "tokens", "training")


def fingerprint(
    settings: Mapping[str, Any], *, weights: Mapping[str, Tensor], arrays: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """A flat table, so that each difference between two runs can be named.

    Args:
        settings: nested tables of params.
        weights: the initial ones.
        arrays: the data, by name.

    Returns:
        every setting under its dotted name, the version of torch, and hashes of weights, arrays and code.
    """
    result: dict[str, Any] = {}

    def flatten(table: Mapping[str, Any], above: str) -> None:
        for key, value in table.items():
            if isinstance(value, Mapping):
                flatten(value, f"{above}{key}.")
            else:
                result[above + key] = value

    flatten(settings, "")
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    result["initial weights"] = digest.hexdigest()[:16]
    for name, array in arrays.items():
        result[name] = _short_hash(array.tobytes())
    package = Path(__file__).parents[1]
    for part in CODE:
        modules = sorted((package / part).glob("*.py")) if (package / part).is_dir() else [package / part]
        for module in modules:
            result[f"code of {module.relative_to(package).as_posix()}"] = _short_hash(module.read_bytes())
    return result | {"torch": torch.__version__}


def _short_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
