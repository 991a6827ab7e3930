"""The shape of a GPT-2, and what its modules and its files both need to know of it."""

from dataclasses import dataclass

from gpt2_shakespeare.errors import UserError

LAYER_NORM_EPS = 1e-5  # GPT-2's
PROJECTIONS = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")  # the linear layers of a block


class ModelError(UserError, ValueError):
    """A model or its files can't be used; the message names the file, the tensor or the setting."""


@dataclass(frozen=True)
class GPTConfig:
    """Shape of a GPT-2; the defaults are the 124M model.

    Args:
        dropout: of every kind whose own setting is None: of the embeddings, of the attention weights, and of what each
            half of a block adds to the residual stream.
        bias: whether linear layers and layer norms have biases.

    Raises:
        ModelError: a number is out of range, or n_embd isn't divisible by n_head.
    """

    block_size: int = 1024
    vocab_size: int = 50257
    n_layer: int = 12
    n_head: int = 12
    n_embd: int = 768
    dropout: float = 0.0
    bias: bool = True
    embd_dropout: float | None = None
    attn_dropout: float | None = None
    resid_dropout: float | None = None

    def __post_init__(self) -> None:
        for name in ("block_size", "vocab_size", "n_layer", "n_head", "n_embd"):
            if getattr(self, name) < 1:
                raise ModelError(f"{name}: {getattr(self, name)} is not a positive number")
        if self.n_embd % self.n_head:
            raise ModelError(f"n_embd: {self.n_embd} is not divisible by n_head {self.n_head}")
        for name in ("dropout", "embd_dropout", "attn_dropout", "resid_dropout"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise ModelError(f"{name}: {value} is not in [0, 1)")

    def dropout_of(self, kind: str) -> float:
        """Dropout of `embd`, `attn` or `resid`."""
        value = getattr(self, f"{kind}_dropout")
        return self.dropout if value is None else value
