"""Continue a prompt of your own by any model; prints the texts and writes nothing:

python stages/sample.py --prompt "KING:" --model models/laptop/finetune/1337

From any folder. An empty prompt starts from the end-of-text token, as a new text does. `gpt2-shakespeare sample` does
the same, and puts several models side by side.
"""

import argparse
from pathlib import Path

from stage import stage, to_root

from gpt2_shakespeare.command import project, sample


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompt", required=True)
    parser.add_argument(
        "--model", help="folder of a model, a row, or gpt2, gpt2-medium, ...; default: the row finetune"
    )
    parser.add_argument(
        "--tokenizer", type=Path, help="folder with vocab.bpe and encoder.json; default: the model's own"
    )
    for name, kind in {"temperature": float, "top_p": float, "max_new_tokens": int, "seed": int}.items():
        parser.add_argument("--" + name.replace("_", "-"), type=kind, help="default: as in params.yaml")
    parser.add_argument("--samples", type=int, dest="samples_per_prompt", help="default: as in params.yaml")
    args = vars(parser.parse_args())

    prompt, model, tokenizer = (args.pop(name) for name in ("prompt", "model", "tokenizer"))
    models = (
        [project.seen(model)] if model else []
    )  # as the user sees them, before the current folder changes
    tokenizer = tokenizer and tokenizer.resolve()
    to_root()
    sample.write(prompt, models, tokenizer, args)


if __name__ == "__main__":
    stage(main)
