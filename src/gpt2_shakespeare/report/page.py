"""page.html: all results of a scale in one file that needs no network, with charts that can be asked."""

from pathlib import Path
from typing import Any

import pandas as pd

from gpt2_shakespeare.params import Params
from gpt2_shakespeare.report import finding, forgetting, pages, registry, table, text_tables
from gpt2_shakespeare.report.learning import LearningCurves
from gpt2_shakespeare.report.losses import EPOCHS, Losses
from gpt2_shakespeare.report.pictures import style
from gpt2_shakespeare.report.texts import OFF, Texts
from gpt2_shakespeare.report.titles import base_name, corpus_name

_templates = pages.environment(autoescape=True)
# Each colour of the pictures' palette -> the same hue for a dark page
DARK = {
    "#D55E00": "#FF8A4D", "#E69F00": "#F2B84B", "#603000": "#C99A6B", "#56B4E9": "#7CC7F2", "#0072B2": "#5AA9E6",
    "#009E73": "#3CCFA4", "#CC79A7": "#E8A0C8", "#332288": "#A79BFF",
}  # fmt: skip
# Figures that the grid can show -> what they are called
GRID = {
    OFF: "distance from human text",
    "bits_per_char_dev": "bits per character, scorer of dev",
    "distinct_2": "distinct-2",
    "self_bleu": "self-BLEU",
    "repeated": "repeated 4-grams",
}
# Part of the page -> the commands that make it again
COMMANDS = {
    "table": (
        "dvc repro evaluate_base evaluate_scratch evaluate_finetune evaluate_baselines evaluate_ensembles evaluate_adapting",
    ),
    "curves": ("dvc repro scratch finetune",),
    "learning": ("dvc repro learning_curve learning_curve_baselines",),
    "forgetting": ("dvc repro scratch finetune",),
    "samples": ("dvc repro texts_base texts_scratch texts_finetune", 'gpt2-shakespeare sample "KING:"'),
    "decoding": ("dvc repro decode_base decode_scratch decode_finetune",),
    "provenance": ("dvc repro", "python stages/record.py"),
}


def page(losses: Losses, learned: LearningCurves, texts: list[Texts], params: Params) -> str:
    """The page; the same results give the same bytes."""
    looks = style.looks(params.rows)
    curved = {curve.row.name for curve in learned.curves}
    rows = [row for row in params.rows if row.trained or row.kind == "base" or row.name in curved]
    main = table.main(losses)
    data = {
        "rows": {
            row.name: {"style": _style(looks[row.name].colour), "dash": looks[row.name].line != "-"}
            for row in rows
        },
        "curves": _curves(losses),
        "learning": _learning(learned),
        "base": {key: losses.base[key] for key in ("dev_loss", *_probed(losses)) if key in losses.base},
        "others": {key: registry.OTHER_TEXTS[key.removeprefix("other_loss_")] for key in _probed(losses)},
        "samples": _samples(texts, params),
        "decoding": _decoding(texts, params),
    }
    return _templates.get_template("page.html.j2").render(
        heading=table.heading(losses),
        title=losses.title,
        made_up=losses.corpus == registry.MADE_UP,
        finding=finding.sentences(losses),
        project=registry.PROJECT,
        project_link=registry.PROJECT_LINK,
        project_model=registry.PROJECT_MODEL,
        published=registry.PUBLISHED,
        columns=list(main.columns),
        main=[(str(name), _cells(cells)) for name, cells in main.iterrows()],
        explained={name: EXPLAINED[name] for name in main.columns if name in EXPLAINED},
        learned=_frame(learned.table()),
        equal=learned.sentences(),
        between=learned.equals,
        forgotten=_frame(forgetting.table(losses)),
        memorised=_frame(text_tables.figures(texts, text_tables.MEMORISED)),
        commands=COMMANDS,
        dark={colour: DARK[colour] for colour in style.PALETTE},
        provenance=_provenance(losses, params),
        settings=[
            (row.name, row.kind, row.epochs, _flat(row.settings.model_dump())) for row in params.trained_rows
        ],
        grid=GRID,
        data=data,
        style=_asset("page.css"),
        script=_asset("page.js"),
    )


# Column of the table -> what it is, in a line
EXPLAINED = {
    "Train": "loss on train, without dropout, on as many tokens as val has",
    "Dev": "loss on dev, the first part of the text, which chooses the best step",
    "Val (exact)": "loss on val, the last tenth of the text: every token scored once, with at least half a window before it",
    "Val at the last step": "the same for the weights that training ended with",
    "Val (reference's protocol)": "mean over overlapping windows, as the reference measures",
    "Reference": "what the reference publishes for its own, larger model",
    "Perplexity": "e to the power of val (exact)",
    "Bits/char": "val (exact) for each character: can be compared between tokenizers",
    table.GPT2_TOKEN: "the same bits as nats for every 3.083 characters, which a token of GPT-2's has in val",
    "Passes": "how often each token of train was seen",
    "Parameters": "numbers that the model consists of",
}


def _asset(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


def _cells(cells: pd.Series) -> list[tuple[str, str]]:
    """What is shown in each cell, and what it is sorted by: the number that it begins with, if there is one."""
    return [(text, text.split(" ")[0].replace(",", "")) for text in map(str, cells)]


def _style(colour: str) -> str:
    """The name of a row's colour in the page's style sheet."""
    return f"--c{style.PALETTE.index(colour)}" if colour in style.PALETTE else "--base"


def _frame(frame: pd.DataFrame | None) -> tuple[list[str], list[list[str]]] | None:
    if frame is None:
        return None
    frame = frame.reset_index(names=str(frame.index.name or ""))
    return [str(name) for name in frame.columns], frame.astype(str).to_numpy().tolist()


def _probed(losses: Losses) -> list[str]:
    return [f"other_loss_{text}" for text in registry.OTHER_TEXTS if f"other_loss_{text}" in losses.base]


def _curves(losses: Losses) -> list[dict[str, Any]]:
    """A training a line: its losses at every evaluation, in columns."""
    names = ["step", "passes", "train_loss", "dev_loss", EPOCHS, *_probed(losses)]
    return [
        {"row": result.name, "seed": seed}
        | {name: _numbers(history[name]) for name in names if name in history and history[name].notna().any()}
        for result in losses.results
        for seed, history in result.histories.items()
    ]


def _learning(learned: LearningCurves) -> list[dict[str, Any]]:
    """A row a line: its val loss on each share of train."""
    return [
        {
            "row": curve.row.name,
            "share": curve.shares,
            "tokens": curve.tokens,
            "val_loss": [round(loss, 4) for loss in curve.losses],
        }
        for curve in learned.curves
    ]


def _numbers(values: pd.Series) -> list[float | None]:
    return [None if value != value else round(float(value), 4) for value in values]


def _samples(texts: list[Texts], params: Params) -> dict[str, Any]:
    """All samples, each with the number of its prompt."""
    prompts = list(dict.fromkeys(sample["prompt"] for row in texts for sample in row.samples))
    items = [
        {
            "row": row.name,
            "prompt": prompts.index(sample["prompt"]),
            "text": sample["text"],
            "seed": sample["seed"],
            "temperature": sample.get("temperature", params.sample.temperature),
            "copied": sample.get("copied", []),
        }
        for row in texts
        for sample in (*row.samples, *row.others)
        if sample["prompt"] in prompts
    ]
    temperatures = sorted({item["temperature"] for item in items})
    return {
        "prompts": prompts,
        "temperatures": temperatures,
        "temperature": params.sample.temperature,
        "top_p": params.sample.top_p,
        "items": items,
    }


def _decoding(texts: list[Texts], params: Params) -> dict[str, Any]:
    rows = {
        row.name: [
            {"temperature": temperature, "top_p": top_p}
            | {name: round(figures[name], 4) for name in GRID if name in figures}
            for (temperature, top_p), figures in sorted(row.cells.items())
        ]
        for row in texts
        if row.cells
    }
    human = next((row.mean for row in texts if row.human), {})
    return {
        "rows": rows,
        "human": {name: round(human[name], 4) for name in GRID if name in human},
        "temperatures": sorted(params.analysis.temperatures),
        "top_ps": sorted(params.analysis.top_ps),
    }


def _provenance(losses: Losses, params: Params) -> list[tuple[str, str]]:
    base, runtime = params.at_scale.base, params.at_scale.runtime
    tokens = ", ".join(f"{count:,} {part}" for part, count in losses.tokens.items())
    return [
        ("Scale", params.scale),
        ("Text", f"{corpus_name(params, losses.corpus)} ({tokens} tokens)"),
        ("Tokenizer", " ".join(map(str, params.at_scale.tokenizer.model_dump().values()))),
        ("Base", f"{base.repo} at {base.revision}" if base.source == "hub" else base_name(params)),
        ("Seeds", ", ".join(map(str, params.seeds))),
        ("Runtime", ", ".join(f"{name} {value}" for name, value in runtime.model_dump().items())),
        ("Samples", ", ".join(f"{name} {value}" for name, value in params.sample.model_dump(exclude={"prompts"}).items())),
    ]  # fmt: skip


def _flat(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None)
