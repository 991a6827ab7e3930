"""Before any test imports torch: the package's environment, and one thread, as pytest runs several processes."""

import gpt2_shakespeare  # noqa: F401  # isort: skip  (sets what OpenMP reads when torch is imported)
import torch

torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    """Slow files first, so that no worker ends long after the others."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
