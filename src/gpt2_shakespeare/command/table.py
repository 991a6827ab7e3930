"""`gpt2-shakespeare table`: the results in the terminal."""

from typing import Annotated

import typer

from gpt2_shakespeare.command import project

Scale = Annotated[str, typer.Option(help="Another scale than params.yaml names.", show_default=False)]


def table(scale: Scale = "") -> None:
    """The finding, the table of results, and where the rest lies.

    \b
    gpt2-shakespeare table
    gpt2-shakespeare table --scale laptop
    """
    from gpt2_shakespeare.report.summary import summary

    typer.echo(summary(project.needed(scale)[1]))
