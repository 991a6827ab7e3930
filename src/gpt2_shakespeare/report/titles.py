"""What every page and picture says of its figures: scale, text and base."""

from gpt2_shakespeare.params import Params
from gpt2_shakespeare.report.registry import CORPORA, PACKAGES, PRETRAINED_ON


def corpus_name(params: Params, corpus: str) -> str:
    name = CORPORA.get(corpus, corpus)
    return f"{name} ({params.corpus_path})" if corpus == "path" else name


def base_name(params: Params) -> str:
    base = params.at_scale.base
    if base.corpus is not None:  # our own, as base.source says too
        return f"a stand-in pretrained on {PRETRAINED_ON[base.corpus]}, not GPT-2"
    if base.package is not None:
        return PACKAGES[base.package]
    return base.repo if base.source == "hub" else params.base_path


def title(params: Params, corpus: str) -> str:
    return f"{params.scale}: {corpus_name(params, corpus)}; base: {base_name(params)}"
