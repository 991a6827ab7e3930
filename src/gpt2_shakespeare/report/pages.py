"""The pages: table.md, analysis.md and samples.md, from the templates in templates/."""

from typing import Any

import jinja2

from gpt2_shakespeare.params import Params
from gpt2_shakespeare.report import (
    finding,
    forgetting,
    intervals,
    markdown,
    parts,
    registry,
    table,
    text_tables,
)
from gpt2_shakespeare.report.learning import LearningCurves
from gpt2_shakespeare.report.losses import Losses
from gpt2_shakespeare.report.texts import Texts


def environment(autoescape: bool) -> jinja2.Environment:
    """The folder templates/; `autoescape` is for HTML."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader(__name__.rpartition(".")[0]),
        undefined=jinja2.StrictUndefined,
        autoescape=autoescape,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )


_templates = environment(autoescape=False)
_templates.filters |= {"table": markdown.table, "fenced": markdown.fenced}
_templates.globals["project"] = f"[{registry.PROJECT}]({registry.PROJECT_LINK})"


def results(losses: Losses, learned: LearningCurves) -> str:
    """table.md: the table of results, where the loss is, how it falls with more text, what is forgotten, and which rows differ."""
    return _page(
        "table.md",
        heading=table.heading(losses),
        finding=finding.sentences(losses),
        main=table.main(losses),
        notes=table.NOTES,
        project_model=registry.PROJECT_MODEL,
        published=registry.PUBLISHED,
        kinds=parts.kinds(losses),
        learned=learned.table(),
        equal=learned.sentences(),
        between=learned.equals,
        forgotten=forgetting.table(losses),
        matched=forgetting.matched(losses),
        differences=parts.differences(losses),
        least_seeds=intervals.LEAST_SEEDS,
        blocks=intervals.BLOCKS,
        draws=intervals.DRAWS,
    )


def analysis(texts: list[Texts], params: Params, title: str) -> str:
    """analysis.md: what the texts are like beside human text."""
    return _page(
        "analysis.md",
        title=title,
        analysis=params.analysis,
        setting=text_tables.named(params.sample.temperature, params.sample.top_p),
        seed=params.seeds[0],
        draws=next((len(row.figures) for row in texts if row.human), 0),
        memorised=text_tables.figures(texts, text_tables.MEMORISED),
        known=text_tables.known_by_heart(texts),
        style=text_tables.figures(texts, text_tables.STYLE),
        variety=text_tables.figures(texts, text_tables.VARIETY),
        decoding=text_tables.decoding(texts, params),
    )


def samples(texts: list[Texts], params: Params, title: str, corpus: str) -> str:
    """samples.md: every sample, by prompt and then by row; samples that can't be read are named."""
    models = [row for row in texts if not row.human]
    prompts = dict.fromkeys(sample["prompt"] for row in models for sample in row.samples)
    return _page(
        "samples.md",
        title=title,
        made_up=corpus == registry.MADE_UP,
        settings=params.sample.model_dump(exclude={"prompts"}),
        seed=params.seeds[0],
        models=models,
        prompts=list(prompts),
    )


def _page(name: str, **values: Any) -> str:
    return _templates.get_template(f"{name}.j2").render(values).rstrip("\n") + "\n"
