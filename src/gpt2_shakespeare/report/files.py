"""Reading JSON, and writing a folder of results in one go."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpt2_shakespeare.errors import UserError
from gpt2_shakespeare.paths import fresh

ASIDE = ".new"  # inside the folder that is written, as a rename works within one file system only


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


def is_number(value: Any) -> bool:
    """Whether it is a finite number of a sensible size; neither a bool nor NaN is."""
    return not isinstance(value, bool) and isinstance(value, int | float) and abs(value) < 1e15


def write(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files, by their paths inside the folder; the old ones stay until all new ones are written.

    A folder inside it is replaced as a whole: a file that is no longer in it goes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    aside = fresh(folder / ASIDE)
    try:
        for name, content in contents.items():
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            (aside / name).write_bytes(content)
        for new in sorted(aside.iterdir()):
            old = folder / new.name
            if old.is_dir():
                shutil.rmtree(old)
            os.replace(new, old)
    finally:
        shutil.rmtree(aside)
