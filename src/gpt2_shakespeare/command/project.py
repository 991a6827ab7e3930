"""Where the project is, and the models and tokenizers that a user names. Torch is imported only to load a model."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpt2_shakespeare import params
from gpt2_shakespeare.corpora.assets import HUB_NAMES
from gpt2_shakespeare.errors import UserError, printable
from gpt2_shakespeare.params import Params, schema
from gpt2_shakespeare.paths import Paths
from gpt2_shakespeare.report.registry import FULL_FINE_TUNING

if TYPE_CHECKING:
    import torch

    from gpt2_shakespeare.model import LanguageModel
    from gpt2_shakespeare.tokens.tokenizer import Encoding

# Where no project is at hand
SAMPLING = schema.Sampling(
    temperature=0.8, top_p=0.9, max_new_tokens=160, samples_per_prompt=1, seed=1, prompts=["\n"]
)


class CommandError(UserError, ValueError):
    """What is asked for isn't there, or can't be done here; the message says what to type."""


def root() -> Path | None:
    """The folder of the project that the current folder is in, if there is one."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "params.yaml").is_file()), None)


def settings() -> Params | None:
    """The project's params.yaml, with its folder as the current one from now on; None outside of a project.

    Raises:
        ParamsError: it has mistakes.
    """
    if not (folder := root()):
        return None
    os.chdir(folder)
    return params.load()


def needed(scale: str = "") -> tuple[Params, str]:
    """The settings, and the scale that is meant.

    Raises:
        CommandError: no project is here, or it has no such scale.
    """
    found = settings()
    if not found:
        raise CommandError(
            f"{Path.cwd()}: no project here (no params.yaml); type it inside a clone of the project"
        )
    if scale and scale not in found.scales:
        raise CommandError(f"scale '{printable(scale)}' is none of {', '.join(found.scales)}")
    return found, scale or found.scale


@dataclass(frozen=True)
class Loaded:
    """A model that can be asked."""

    name: str
    model: "LanguageModel"
    encoding: "Encoding"


def seen(name: str) -> str:
    """A folder as the user sees it, before the current folder changes; any other name of a model as it is."""
    there = (Path(name) / "config.json").is_file() or (os.sep in name and Path(name).is_dir())
    return str(Path(name).resolve()) if there else name


def shown(name: str) -> str:
    """The name of a model in the project, or wherever the current folder is."""
    return os.path.relpath(name) if os.path.isabs(name) else name


def resolve(name: str, tokenizer: Path | None, found: Params | None) -> tuple[str, Path | None]:
    """The folder of a model, or its name on the hub, and the folder of its tokenizer where it isn't its own.

    Args:
        name: a row, a row and a seed (`finetune/1`), a folder, or a GPT-2 of the hub. A folder is seen from the
            current one.

    Raises:
        CommandError: it is none of these, or the row has not been trained yet.
    """
    if tokenizer and not tokenizer.is_dir():
        raise CommandError(
            f"--tokenizer {printable(shown(str(tokenizer)))}: no such folder; name one with vocab.bpe and encoder.json"
        )
    rows = {row.name: row for row in found.rows if row.has_model} if found else {}
    row, _, seed = name.partition("/")
    if found and row in rows and not seed.strip("0123456789"):
        at = Paths(found.scale)
        folder = at.model(row, int(seed) if seed else found.seeds[0])
        if not (folder / "config.json").exists():
            there = sorted(each.name for each in folder.parent.glob("[0-9]*"))
            raise CommandError(
                f"{folder}: not there; its seeds are {', '.join(there)}"
                if there and row != "base"
                else f"{folder}: row {row} of scale {found.scale} is not there yet; run `dvc repro`, or `dvc pull` where a remote has it"
            )
        return str(folder), tokenizer or at.tokenizer
    if name and Path(name).is_dir():
        if not (Path(name) / "config.json").exists():
            raise CommandError(f"{shown(name)}: no model in this folder (no config.json)")
        return name, tokenizer
    if name in HUB_NAMES:
        return name, tokenizer
    known = f"a row ({', '.join(rows)}), " if rows else ""
    raise CommandError(
        f"'{printable(name)}' is neither {known}a folder with a model, nor {', '.join(HUB_NAMES)}"
    )


def load(name: str, tokenizer: Path | None, found: Params | None, device: "torch.device") -> Loaded:
    """A model with its tokenizer.

    Raises:
        CommandError, ModelError, TokenizerError, AssetError: one of them can't be used; the message names the file.
    """
    from gpt2_shakespeare.model import ModelError, load_model
    from gpt2_shakespeare.tokens import tokenizer as tokenizers
    from gpt2_shakespeare.tokens.json_tokenizer import fits

    folder, theirs = resolve(name, tokenizer, found)
    if theirs:
        encoding = tokenizers.load(theirs)
    elif name in HUB_NAMES:
        encoding = _gpt2s()
    else:
        encoding = own_tokenizer(Path(folder))
    model = load_model(folder).to(device).eval()
    if not fits(encoding, model.vocab_size):
        raise ModelError(
            f"{folder}: the model has {model.vocab_size} token types and the tokenizer {encoding.n_vocab}; "
            "name the model's own with --tokenizer"
        )
    return Loaded(name, model, encoding)


def _gpt2s() -> "Encoding":
    """GPT-2's own tokenizer, from a mirror or the network."""
    from gpt2_shakespeare.corpora import assets
    from gpt2_shakespeare.corpora.fetch import fetch
    from gpt2_shakespeare.tokens import tokenizer

    with tempfile.TemporaryDirectory() as temp:
        fetch([*assets.GPT2_BPE], Path(temp), partial=Path(temp) / "partial")
        return tokenizer.load((Path(temp) / assets.GPT2_BPE[0].path).parent)


def own_tokenizer(folder: Path) -> "Encoding":
    """The tokenizer that lies in a model's folder: tokenizer.json, or a file of merges and a vocabulary.

    Raises:
        CommandError, TokenizerError: there is none, or it can't be read.
    """
    from gpt2_shakespeare.tokens import json_tokenizer, tokenizer

    if tokenizer.files_in(folder):
        return tokenizer.load(folder)
    if not (folder / json_tokenizer.TOKENIZER).exists():
        raise CommandError(
            f"{folder}: no tokenizer beside the model; name a folder that has one with --tokenizer"
        )
    with tempfile.TemporaryDirectory() as temp:
        return json_tokenizer.take(folder, Path(temp))


def default_model(found: Params | None) -> str:
    """The row that is meant where none is named.

    Raises:
        CommandError: no project is here.
    """
    if not found:
        raise CommandError("no project here (no params.yaml), so name a folder with a model: -m FOLDER")
    rows = [row.name for row in found.trained_rows]
    return FULL_FINE_TUNING if FULL_FINE_TUNING in rows else rows[-1] if rows else "base"


def machine(found: Params | None) -> "torch.device":
    """The device of the settings, with determinism as they ask; a CPU outside of a project."""
    import torch

    from gpt2_shakespeare import runtime

    return runtime.start(found.at_scale.runtime).device if found else torch.device("cpu")
