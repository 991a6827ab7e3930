"""Losses of a row's models that go on learning from the text that they are measured on."""

import argparse
import shutil

from stage import conditions, stage
from progress import working

from gpt2_shakespeare import disk, params, paths, runtime
from gpt2_shakespeare.adapting.adapt import adapted
from gpt2_shakespeare.measure import kinds
from gpt2_shakespeare.model import load_model
from gpt2_shakespeare.tokens import tokenizer
from gpt2_shakespeare.tokens.corpus import bits_per_char
from gpt2_shakespeare.tokens.files import load_tokens


def main() -> None:
    settings = params.load()
    rows = [row for row in settings.rows if row.kind == "adapting"]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row", choices=sorted({row.of for row in rows}), required=True)
    parser.add_argument("--way", choices=sorted({row.way for row in rows}), required=True)
    args = parser.parse_args()
    at = paths.Paths(settings.scale)
    machine = runtime.start(settings.at_scale.runtime.for_evaluation())
    for folder in at.model(
        args.row, 0
    ).parent.iterdir():  # of a seed that is no longer listed; DVC's cache keeps it
        if folder.is_dir() and folder.name not in map(str, settings.seeds):
            shutil.rmtree(folder)
    seeds = sorted(settings.seeds)[: None if args.way.startswith("ensemble") else 1]
    models = [load_model(at.model(args.row, seed)).to(machine.device) for seed in seeds]
    corpus = disk.read_json(at.corpus_facts)
    encoding = tokenizer.load(at.tokenizer)
    tokens = {part: load_tokens(at.tokens(part), encoding.n_vocab) for part in ("train", "dev", "val")}
    vocabulary = tokenizer.spelled(encoding)
    name = f"evaluate_adapting-{args.row}-{args.way}"
    with conditions(at.log(name), machine), machine.autocast(), working(name):
        losses, result = adapted(models, vocabulary, tokens, args.way)
    result |= {f"{part}_loss": float(each.mean()) for part, each in losses.items()}
    result |= kinds.split_losses(losses["val"], kinds.kinds(encoding, tokens["val"], tokens["train"]))
    result["bits_per_char"] = bits_per_char(
        result["val_loss"], corpus["tokens"]["val"], corpus["chars"]["val"]
    )
    disk.write_json(at.adapted(args.row, args.way), result, indent=2, sort_keys=True)


if __name__ == "__main__":
    stage(main)
