"""`gpt2-shakespeare evaluate`: how well models predict a text of the user's."""

import math
import os
from pathlib import Path
from typing import Annotated

import typer

from gpt2_shakespeare.command import project
from gpt2_shakespeare.command.sample import Model, Tokenizer
from gpt2_shakespeare.errors import printable


def evaluate(
    file: Annotated[Path, typer.Argument(help="A text in UTF-8.", show_default=False)],
    model: Model = None,
    tokenizer: Tokenizer = None,
) -> None:
    """Loss, perplexity and bits per character of a text, every token of it but the first scored once.

    \b
    gpt2-shakespeare evaluate my.txt
    gpt2-shakespeare evaluate my.txt -m base -m finetune -m path/to/a/model

    The loss is the mean of -log p(token) in nats. Perplexity is e to that power. Bits per character
    can be compared between models with other tokenizers; losses and perplexities can't.
    """
    from gpt2_shakespeare.tokens.corpus import bits_per_char, encode, read_corpus

    text = read_corpus(file)
    models = [project.seen(name) for name in model or []]
    tokenizer = tokenizer and tokenizer.resolve()
    found = project.settings()
    names = models or [project.default_model(found)]
    for name in names:
        project.resolve(name, tokenizer, found)
    device = project.machine(found)

    from gpt2_shakespeare.measure.losses import exact_losses

    typer.echo(f"{printable(os.path.basename(file))}: {len(text):,} characters")
    width = max(len("model"), *(len(project.shown(name)) for name in names))
    typer.echo(f"{'model':{width}}  {'loss':>8}  {'perplexity':>12}  {'bits/char':>9}  {'tokens':>10}")
    for name in names:
        loaded = project.load(name, tokenizer, found, device)
        tokens = encode(loaded.encoding, [text])
        loss = float(exact_losses(loaded.model, tokens).mean())
        bits = bits_per_char(loss, len(tokens), len(text))
        perplexity = f"{math.exp(loss):,.2f}" if loss < 30 else f"{math.exp(min(loss, 700)):.3g}"
        typer.echo(
            f"{project.shown(name):{width}}  {loss:8.4f}  {perplexity:>12}  {bits:9.4f}  {len(tokens):10,}"
        )
