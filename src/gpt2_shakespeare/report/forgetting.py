"""What the rows have lost of the base: losses on texts of other kinds, and LoRA beside full fine-tuning."""

import numpy as np
import pandas as pd

from gpt2_shakespeare.report.losses import P_NAME, Losses, Result
from gpt2_shakespeare.report.markdown import listed, shown
from gpt2_shakespeare.report.registry import FULL_FINE_TUNING, OTHER_TEXTS


def table(losses: Losses) -> pd.DataFrame | None:
    """Loss on other texts, its change and the KL from the base, as strings; None where the base has no such loss."""
    texts = _measured(losses)
    if not texts:
        return None
    models = [result for result in losses.results if result.row.has_model]
    named = any(P_NAME in result.figures for result in losses.results)
    lines = []
    for figures in (result.figures for result in models):
        cells = {}
        for text in texts:
            loss, base = figures.get(f"other_loss_{text}"), losses.base[f"other_loss_{text}"]
            cells[f"{OTHER_TEXTS[text]}: loss"] = shown(loss, ".3f")
            cells[f"{OTHER_TEXTS[text]}: less the base's"] = shown(
                None if loss is None else loss - base, "+.3f"
            )
            cells[f"{OTHER_TEXTS[text]}: KL"] = shown(figures.get(f"kl_{text}"), ".3f")
        if named:
            cells["P(name)"] = f"{100 * figures[P_NAME]:.3g} %" if P_NAME in figures else shown(None)
        lines.append(cells)
    return pd.DataFrame(lines, index=pd.Index([result.name for result in models], name="Row"))


def matched(losses: Losses) -> list[str]:
    """What LoRA and full fine-tuning have forgotten where both have learned as much: a line a LoRA row and text."""
    settings = next(result.row.settings for result in losses.results if result.name == FULL_FINE_TUNING)
    full = [
        result
        for result in losses.results
        if result.row.kind == "finetune" and result.row.settings == settings
    ]
    return [
        _match(lora, full, text)
        for lora in losses.results
        if lora.row.kind == "lora"
        for text in _measured(losses)
    ]


def _measured(losses: Losses) -> list[str]:
    return [text for text in OTHER_TEXTS if f"other_loss_{text}" in losses.base]


def _match(lora: Result, full: list[Result], text: str) -> str:
    """LoRA's loss on a text at its lowest dev loss, and full fine-tuning's there, between its points; seeds' mean."""
    said = f"{lora.name} and full fine-tuning at equal dev loss"
    key, losses = f"other_loss_{text}", []
    for seed, history in lora.histories.items():
        others = [result.histories[seed] for result in full if seed in result.histories]
        if not others or any(key not in each for each in (history, *others)):
            return f"{said}, {OTHER_TEXTS[text]}: not measured."
        ends = pd.concat(others).dropna(subset=[key]).sort_values("dev_loss")
        points = history.dropna(subset=[key]).sort_values("dev_loss")
        if ends.empty or points.empty:
            return f"{said}, {OTHER_TEXTS[text]}: not measured."
        best = points.iloc[0]
        low, high = ends["dev_loss"].iloc[0], ends["dev_loss"].iloc[-1]
        if not low <= best["dev_loss"] <= high:
            return (
                f"{said}, {OTHER_TEXTS[text]}: no match. The lowest dev loss of {lora.name} is {best['dev_loss']:.3f}, "
                f"and full fine-tuning was measured between {high:.3f} and {low:.3f}."
            )
        losses.append((best["dev_loss"], best[key], np.interp(best["dev_loss"], ends["dev_loss"], ends[key])))
    if not losses:
        return f"{said}, {OTHER_TEXTS[text]}: not measured."
    dev, lora_loss, full_loss = np.mean(losses, axis=0)
    return (
        f"{said} ({dev:.3f}, the lowest of {lora.name}; between the points of {listed([result.name for result in full])}), "
        f"{OTHER_TEXTS[text]}: {lora_loss:.3f} and {full_loss:.3f}."
    )
