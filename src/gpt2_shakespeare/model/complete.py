"""What makes a model's folder complete: the files beside config.json and the weights that transformers looks for."""

from pathlib import Path

from gpt2_shakespeare import disk
from gpt2_shakespeare.errors import printable
from gpt2_shakespeare.model.config import ModelError
from gpt2_shakespeare.model.files import CONFIG
from gpt2_shakespeare.model.load import read_shape
from gpt2_shakespeare.tokens import hugging_face, tokenizer
from gpt2_shakespeare.tokens.json_tokenizer import fits

GENERATION, CARD = "generation_config.json", "README.md"


def complete(folder: Path, tokenizer_folder: Path, card: str) -> None:
    """Write the tokenizer, the settings of generation and the model card into a folder that has a model.

    Then `transformers.AutoTokenizer`, `AutoModelForCausalLM` and `pipeline("text-generation")` load it. The files
    depend on the arguments and the model's shape alone: no times, no places.

    Args:
        tokenizer_folder: our tokenizer's.
        card: the model card, in Markdown.

    Raises:
        ModelError: the model and the tokenizer have different numbers of token types.
        TokenizerError: the tokenizer can't be read.
    """
    (block_size, types), encoding = read_shape(folder), tokenizer.load(tokenizer_folder)
    if not fits(encoding, types):
        raise ModelError(
            f"{printable(folder, 200)}: the model has {types} token types and the tokenizer in "
            f"{printable(tokenizer_folder, 200)} {encoding.n_vocab}"
        )
    hugging_face.write(folder, tokenizer_folder, block_size)
    end = encoding.eot_token
    settings = {
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
        "max_length": block_size,
    }
    disk.write_json(folder / GENERATION, settings, indent=2)
    found = disk.read_json(folder / CONFIG)
    if (found.get("bos_token_id"), found.get("eos_token_id")) != (end, end):
        disk.write_json(folder / CONFIG, found | {"bos_token_id": end, "eos_token_id": end}, indent=2)
    disk.write_text(folder / CARD, card)
