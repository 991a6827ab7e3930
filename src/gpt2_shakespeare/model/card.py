"""The model card of a model's folder: what it is, how it was made, how good it is, and how to load it."""

import json
from collections.abc import Mapping
from typing import Any


def card(
    title: str, text: str, start: str, settings: Mapping[str, Any] | None, summary: Mapping[str, Any] | None
) -> str:
    """A model card in Markdown; it depends on its arguments alone.

    Args:
        title: scale, row and seed.
        text: the name of what it was trained on.
        start: what training started from, in words.
        settings: of the training; None for a model that was trained elsewhere.
        summary: training.json's content; None as above.
    """
    lines = [
        "---",
        "license: mit",
        "library_name: transformers",
        "pipeline_tag: text-generation",
        "---",
        "",
        f"# {title}",
        "",
        "A GPT-2 of the comparison of training from scratch with fine-tuning, which reproduces",
        "[MassilAit/GPT2-Shakespeare](https://github.com/MassilAit/GPT2-Shakespeare).",
        "",
        f"- Trained on: {text}",
        f"- Starts from: {start}",
    ]
    if summary:
        lines += [
            f"- Lowest dev loss in training: {summary['best_dev_loss']:.4f} nats per token, at step {summary['best_step']}",
            f"- Passes over the training text: {summary['passes']:.2f}; parameters: {summary['parameters']:,}",
        ]
    if settings and "rank" in settings:
        lines.append(
            "- LoRA: its matrices alone are in `adapter/`; `PeftModel.from_pretrained(base, 'this folder/adapter')`, where base"
            " is what training started from, gives the same model."
        )
    lines += [
        "- Limits: a small model of an experiment, trained on a small text. It knows that text's words and names, and",
        "  makes things up.",
        "",
        "```python",
        "from transformers import pipeline",
        "",
        'pipeline("text-generation", model="this folder")("KING:", do_sample=True, top_p=0.9, temperature=0.8)',
        "```",
    ]
    if settings:
        lines += ["", "Settings:", "", "```json", json.dumps(settings, indent=1, sort_keys=True), "```"]
    return "\n".join(lines) + "\n"
