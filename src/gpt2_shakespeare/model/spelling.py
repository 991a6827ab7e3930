"""An embedding that token types share if their spellings have something in common."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Spelling(nn.Module):
    """A vector for each feature of a spelling (`tokenizer.spelling`).

    What a type gets is the sum of the vectors of its features (Bojanowski et al. 2017), divided by the square root of
    their number.

    Args:
        features: the features of all types, one type after the other, int64.
        starts: where each type's features start, followed by the end of the last one's; (vocab_size + 1,).
        n_embd: length of a vector. All vectors start at zero.
    """

    features: Tensor
    starts: Tensor

    def __init__(self, features: np.ndarray, starts: np.ndarray, n_embd: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(int(features.max(initial=-1)) + 1, n_embd))
        self.register_buffer("features", torch.from_numpy(features), persistent=False)
        self.register_buffer("starts", torch.from_numpy(starts), persistent=False)

    def forward(self, types: Tensor) -> Tensor:
        """What is added to the embeddings of the types: (n,) -> (n, C)."""
        first, counts = self.starts[types], self.starts[types + 1] - self.starts[types]
        ends = counts.cumsum(0)
        places = torch.arange(int(ends[-1]), device=types.device)
        places += torch.repeat_interleave(first - (ends - counts), counts)
        total = F.embedding_bag(self.features[places], self.weight, ends - counts, mode="sum")
        return total * counts.clamp(min=1).rsqrt()[:, None]
