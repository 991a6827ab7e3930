"""The command's entry: its words, and errors that end in one line."""

import logging
import os
import sys

import typer

from gpt2_shakespeare.command import doctor, evaluate, page, sample, table
from gpt2_shakespeare.errors import UserError, drop_output, escape_output

NAME = "gpt2-shakespeare"

app = typer.Typer(
    name=NAME,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain text, for every terminal
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="""GPT-2 from scratch and fine-tuned: look at what the pipeline made.

    \b
    gpt2-shakespeare doctor                       what will run here, and how fast
    gpt2-shakespeare sample "KING:"               continue a prompt
    gpt2-shakespeare sample "KING:" -m scratch -m finetune
    gpt2-shakespeare evaluate my.txt -m finetune  the loss of a text of yours
    gpt2-shakespeare table                        the results
    gpt2-shakespeare page                         the results as a page, in a browser

    Type it inside a clone of the project, after `dvc repro` or `dvc pull`.
    """,
)
for function in (sample.sample, evaluate.evaluate, table.table, page.page, doctor.doctor):
    app.command()(function)


def main(arguments: list[str] | None = None) -> None:
    """Run a command line, sys.argv's if none is given; always ends in SystemExit."""
    logging.basicConfig(level=logging.WARNING, format=f"{NAME}: %(message)s", stream=sys.stderr)
    escape_output()
    try:
        os.getcwd()
    except FileNotFoundError:
        sys.exit(f"{NAME}: the current folder is gone; change to another one with cd")
    try:
        app(arguments, prog_name=NAME)
    except UserError as error:
        sys.exit(f"{NAME}: {error}")
    except BrokenPipeError:  # the reader, as `head`, has gone
        drop_output()
        sys.exit(0)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"{NAME}: {where}{error.strerror or error}")


if __name__ == "__main__":
    main()
