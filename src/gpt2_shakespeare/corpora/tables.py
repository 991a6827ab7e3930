"""Reading the YAML files that lie beside the modules of this package."""

from pathlib import Path
from typing import Any

import yaml

_LOADER = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # in C it is ten times as fast, where PyYAML was built with it


def read(path: Path) -> Any:
    """The content of a YAML file in UTF-8."""
    return yaml.load(path.read_text(encoding="utf-8"), _LOADER)
