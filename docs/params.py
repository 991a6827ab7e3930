"""Write docs/params.md, the reference of every key of params.yaml, from its schema; `--check` fails where it is another.

    python docs/params.py

What a key may be comes from the schema; what it means stands here, and a key without words is an error.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from gpt2_shakespeare.params import schema  # noqa: E402

PAGE = ROOT / "docs/params.md"
# Heading -> the table, and where its keys stand in params.yaml
PARTS: dict[str, tuple[type[BaseModel], str]] = {
    "The whole file": (schema.TopLevel, "`params.yaml`, at its top"),
    "rows": (schema.RowLists, "`rows`"),
    "ensembles": (schema.Ensemble, "a row of `ensembles`"),
    "adapting": (schema.Adapting, "`adapting`"),
    "learning_curves": (schema.LearningCurves, "`learning_curves`"),
    "sample": (schema.Sampling, "`sample`"),
    "analysis": (schema.Analysis, "`analysis`"),
    "A scale": (schema.Scale, "`scales.<scale>`, over `defaults`"),
    "tokenizer": (schema.Tokenizer, "`scales.<scale>.tokenizer`"),
    "runtime": (schema.Runtime, "`scales.<scale>.runtime`, over `defaults.runtime`"),
    "model": (schema.Model, "`scales.<scale>.model`, and a row's own `model`"),
    "base": (schema.Base, "`scales.<scale>.base`, over `defaults.base`"),
    "Every training": (
        schema.Training,
        "`defaults.training`, `scales.<scale>.training`, and the settings of a row",
    ),
    "A row from random weights": (
        schema.FromScratch,
        "the settings of a row of `rows.scratch`, and `pretraining`",
    ),
    "A row from the base": (schema.FineTuning, "the settings of a row of `rows.finetune`"),
    "A LoRA row": (schema.LoRA, "the settings of a row with `kind: lora`"),
    "renaming": (schema.Renaming, "`renaming` of a training"),
}
WORDS = {
    "scale": "which of `scales` is switched on",
    "epochs": "walks of the row `finetune` over its training windows",
    "long_epochs": "the same, of the other rows that start from the base and have no `epochs` of their own",
    "seeds": "every trained row is trained once with each",
    "corpus_path": "the text that is read where `corpus` is `path`; UTF-8",
    "base_path": "the folder that is read where `base.source` is `path`; a causal language model in Hugging Face format",
    "rows": "the trained rows, by what they need",
    "ensembles": "rows that average the probabilities of all seeds of another row",
    "adapting": "rows that go on learning from what they have predicted",
    "Adapting.rows": "trained rows whose models do so",
    "learning_curves": "rows that are also trained on shares of train",
    "LearningCurves.rows": "trained rows, with the lowest seed",
    "shares": "of what a row trains on, its end; ascending, each above 0 and below 1",
    "ways": "how: the weights move (`dynamic`), the model is mixed with counting (`mixed`), or both; of the lowest seed's model or of all seeds' (`ensemble_…`)",
    "sample": "how every row is sampled",
    "analysis": "the texts that figures of style and copying are taken from",
    "RowLists.scratch": "names of the rows that start from random weights",
    "RowLists.finetune": "names of the rows that need the base: its weights, or with `kind: random` its shape",
    "partial": "whether rows that are not listed may have settings",
    "of": "the row whose seeds are averaged",
    "cache": "whether a cache of the text so far is mixed in",
    "temperature": "divides the logits before a token is drawn; 0 is greedy",
    "top_p": "draw from the fewest tokens that have this probability together",
    "Sampling.max_new_tokens": "length of a sample, in tokens",
    "samples_per_prompt": "samples of each prompt",
    "Sampling.seed": "of the first sample; each has its own",
    "prompts": "what is continued",
    "samples": "texts of each row and setting, and of val",
    "prompt_tokens": "tokens of val that each text goes on from",
    "Analysis.max_new_tokens": "length of a text, in tokens",
    "temperatures": "of the grid; 0 is greedy, and 1 with top_p 1 is pure sampling",
    "top_ps": "of the grid",
    "prefixes": "prefixes of train, and as many of val, that are continued greedily",
    "prefix_tokens": "length of such a prefix",
    "recall_tokens": "how much of what follows it is compared",
    "Analysis.seed": "of the first text; each has its own",
    "corpus": "the text: built-in plays, Tiny Shakespeare, or the file at `corpus_path`",
    "tokenizer": "how text becomes tokens",
    "runtime": "what figures depend on beside data and settings",
    "checkpoint_interval": "steps between saves of what an interrupted training goes on from; no result depends on it",
    "Scale.model": "the shape of models that start from random weights, unless a row says otherwise",
    "base": "where the pretrained model comes from",
    "pretraining": "how our own base is trained, where `base.source` is `pretrain`",
    "Tokenizer.source": "trained on the corpus, GPT-2's own, or the base's own",
    "vocab_size": "number of token types; empty where the tokenizer is the base's own",
    "mode": "the same bits on every run, or faster on a GPU",
    "device": "where models run",
    "processes": "that share a training on this machine",
    "threads": "of one process",
    "precision": "of training",
    "evaluation_precision": "of the losses, and of the texts that models write",
    "compile": "whether models are compiled by torch",
    "block_size": "the longest window that a model reads, in tokens",
    "n_layer": "blocks",
    "n_head": "attention heads; they must divide `n_embd`",
    "n_embd": "width",
    "Base.source": "the hub, the folder at `base_path`, a Python package that has a model in it, or our own pretraining",
    "package": "its name in `corpora/assets.yaml`",
    "Base.corpus": "what our own base is pretrained on",
    "repo": "on the hub",
    "revision": "the commit there",
    "learning_rate": "of AdamW, at its highest",
    "muon_learning_rate": "of Muon for the matrices of the blocks; empty: AdamW trains them too",
    "min_lr": "what the learning rate falls to",
    "warmup_steps": "in which the learning rate rises",
    "beta1": "of AdamW",
    "beta2": "of AdamW",
    "weight_decay": "of AdamW",
    "decay": "what decays: the matrices, or all weights",
    "grad_clip": "the largest norm of a gradient",
    "stride": "tokens from one window to the next; empty: side by side",
    "random_offsets": "whether each epoch cuts the windows at other places",
    "Training.renaming": "other names for rare token types in every window; empty: none",
    "spelling": "whether embeddings share what types with a similar spelling have in common",
    "sampled_types": "token types that the training loss is taken over; empty: all",
    "batch_size": "windows of a micro-batch",
    "grad_accum_steps": "micro-batches of a step",
    "dropout": "of embeddings and residuals",
    "attn_dropout": "of attention weights",
    "eval_interval": "steps between evaluations",
    "eval_tokens": "tokens of dev and of train that such an evaluation reads",
    "patience": "evaluations without a lower dev loss that stop training; empty: never",
    "FromScratch.model": "the shape",
    "context": "phases of training: length of a window, and walks over such windows (`{64: 1, 128: 2}`)",
    "rank": "of an adapter",
    "alpha": "what an adapter adds is scaled by alpha / rank",
    "Renaming.share": "of the windows' rare types that are renamed",
    "Training.share": "of the training text that is used: its end, which is nearest to val",
    "below": "a type is rare that train has fewer of",
}

LAYER = "a table; see [layers](architecture.md#layers)"
# Heading -> keys that params/reader.py reads before the tables are made, each with what it is and its values
READ_BEFORE = {
    "The whole file": {
        "defaults": ("what holds for every scale that says nothing else", LAYER),
        "scales": ("each scale's own settings, by its name", "a table of names: *A scale*"),
    },
    "A scale": {
        "training": ("settings of every training of the scale", LAYER),
        "finetuning": ("settings of every row of `rows.finetune`, over `training`", LAYER),
        "rows": ("each row's own settings, by its name, over these", LAYER),
    },
    "A row from the base": {
        "kind": (
            "`random`: the base's shape with random weights; `lora`: adapters; left out: fine-tuning",
            "`random`, `lora`, `finetune`",
        ),
        "epochs": (
            "walks over its windows, in place of `long_epochs`; not for the row `finetune`",
            "whole number above 0",
        ),
    },
}


def text() -> str:
    """The page."""
    parts = [
        "# Every key of params.yaml",
        "",
        "Written by `python docs/params.py` from `src/gpt2_shakespeare/params/schema.py`; do not edit it by hand. A value may",
        "stand in several layers ([architecture.md](architecture.md#layers)); `python stages/check.py --show finetune` prints what is",
        "in force for a row. A key that is none of these is refused with a line that names it.",
    ]
    for heading, (table, where) in PARTS.items():
        above = [
            base for base in table.__mro__[1:] if issubclass(base, BaseModel) and base.__name__ in _heads()
        ]
        keys = [name for name in table.model_fields if not any(name in base.model_fields for base in above)]
        parts += ["", f"## {heading}", "", f"In {where}." if "settings" not in where else f"Among {where}."]
        if above:
            parts[-1] += f" Also all keys of *{_heads()[above[0].__name__]}*."
        parts += ["", "| key | what it is | values |", "|---|---|---|"]
        properties = table.model_json_schema()["properties"]
        parts += [
            f"| `{key}` | {_words(table, key)} | {_values(table, key, properties[key])} |" for key in keys
        ]
        parts += [
            f"| `{key}` | {words} | {values} |"
            for key, (words, values) in READ_BEFORE.get(heading, {}).items()
        ]
    return "\n".join([*parts, ""])


def _heads() -> dict[str, str]:
    return {table.__name__: heading for heading, (table, _) in PARTS.items()}


def _words(table: type[BaseModel], key: str) -> str:
    found = WORDS.get(f"{table.__name__}.{key}") or WORDS.get(key)
    if not found:
        sys.exit(f"docs/params.py: {table.__name__}.{key} has no words; add them to WORDS")
    return found


def _values(table: type[BaseModel], key: str, facts: dict[str, Any]) -> str:
    """What a key may be, from its JSON schema."""
    if "anyOf" in facts:
        kinds = [_values(table, key, kind) for kind in facts["anyOf"] if kind.get("type") != "null"]
        return ", ".join([*kinds, "or empty"])
    if "$ref" in facts:
        name = facts["$ref"].rpartition("/")[2]
        return f"a table: *{_heads().get(name, name)}*"
    if "const" in facts or "enum" in facts:
        return ", ".join(f"`{str(value).lower()}`" for value in facts.get("enum", [facts.get("const")]))
    kind = facts.get("type")
    if kind == "array":
        of = {"integer": "whole numbers", "number": "numbers", "string": "texts"}
        return (
            "a list of phases, or a table"
            if key == "context"
            else f"a list of {of[facts['items']['type']]}{_limits(table, key)}"
        )
    if kind == "object":
        return "a table of names"
    words = {"integer": "whole number", "number": "number", "string": "text", "boolean": "`true` or `false`"}
    found = words.get(str(kind), "anything")
    return found + (_limits(table, key) if kind in ("integer", "number") else "")


def _limits(table: type[BaseModel], key: str) -> str:
    """The limits of a number, wherever they stand in its type."""
    field = table.model_fields[key]
    todo, found = [field.annotation, *field.metadata], {}
    while todo:
        part = todo.pop()
        todo += [*get_args(part), *getattr(part, "metadata", [])]
        for name, word in {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}.items():
            if (limit := getattr(part, name, None)) is not None and limit != 2**32:
                found[word] = f"{limit:,}"
    order = ("above", "at least", "below", "at most")
    return "".join(
        f" {'and ' if n else ''}{word} {found[word]}" for n, word in enumerate(w for w in order if w in found)
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    args = parser.parse_args()
    if not args.check:
        PAGE.write_text(text(), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text():
        sys.exit("docs/params.md is not what params/schema.py says; run: python docs/params.py")


if __name__ == "__main__":
    main()
