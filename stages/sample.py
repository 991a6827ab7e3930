"""Samples of every row, or a continuation of your own prompt by any model:

python stages/sample.py --prompt "KING:" --model models/laptop/finetune/1337
"""

import argparse
import json
from pathlib import Path

from stage import conditions, stage

from gpt2_shakespeare import paths, runtime
from gpt2_shakespeare.model import GPT, ModelError
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.texts import sampling
from gpt2_shakespeare.tokens import tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompt", help="your own; printed, nothing is written")
    parser.add_argument(
        "--model", help="folder of a model, or gpt2, gpt2-medium, ...; default: the row finetune"
    )
    parser.add_argument(
        "--tokenizer", type=Path, help="folder with vocab.bpe and encoder.json; default: the scale's"
    )
    for name, kind in {"temperature": float, "top_p": float, "max_new_tokens": int, "seed": int}.items():
        parser.add_argument("--" + name.replace("_", "-"), type=kind, help="default: as in params.yaml")
    parser.add_argument("--samples", type=int, dest="samples_per_prompt", help="default: as in params.yaml")
    args = parser.parse_args()

    params = schema.load()
    at = paths.Paths(params.scale)
    given = {name: value for name, value in vars(args).items() if name in schema.Sampling.model_fields}
    settings = schema.change(
        params.sample, given | ({"prompts": [args.prompt]} if args.prompt is not None else {})
    )
    machine = runtime.start(params.at_scale.runtime)
    encoding = tokenizer.load(args.tokenizer or at.tokenizer)
    if args.prompt is not None:
        model = args.model or at.model("finetune", params.seeds[0])
        for text in texts(model, encoding, settings, machine):
            print(f"{args.prompt}{text['text']}\n" + "-" * 40)
        return
    with conditions(at.log("sample"), machine):
        rows = {
            row: texts(at.model(row, params.seeds[0]), encoding, settings, machine)
            for row in schema.MODEL_ROWS
        }
    facts = {"settings": settings.model_dump(exclude={"prompts"}), "rows": rows}
    at.samples.write_text(json.dumps(facts, indent=1) + "\n")


def texts(folder, encoding, settings: schema.Sampling, machine: runtime.Runtime) -> list[dict]:
    """samples_per_prompt continuations of every prompt; each has a seed of its own."""
    model = GPT.from_pretrained(folder).to(machine.device)
    if model.config.vocab_size != encoding.n_vocab:
        raise ModelError(
            f"{folder}: the model has {model.config.vocab_size} token types and the tokenizer {encoding.n_vocab}; "
            "name the model's own with --tokenizer"
        )
    found = []
    for number, prompt in enumerate(settings.prompts):
        seeds = [settings.seed + 1000 * number + n for n in range(settings.samples_per_prompt)]
        continued = sampling.continuations(model, encoding, prompt, seeds, settings)
        found += [
            {"prompt": prompt, "seed": seed, "text": text}
            for seed, text in zip(seeds, continued, strict=True)
        ]
    return found


if __name__ == "__main__":
    stage(main)
