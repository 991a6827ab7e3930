"""Continue a prompt of your own by any model; prints the texts and writes nothing:

python stages/sample.py --prompt "KING:" --model models/laptop/finetune/1337

From any folder. An empty prompt starts from the end-of-text token, as a new text does.
"""

import argparse
from pathlib import Path

from stage import stage, to_root

from gpt2_shakespeare import params, paths, runtime
from gpt2_shakespeare.model import ModelError, load_model
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.texts import sampling
from gpt2_shakespeare.tokens import tokenizer
from gpt2_shakespeare.tokens.json_tokenizer import fits


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompt", required=True)
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

    for name in ("model", "tokenizer"):  # as the user sees them, before the current folder changes
        if (given := getattr(args, name)) and Path(given).exists():
            setattr(args, name, Path(given).resolve())
    to_root()
    settings = params.load()
    at = paths.Paths(settings.scale)
    given = {name: value for name, value in vars(args).items() if name in schema.Sampling.model_fields}
    wanted = params.change(settings.sample, given)
    machine = runtime.start(settings.at_scale.runtime)
    encoding = tokenizer.load(args.tokenizer or at.tokenizer)
    folder = args.model or at.model("finetune", settings.seeds[0])
    model = load_model(folder).to(machine.device)
    if not fits(encoding, model.vocab_size):
        raise ModelError(
            f"{folder}: the model has {model.vocab_size} token types and the tokenizer {encoding.n_vocab}; "
            "name the model's own with --tokenizer"
        )
    seeds = range(wanted.seed, wanted.seed + wanted.samples_per_prompt)
    for text in sampling.continuations(model, encoding, args.prompt, seeds, wanted):
        print(f"{args.prompt}{text}\n" + "-" * 40)


if __name__ == "__main__":
    stage(main)
