"""Continue a prompt of your own by any model; prints the texts and writes nothing:

python stages/sample.py --prompt "KING:" --model models/laptop/finetune/1337
"""

import argparse
from pathlib import Path

from stage import stage

from gpt2_shakespeare import params, paths, runtime
from gpt2_shakespeare.model import GPT, ModelError
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.texts import sampling
from gpt2_shakespeare.tokens import tokenizer


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

    settings = params.load()
    at = paths.Paths(settings.scale)
    given = {name: value for name, value in vars(args).items() if name in schema.Sampling.model_fields}
    wanted = params.change(settings.sample, given | {"prompts": [args.prompt]})
    machine = runtime.start(settings.at_scale.runtime)
    encoding = tokenizer.load(args.tokenizer or at.tokenizer)
    folder = args.model or at.model("finetune", settings.seeds[0])
    model = GPT.from_pretrained(folder).to(machine.device)
    if model.config.vocab_size != encoding.n_vocab:
        raise ModelError(
            f"{folder}: the model has {model.config.vocab_size} token types and the tokenizer {encoding.n_vocab}; "
            "name the model's own with --tokenizer"
        )
    for sample in sampling.for_prompts(model, encoding, wanted):
        print(f"{args.prompt}{sample['text']}\n" + "-" * 40)


if __name__ == "__main__":
    stage(main)
