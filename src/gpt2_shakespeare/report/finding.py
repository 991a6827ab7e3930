"""What a scale's losses say, in plain sentences."""

from gpt2_shakespeare.report.losses import Losses, Result
from gpt2_shakespeare.report.registry import MADE_UP, NGRAMS, OTHER_TEXTS, PROJECT, PROJECT_MODEL, READING
from gpt2_shakespeare.report.titles import base_name

EQUAL = 0.01  # nats per token; losses nearer than this are called the same


def sentences(losses: Losses) -> list[str]:
    """Two to four sentences with figures: who learns most, what counting reaches, what is forgotten."""
    found = [_learned(losses), _counted(losses), _forgotten(losses), _reference(losses)]
    if losses.corpus == MADE_UP:
        found.append(
            "The text is built in: this shows that the pipeline runs, and says nothing about Shakespeare."
        )
    return [sentence for sentence in found if sentence]


def _lowest(losses: Losses, *kinds: str) -> Result | None:
    there = [result for result in losses.results if result.row.kind in kinds and not result.problem]
    return min(there, key=lambda result: result.figures["val_loss"], default=None)


def _named(result: Result) -> str:
    return f"{result.figures['val_loss']:.3f} ({result.name})"


def _learned(losses: Losses) -> str:
    scratch, tuned = _lowest(losses, "scratch", "random"), _lowest(losses, "finetune", "lora")
    if not scratch or not tuned:
        return ""
    gap = scratch.figures["val_loss"] - tuned.figures["val_loss"]
    said = "as much as" if abs(gap) < EQUAL else "more than" if gap > 0 else "less than"
    return (
        f"Fine-tuning a pretrained model ({base_name(losses.params)}) learns {said} training from scratch: its lowest val "
        f"loss is {_named(tuned)}, and {_named(scratch)} from random weights, in nats per token"
        f"{_unequal(tuned, scratch)}."
    )


def _unequal(one: Result, other: Result) -> str:
    """In what two rows that are compared differ beside what the sentence is about."""
    sizes, passes = ([result.figures[name] for result in (one, other)] for name in ("parameters", "passes"))
    found = []
    if not 0.99 < sizes[0] / sizes[1] < 1.01:
        found.append(f"sizes ({sizes[0] / 1e6:.3g}M and {sizes[1] / 1e6:.3g}M parameters)")
    if not 0.9 < passes[0] / passes[1] < 1.1:
        found.append(f"passes ({passes[0]:.2g} and {passes[1]:.2g})")
    return f"; they differ in {' and '.join(found)}" if found else ""


def _counted(losses: Losses) -> str:
    ngrams = [result for result in losses.results if result.name in NGRAMS and not result.problem]
    counted = min(ngrams, key=lambda result: result.figures["val_loss"], default=None)
    trained = _lowest(losses, "scratch", "random", "finetune", "lora")
    if not counted or not trained:
        return ""
    reading = next(
        (result for result in losses.results if result.name == READING and not result.problem), None
    )
    lowest = min(result.figures["val_loss"] for result in (counted, reading or counted))
    return (
        f"Counting n-grams of the same text reaches {_named(counted)}"
        f"{f', and counts that go on while they read {_named(reading)}' if reading else ''}: "
        f"{'the best model has less' if trained.figures['val_loss'] < lowest else 'no model that stands still has less'}."
    )


def _forgotten(losses: Losses) -> str:
    text = next((text for text in OTHER_TEXTS if f"other_loss_{text}" in losses.base), "")
    key = f"other_loss_{text}"
    tuned = [result for result in losses.results if result.row.from_base and key in result.figures]
    if not text or not tuned:
        return ""
    worst = max(tuned, key=lambda result: result.figures[key])
    forgets = worst.figures[key] > losses.base[key]
    return (
        f"On text of another kind ({OTHER_TEXTS[text]}) the base has a loss of {losses.base[key]:.3f}, and "
        f"{worst.figures[key]:.3f} after fine-tuning ({worst.name}): "
        f"{'what it has forgotten' if forgets else 'nothing is forgotten there'}."
    )


def _reference(losses: Losses) -> str:
    published = [
        (result.name, losses.published(result)) for result in losses.results if losses.published(result)
    ]
    if not published:
        return ""
    named = ", ".join(f"{loss} ({name})" for name, loss in published)
    tokens = "" if losses.params.at_scale.tokenizer.source == "gpt2" else ", per token of GPT-2's tokenizer"
    return f"{PROJECT} publishes {named} for {PROJECT_MODEL}{tokens}."
