"""The words that hang on a name: a published figure, a note on one row, what a corpus is called.

Everything else in the report follows from the rows' kinds and their order in `params.rows`.
"""

from typing import NamedTuple

# The project that is reproduced here.
PROJECT = "MassilAit/GPT2-Shakespeare"
PROJECT_LINK = "https://github.com/MassilAit/GPT2-Shakespeare"
PROJECT_MODEL = "GPT-2 124M"
PROJECT_CORPUS = "tinyshakespeare"


# Characters of val over its tokens of GPT-2's tokenizer: 104,217 over 33,803. With it, losses in other tokens compare.
CHARS_PER_GPT2_TOKEN = 104_217 / 33_803


class Published(NamedTuple):
    """A val loss that the project publishes, in nats per token, with the digits that it gives."""

    val_loss: str
    run: str  # which of its runs


# Row -> the project's figure for it
PUBLISHED = {
    "scratch": Published("4.75", "its run from random weights"),
    "finetune": Published("3.3424", "its run of 1 epoch"),
    "finetune_long": Published("3.20", "its run of about 6 epochs"),
}

GPT2_REPOS = ("openai-community/gpt2", "gpt2")
NANOGPT_ZERO_SHOT = "nanoGPT reports 4.03 for GPT-2 124M"  # its issue 210; split by characters

# Of what is no static model
ADAPTS = "adapts while it reads"

# Baselines of which that is so
ADAPTING = ("trigram_cache", "ppmd", "counting")

# Baseline -> its note in the table; {cache} stands for the cache's size and weight
BASELINE_NOTES = {
    "unigram": "counts of the train tokens, each one up",
    "trigram": "interpolated Kneser-Ney on the train tokens",
    "trigram_cache": "the same, {cache}; adapts while it reads",
    "ppmd": f"a compressor, PPMd of order 6, on the bytes; {ADAPTS}",
    "counting": f"the mixture of counts of bytes, words and tokens, without a model; {ADAPTS}",
}

# Baselines that are measured on shares of train too
LEARNING = ("trigram", "counting")

READING = "counting"  # the lowest of the baselines that go on counting while they read
NGRAMS = ("unigram", "trigram", "trigram_cache")

# LoRA is compared with this row and with all that have its settings
FULL_FINE_TUNING = "finetune"

# `corpus` of a scale -> its name
CORPORA = {
    "plays": "built-in text, not Shakespeare",
    "tinyshakespeare": "Tiny Shakespeare",
    "path": "own text",
}
MADE_UP = "plays"  # the corpus that says nothing about Shakespeare: every row's notes say so
# `base.corpus` of a scale -> its name
PRETRAINED_ON = {"prose": "built-in prose", "novels": "96 English novels"}  # 100 less the 4 held out

# `base.package` of a scale -> what must be known of it wherever its figures stand
PACKAGES = {
    "smollm2-135m": "SmolLM2-135M-Instruct, from 4-bit weights and tuned for chat; its web text surely holds Shakespeare",
}

# Text of another kind than the corpus, in data/<scale>/other/ -> its name
OTHER_TEXTS = {
    "base_corpus": "Base's corpus",
    "novels": "Four novels",
    "plays": "Generated plays",
    "wikitext": "WikiText-2",
}

# Kind of token -> its name
KINDS = {
    "heading": "Headings",
    "body": "Body",
    "known_speaker": "Headings, speaker in train",
    "new_speaker": "Headings, new speaker",
    "seen_type": "Token types in train",
    "new_type": "New token types",
}
