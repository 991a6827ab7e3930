"""Writes all of metrics/<scale>/."""

import json
from pathlib import Path

from gpt2_shakespeare.params import Params
from gpt2_shakespeare.paths import Paths
from gpt2_shakespeare.report import files, learning, losses, page, pages, pictures, table, text_tables, texts
from gpt2_shakespeare.report.pictures.style import looks, png

TABLE_CSV, CURVES, ANALYSIS_CSV = "table.csv", "curves.csv", "analysis.csv"
LEARNING = "learning_curves.csv"
TABLE_MD, ANALYSIS_MD, SAMPLES_MD = "table.md", "analysis.md", "samples.md"
PAGE = "page.html"


def write(params: Params) -> Path:
    """Write every file of metrics/<scale>/ and return that folder; where it fails, the old files stay.

    Raises:
        ReportError: no model has a complete evaluation, no texts have figures, or the corpus's facts can't be read.
    """
    all_losses, all_texts = losses.read(params), texts.read(params)
    learned = learning.read(all_losses)
    title, at = all_losses.title, Paths(params.scale)
    contents = {
        **{
            f"{at.rows.name}/{row}.json": json.dumps(figures, indent=2, allow_nan=False) + "\n"
            for row, figures in table.metrics(all_losses).items()
        },
        TABLE_CSV: table.csv(all_losses),
        CURVES: all_losses.curves().to_csv(index=False, lineterminator="\n"),
        LEARNING: learned.lines().to_csv(index=False, lineterminator="\n"),
        ANALYSIS_CSV: text_tables.csv(all_texts),
        TABLE_MD: pages.results(all_losses, learned),
        ANALYSIS_MD: pages.analysis(all_texts, params, title),
        SAMPLES_MD: pages.samples(all_texts, params, title, all_losses.corpus),
        PAGE: page.page(all_losses, learned, all_texts, params),
    }
    drawn = {name: png(draw, all_losses) for name, draw in pictures.OF_LOSSES.items()}
    drawn |= {
        name: png(draw, learned, looks(params.rows), title) for name, draw in pictures.OF_LEARNING.items()
    }
    drawn |= {name: png(draw, all_texts, params, title) for name, draw in pictures.OF_TEXTS.items()}
    files.write(at.metrics, {name: text.encode() for name, text in contents.items()} | drawn)
    return at.metrics
