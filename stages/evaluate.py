"""Losses of one model, in the precision of evaluation whatever it was trained in. No training reads val."""

from pathlib import Path

import numpy as np
from stage import conditions, row_and_seed, stage
from safetensors.numpy import save_file

from gpt2_shakespeare import disk, params, paths, runtime
from gpt2_shakespeare.measure import kinds, losses
from gpt2_shakespeare.measure.forgetting import Forgetting
from gpt2_shakespeare.measure.names import Names, name_probe
from gpt2_shakespeare.model import LanguageModel, load_model
from gpt2_shakespeare.tokens import tokenizer
from gpt2_shakespeare.tokens.corpus import bits_per_char
from gpt2_shakespeare.tokens.files import Tokens, load_tokens

LOSSES = ("train_loss", "dev_loss", "val_loss", "val_loss_reference")  # of the best step and of the last one
OTHER_TOKENS = 16_384  # of each other text: more changes the second decimal


def main() -> None:
    settings = params.load()
    row, seed = row_and_seed(__doc__, (row for row in settings.rows if row.has_model))
    at = paths.Paths(settings.scale)
    machine = runtime.start(settings.at_scale.runtime.for_evaluation())
    folder = at.model(row.name, seed)

    def loaded(folder: Path) -> LanguageModel:
        with machine.autocast(enabled=False):  # loading compares figures in fp32
            return load_model(folder).to(machine.device)

    model = loaded(folder)
    tokens = {part: load_tokens(at.tokens(part), model.vocab_size) for part in ("train", "dev", "val")}
    others = {
        file.stem: load_tokens(file, model.vocab_size) for file in sorted(at.other_tokens.glob("*.npy"))
    }
    encoding = tokenizer.load(at.tokenizer)
    masks = kinds.kinds(encoding, tokens["val"], tokens["train"])
    names = Names(*name_probe(encoding, tokens["train"], others.values()))
    # the model in eval mode on as many train tokens as val has
    tokens["train"] = tokens["train"][: len(tokens["val"])]

    out = at.evaluation(row.name, seed)
    with conditions(at.log(f"evaluate-{out.stem}"), machine), machine.autocast():
        protocol = settings.at_scale.tokenizer.source != "base"  # else no figure of the reference compares
        result, each = measure(model, tokens, protocol)
        result |= kinds.split_losses(each["val"], masks)
        base = loaded(at.base)
        if model.block_size >= base.block_size:
            result |= Forgetting(base, others, OTHER_TOKENS).measure(model)
        with machine.autocast(enabled=False):
            result |= names.measure(model)
        if row.trained:
            last = folder / paths.LAST  # there only if the best weights are of an earlier step
            ended = measure(loaded(last), tokens, protocol)[0] if last.is_dir() else result
            result |= {f"{name}_last": ended[name] for name in LOSSES if name in ended}
            result |= training_facts(folder)
    corpus = disk.read_json(at.corpus_facts)
    result["bits_per_char"] = bits_per_char(
        result["val_loss"], corpus["tokens"]["val"], corpus["chars"]["val"]
    )
    result |= {"parameters": model.n_params(), "block_size": model.block_size}
    with disk.aside(at.token_losses(row.name, seed)) as temp:
        save_file({part: each[part] for part in ("dev", "val")}, temp)
    disk.write_json(out, result, indent=2, sort_keys=True)


def measure(
    model: LanguageModel, tokens: dict[str, Tokens], protocol: bool
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Exact losses of train, dev and val, in nats per token, if asked for val's by the reference's protocol, and each token's."""
    each = {part: losses.exact_losses(model, tokens[part]) for part in tokens}
    result = {f"{part}_loss": float(values.mean()) for part, values in each.items()}
    if protocol:
        result["val_loss_reference"] = losses.reference_loss(model, tokens["val"])
    return result, each


def training_facts(folder: Path) -> dict[str, float]:
    """What the table says of how the row was trained."""
    facts = disk.read_json(folder / paths.TRAINING)
    names = {"tokens_seen": "tokens", "steps": "step"}
    names |= {name: name for name in ("running_train_loss", "passes", "best_step", "max_steps")}
    return {name: facts[theirs] for name, theirs in names.items()}


if __name__ == "__main__":
    stage(main)
