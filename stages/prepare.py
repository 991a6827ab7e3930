"""The tokenizer, and the token ids of train, dev and val, of our own base's corpus, and of other kinds of text."""

from pathlib import Path

from stage import no_arguments, stage
from progress import working

from gpt2_shakespeare import disk, params, paths
from gpt2_shakespeare.corpora import assets
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.tokens import json_tokenizer, tokenizer
from gpt2_shakespeare.tokens.corpus import encode, learn, read_corpus, split
from gpt2_shakespeare.tokens.files import save_tokens


def main() -> None:
    no_arguments(__doc__)
    with working("prepare"):
        prepare()


def prepare() -> None:
    settings = params.load()
    scale, at = settings.at_scale, paths.Paths(settings.scale)
    names = {"tinyshakespeare": assets.TINY_SHAKESPEARE.path, "plays": "plays.txt", "path": "corpus.txt"}
    corpus = read_corpus(at.raw / names[scale.corpus])
    pretrain = _pretraining_texts(scale.base, at) if scale.base.corpus else {}
    other = {"base_corpus": pretrain.pop("held_out")} if pretrain else {}
    if scale.tokenizer.source == "base":  # the last is a text that no one can have read before
        other["plays"] = [read_corpus(at.raw / "unseen.txt")]
        other["novels"] = [read_corpus(at.raw / asset.path) for asset in assets.NOVELS_HELD_OUT]
    if scale.tokenizer.source != "bpe":
        other["wikitext"] = [read_corpus(at.raw / assets.WIKITEXT2_TEST.path)]

    paths.fresh(at.corpus)
    folder = paths.fresh(at.tokenizer)
    if scale.tokenizer.vocab_size and scale.tokenizer.source == "bpe":
        encoding: tokenizer.Encoding
        encoding, parts = learn(
            corpus, pretrain.get("train", []), scale.tokenizer.vocab_size, scale.model.block_size, folder
        )
    else:
        if scale.tokenizer.source == "gpt2":
            for asset in assets.GPT2_BPE:
                disk.install(at.raw / asset.path, folder / Path(asset.path).name)
        else:
            gguf = at.raw_base / paths.GGUF
            json_tokenizer.take(gguf if gguf.exists() else at.raw_base, folder)
        encoding = tokenizer.load(folder)
        parts = split(encode(encoding, [corpus]), scale.model.block_size)
    for name, tokens in parts.items():
        save_tokens(at.tokens(name), tokens)
    for folder, found, why in (
        (at.pretrain_tokens, pretrain, "The base of this scale is not pretrained here."),
        (at.other_tokens, other, "This scale has no text of another kind than the corpus."),
    ):
        paths.fresh(folder)
        for name, texts in found.items():
            save_tokens(folder / f"{name}.npy", encode(encoding, texts))
        if not found:
            disk.write_text(folder / paths.EMPTY, f"{why}\n")
    facts = {
        "corpus": scale.corpus,
        "vocab_size": encoding.n_vocab,
        "tokens": {name: len(tokens) for name, tokens in parts.items()},
        "chars": {name: len(encoding.decode(tokens.tolist())) for name, tokens in parts.items()},
    }
    disk.write_json(at.corpus_facts, facts, indent=2, sort_keys=True)


def _pretraining_texts(base: schema.Base, at: paths.Paths) -> dict[str, list[str]]:
    """Documents to pretrain on (`train`), and others that the base never sees (`dev`, `held_out`)."""
    if base.corpus == "prose":
        text = read_corpus(at.raw / "prose.txt")
        ends = [text.index("\n\n", int(share * len(text))) for share in (0.9, 0.95)]
        parts = [text[: ends[0]], text[ends[0] : ends[1]], text[ends[1] :]]
        return dict(zip(("train", "dev", "held_out"), ([part.strip() + "\n"] for part in parts), strict=True))
    novels = {asset.path: read_corpus(at.raw / asset.path) for asset in assets.NOVELS}
    held_out = [novels[asset.path] for asset in assets.NOVELS_HELD_OUT]
    train = [text for text in novels.values() if text not in held_out]
    # dev chooses among the base's steps, so it is not one of the held-out novels: the end of a seen author's last
    cut = int(0.5 * len(train[-1]))
    return {"train": [*train[:-1], train[-1][:cut]], "dev": [train[-1][cut:]], "held_out": held_out}


if __name__ == "__main__":
    stage(main)
