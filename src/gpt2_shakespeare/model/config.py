"""The shape of a GPT-2, and what its modules and its files both need to know of it."""

from dataclasses import dataclass

from gpt2_shakespeare.errors import UserError, printable

LAYER_NORM_EPS = 1e-5  # GPT-2's
PROJECTIONS = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")  # the linear layers of a block
TRANSPOSED = tuple(f"{name}.weight" for name in PROJECTIONS)  # (in, out) on disk, (out, in) in nn.Linear


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
            if not 1 <= getattr(self, name) < 2**31:
                raise ModelError(
                    f"{name}: {printable(getattr(self, name))} is not a number from 1 to 2,147,483,647"
                )
        if self.n_embd % self.n_head:
            raise ModelError(f"n_embd: {self.n_embd} is not divisible by n_head {self.n_head}")
        for name in ("dropout", "embd_dropout", "attn_dropout", "resid_dropout"):
            value = getattr(self, name)
            if value is not None and (not _is_number(value) or not 0 <= value < 1):
                raise ModelError(f"{name}: {printable(value)} is not a number in [0, 1)")

    def dropout_of(self, kind: str) -> float:
        """Dropout of `embd`, `attn` or `resid`."""
        value = getattr(self, f"{kind}_dropout")
        return self.dropout if value is None else value


def shapes(config: GPTConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a transformer's weights, in the layout of our modules."""
    C = config.n_embd
    found: dict[str, tuple[int, ...]] = {
        "wte.weight": (config.vocab_size, C),
        "wpe.weight": (config.block_size, C),
    }
    linear = {
        "attn.c_attn": (3 * C, C),
        "attn.c_proj": (C, C),
        "mlp.c_fc": (4 * C, C),
        "mlp.c_proj": (C, 4 * C),
    }
    for layer in (f"h.{number}" for number in range(config.n_layer)):
        for name in ("ln_1", "ln_2"):
            found |= {f"{layer}.{name}.weight": (C,), f"{layer}.{name}.bias": (C,)}
        for name, shape in linear.items():
            found |= {f"{layer}.{name}.weight": shape, f"{layer}.{name}.bias": shape[:1]}
    found |= {"ln_f.weight": (C,), "ln_f.bias": (C,)}
    return {name: shape for name, shape in found.items() if config.bias or not name.endswith(".bias")}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
