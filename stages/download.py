"""Fetch, write or copy the texts and tokenizer files that the scale needs."""

from pathlib import Path

from stage import no_arguments, stage

from gpt2_shakespeare import disk, params, paths
from gpt2_shakespeare.corpora import assets, pastiche
from gpt2_shakespeare.corpora.fetch import fetch
from gpt2_shakespeare.tokens.corpus import read_corpus


def main() -> None:
    no_arguments(__doc__)
    settings = params.load()
    scale, raw = settings.at_scale, paths.fresh(paths.Paths(settings.scale).raw)
    wanted: list[assets.Asset] = []
    if scale.tokenizer.source == "gpt2":
        wanted += assets.GPT2_BPE
    if scale.corpus == "tinyshakespeare":
        wanted.append(assets.TINY_SHAKESPEARE)
    elif scale.corpus == "plays":
        disk.write_text(raw / "plays.txt", pastiche.plays())
    else:
        read_corpus(Path(settings.corpus_path))  # fail here, where the file is named as the user named it
        disk.install(Path(settings.corpus_path), raw / "corpus.txt")
    if scale.base.corpus == "novels":
        wanted += assets.NOVELS
    elif scale.base.corpus == "prose":
        disk.write_text(raw / "prose.txt", pastiche.prose())
    if scale.tokenizer.source == "gpt2":  # for what is forgotten
        wanted.append(assets.WIKITEXT2_TEST)
    fetch(wanted, raw, partial=paths.DOWNLOADS)


if __name__ == "__main__":
    stage(main)
