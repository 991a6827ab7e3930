"""Made-up results of every row, as the stages before the report leave them, and what the report made of them."""

import copy
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML
from safetensors.numpy import save_file

from gpt2_shakespeare.params import Params, Row, parse
from gpt2_shakespeare.paths import Paths

RAW = YAML(typ="safe").load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))
VAL = {
    "unigram": 6.57,
    "trigram": 5.49,
    "trigram_cache": 5.05,
    "base": 5.1,
    "scratch": 4.9,
    "scratch_tuned": 4.6,
    "finetune": 4.4,
    "finetune_long": 4.2,
    "finetune_tuned": 4.1,
    "finetune_lora": 4.3,
    "scratch_ensemble": 4.5,
    "scratch_ensemble_cache": 4.4,
    "finetune_ensemble": 4.0,
    "ppmd": 4.35,
    "counting": 3.95,
    "scratch_tuned_mixed": 3.8,
}
PROMPT = "First Citizen:\n"
HUMAN = {
    **{f"in_train_{n}": share for n, share in {4: 0.24, 6: 0.08, 8: 0.04, 10: 0.01}.items()},
    "longest_match": 15, "mean_longest_match": 6.5, "bits_per_char_train": 2.0, "bits_per_char_dev": 2.0,
    "line_distance": 0.09, "turn_distance": 0.1, "heading_distance": 0.03, "headings": 76, "name_distance": 0.9,
    "names_train": 0.3, "names_prompt": 0.4, "names_neither": 0.3, "distinct_1": 0.3, "distinct_2": 0.6,
    "distinct_3": 0.8, "self_bleu": 0.3, "compression_ratio": 2.0, "repeated": 0.02, "zipf": 0.9,
}  # fmt: skip


def params(
    scale: str = "novels", seeds: tuple[int, ...] = (1337,), change=None, **base: str | None
) -> Params:
    """params.yaml with some keys changed: those of the scale's `base`, and what `change` does to the parsed file."""
    raw = copy.deepcopy(RAW) | {"scale": scale, "seeds": list(seeds)}
    raw["scales"][scale]["base"] |= base
    if change:
        change(raw)
    return parse(raw)


ROWS = params().rows
TRAINED = [row.name for row in ROWS if row.trained]
MODELS = [row.name for row in ROWS if row.has_model]
COUNTED = [row.name for row in ROWS if row.kind == "baseline"]
ADAPTING = {row.name: (row.of, row.way) for row in ROWS if row.kind == "adapting"}
ENSEMBLES = [row.name for row in ROWS if row.kind == "ensemble"]


def add_row(raw: dict[str, Any], name: str, **settings: Any) -> None:
    """Add a row that starts from the base, as a user would: in params.yaml alone."""
    raw["rows"]["finetune"].append(name)
    raw["defaults"]["rows"][name] = {}
    for scale in raw["scales"].values():
        scale["rows"][name] = settings


def with_row(raw: dict[str, Any]) -> None:
    """A further row and an ensemble of its seeds."""
    add_row(raw, "finetune_quick", learning_rate=0.002)
    raw["ensembles"]["quick_ensemble"] = {"of": "finetune_quick"}


def put(path: Path, facts: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(facts if isinstance(facts, str) else json.dumps(facts))


def change(path: Path, **values: object) -> None:
    """Change keys of a JSON file; None takes one out."""
    facts = json.loads(path.read_text()) | values
    put(path, {key: value for key, value in facts.items() if value is not None})


def change_figures(path: Path, **values: float | None) -> None:
    """The same for the figures of a row's texts."""
    facts = json.loads(path.read_text())
    facts["figures"] = {key: value for key, value in (facts["figures"] | values).items() if value is not None}
    put(path, facts)


def evaluation(row: Row, nth: int) -> dict[str, float]:
    """Figures as the evaluating stages write them; the nth seed is 0.02 nats above the first."""
    val = VAL.get(row.name, 4.25)
    if not row.has_model:
        facts = {"dev_loss": 5.3, "val_loss": val, "bits_per_char": 2.6}
        facts |= {"train_loss": 3.0} if row.kind == "baseline" else {}
        facts |= (
            {"dynamic_rate": 0.0001, "dynamic_decay": 0.0} if row.way.endswith(("dynamic", "both")) else {}
        )
        return facts | ({"cache_weight": 0.1, "cache_size": 800} if row.name.endswith("cache") else {})
    loss = val + 0.02 * nth
    facts = {
        "train_loss": loss - 0.5, "dev_loss": loss - 0.1, "val_loss": loss, "val_loss_reference": loss + 0.03,
        "bits_per_char": loss * 0.468, "parameters": 7_000_000, "block_size": 256,
    }  # fmt: skip
    if row.trained:
        facts |= {f"{key}_last": value for key, value in facts.items() if "loss" in key}
        facts |= {"running_train_loss": loss + 0.2, "tokens_seen": 1_000_000 + nth, "passes": 3.5}
        facts |= {"steps": 400, "max_steps": 400, "best_step": 400}
    return facts


def history(row: str, nth: int) -> str:
    """A curve that falls to the row's dev loss; the scratch row turns up at its end."""
    last_pass = {"scratch": 8.0, "finetune": 1.0}.get(row, 6.0)
    lines = ["step,passes,block_size,learning_rate,running_train_loss,train_loss,dev_loss"]
    start = 9.0 if row == "scratch" else 5.0
    low = VAL.get(row, 4.25) - 0.1 + 0.02 * nth
    for step in range(20, 401, 20):
        share = step / 400
        dev = low + (start - low) * math.exp(-7 * share)
        dev += 0.4 * max(0, share - 0.8) if row == "scratch" else 0
        train = dev - 0.6 * share * last_pass / 8
        passes = round(share * last_pass, 4)
        lines.append(f"{step},{passes},256,0.001,{train + 0.2:.6f},{train:.6f},{dev:.6f}")
    return "\n".join(lines) + "\n"


def text_figures(**changes: float | None) -> dict[str, float]:
    return {name: value for name, value in (HUMAN | changes).items() if value is not None}


def texts(nth: int = 0, **changes: float | None) -> dict[str, Any]:
    """As stages/texts.py writes it; the nth seed is 0.1 bits above the first."""
    return {
        "temperature": 0.8, "top_p": 0.9,
        "figures": text_figures(bits_per_char_dev=2.2 + 0.1 * nth, **changes),
        "recall_train": {"recalled": [0.5, 0.25, 0.125], "mean_matched": 0.875},
        "recall_val": {"recalled": [0.4, 0.1, 0.0], "mean_matched": 0.5},
        "samples": [{"prompt": PROMPT, "seed": seed, "text": f"Speak, {seed}.\n"} for seed in (1, 2)],
    }  # fmt: skip


def grid() -> dict[str, Any]:
    """The further from temperature 0.8 and top-p 1, the further from human text."""

    def bits(temperature: float, top_p: float) -> float:
        return 2.0 * (1.1 + abs(temperature - 0.8) + 1 - top_p)

    cells = [
        {"temperature": t, "top_p": p, "figures": text_figures(bits_per_char_dev=bits(t, p))}
        for t, p in params().analysis.decodings()
    ]
    return {"cells": cells}


def file(at: Paths, row: str, seed: int | None = None) -> Path:
    """Where the evaluation of a row lies."""
    if row in ADAPTING:
        return at.adapted(*ADAPTING[row])
    if row in ENSEMBLES or row.endswith("_ensemble"):
        return at.ensemble(row)
    return at.baseline(row) if row in COUNTED else at.evaluation(row, seed)


def fill(
    scale: str = "novels",
    seeds: tuple[int, ...] = (1337,),
    corpus: str = "tinyshakespeare",
    rows: tuple[Row, ...] = ROWS,
) -> Paths:
    """What the stages before the report leave, in the current folder."""
    at = Paths(scale)
    tokens = {"train": 288_996, "dev": 15_226, "val": 33_803}
    put(at.corpus_facts, {"corpus": corpus, "tokens": tokens, "chars": tokens, "vocab_size": 50257})
    put(at.texts("human"), {"draws": [HUMAN, text_figures(zipf=0.9 * math.exp(0.1))]})
    for row in rows:
        for nth, seed in enumerate(seeds):
            nth = nth if row.trained else 0
            put(file(at, row.name, seed), evaluation(row, nth))
            if row.trained:
                put(at.history(row.name, seed), history(row.name, nth))
                token_losses(at, row.name, seed, [VAL.get(row.name, 4.25) + 0.02 * nth] * 200)
            if row.has_model:
                put(at.texts(row.name, seed), texts(nth))
        if row.has_model:
            put(at.decoding(row.name), grid())
    return at


def token_losses(at: Paths, row: str, seed: int, values: Sequence[float]) -> None:
    """Losses of the tokens of val."""
    save_file({"val": np.array(values, dtype=np.float64)}, at.token_losses(row, seed))


def metrics(at: Paths) -> dict[str, dict[str, float]]:
    """What `dvc metrics show` prints, by row."""
    return {path.stem: json.loads(path.read_text()) for path in at.rows.iterdir()}


def figures(at: Paths) -> pd.DataFrame:
    """table.csv, a line a row."""
    return pd.read_csv(at.metrics / "table.csv", index_col="row")


def line(at: Paths, row: str) -> list[str]:
    """The cells of a row in the first table of table.md, notes last."""
    lines = (at.metrics / "table.md").read_text(encoding="utf-8").splitlines()
    found = next(one for one in lines if one.startswith(f"| {row} |"))
    return [cell.strip() for cell in found.strip("|").split(" | ")]


def part(at: Paths, title: str) -> tuple[str, dict[str, list[str]]]:
    """A part of table.md: its text, and the cells of each row."""
    page = (at.metrics / "table.md").read_text(encoding="utf-8").split(f"# {title}\n")[1].split("\n# ")[0]
    rows = [one.strip("| ").split(" | ") for one in page.splitlines() if one.startswith("| ")]
    return page, {row[0]: row[1:] for row in rows}


def cells(at: Paths, row: str, table: int) -> dict[str, str]:
    """The cells of a row by heading, in the nth table of analysis.md."""
    page = (at.metrics / "analysis.md").read_text(encoding="utf-8")
    blocks = [block for block in page.split("\n\n") if block[0] == "|"]
    lines = [[cell.strip() for cell in one.strip("|").split("|")] for one in blocks[table].splitlines()]
    (found,) = [one for one in lines if one[0] == row]
    return dict(zip(lines[0], found, strict=True))
