"""What a fine-tuned model has forgotten of other kinds of text."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from gpt2_shakespeare.measure.losses import spread_windows
from gpt2_shakespeare.model import LanguageModel
from gpt2_shakespeare.runtime import evaluating
from gpt2_shakespeare.tokens.batches import windows
from gpt2_shakespeare.tokens.files import DataError, Tokens


class Forgetting:
    """Compares a model with the base it started from, on texts of other kinds than its training text.

    Args:
        base: not changed.
        texts: token ids by name; windows of the base's block_size are spread over each text.
        max_tokens: of each text.

    Raises:
        DataError: a text is too short for one window.
    """

    def __init__(self, base: LanguageModel, texts: Mapping[str, Tokens], max_tokens: int):
        self.base, block_size = base, base.block_size
        self.windows = {
            name: windows(tokens, spread_windows(tokens, block_size, max_tokens), block_size)
            for name, tokens in texts.items()
        }

    def measure(self, model: LanguageModel) -> dict[str, float]:
        """For each text the model's loss and its divergence from the base, in nats per token.

        Returns:
            `other_loss_<name>`, the loss, and `kl_<name>`, the mean KL(base || model) of the next token's
            distribution, which is 0 for an unchanged model.

        Raises:
            DataError: the model's block_size is smaller than the base's.
        """
        if model.block_size < self.base.block_size:
            raise DataError(
                f"the model's block_size {model.block_size} is below the base's {self.base.block_size}"
            )
        result = {}
        with evaluating(self.base), evaluating(model):
            for name, (idx, targets) in self.windows.items():
                pairs = [
                    self._window(model, torch.from_numpy(i[None]), torch.from_numpy(t))
                    for i, t in zip(idx, targets, strict=True)
                ]
                result[f"other_loss_{name}"], result[f"kl_{name}"] = np.mean(pairs, axis=0).tolist()
        return result

    def _window(self, model: LanguageModel, idx: Tensor, targets: Tensor) -> tuple[float, float]:
        """Loss of the model and KL from the base, means over the tokens of one window: idx (1, T), targets (T,)."""
        device = model.device
        theirs, ours = (
            torch.log_softmax(net(idx.to(device))[0][0].float(), -1) for net in (self.base, model)
        )
        kl = (theirs.exp() * (theirs - ours)).sum(-1)
        return -ours.gather(1, targets.to(device)[:, None]).double().mean().item(), kl.double().mean().item()
