"""Reading JSON, and writing a folder of results in one go."""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from gpt2_shakespeare import disk
from gpt2_shakespeare.errors import UserError


class ReportError(UserError, ValueError):
    """Something that the report needs is missing or broken; the message names the file."""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ReportError: the file is missing, can't be read, or holds no JSON object.
    """
    try:
        facts = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ReportError(f"{path}: not there") from None
    except OSError as error:
        raise ReportError(f"{path}: can't be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ReportError(f"{path}: broken, not valid JSON") from None
    if not isinstance(facts, dict):
        raise ReportError(f"{path}: broken, not a JSON object")
    return facts


def read_array(path: Path, name: str) -> np.ndarray:
    """An array of finite numbers, (n,), from a file of safetensors.

    Raises:
        ReportError: the file is missing or can't be read, or it holds no such array.
    """
    try:
        found = load_file(path)[name]
    except FileNotFoundError:
        raise ReportError(f"{path}: not there") from None
    except OSError as error:
        raise ReportError(f"{path}: can't be read: {error.strerror or error}") from None
    except SafetensorError:
        raise ReportError(f"{path}: broken, not a file of safetensors") from None
    except KeyError:
        raise ReportError(f"{path}: no {name} in it") from None
    if found.ndim != 1 or not np.isfinite(found).all():
        raise ReportError(f"{path}: {name} is not a list of finite numbers")
    return found


def is_number(value: Any) -> bool:
    """Whether it is a finite number of a sensible size; neither a bool nor NaN is."""
    return not isinstance(value, bool) and isinstance(value, int | float) and abs(value) < 1e15


def write(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files, by their paths inside the folder; the old ones stay until all new ones are written.

    A folder inside it is replaced as a whole: a file that is no longer in it goes.
    """
    tops: dict[str, dict[str, bytes]] = {}
    for name, content in contents.items():
        tops.setdefault(name.split("/")[0], {})[name] = content
    with contextlib.ExitStack() as all_written:
        for top, inside in tops.items():
            is_folder = top not in inside
            temp = all_written.enter_context(disk.aside(folder / top, folder=is_folder))
            for name, content in inside.items():
                file = temp / name.partition("/")[2] if is_folder else temp
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
