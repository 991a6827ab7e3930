"""Before any test imports torch: the package's environment, and one thread, as pytest runs several processes."""

import gpt2_shakespeare  # noqa: F401  # isort: skip  (sets what OpenMP reads when torch is imported)
import torch

torch.set_num_threads(1)
