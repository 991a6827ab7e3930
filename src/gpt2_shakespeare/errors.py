"""The one base of all errors that a user can mend, how text from elsewhere is shown in them, and output that can fail."""

import contextlib
import io
import os
import sys


class UserError(Exception):
    """Bad input or a fault of the surroundings: the message says what, where and what to do, in a line.

    Anything else that is raised is a bug of ours and keeps its traceback.
    """


class Interrupted(Exception):
    """A signal has asked a run to stop, and it has; the message says where, and what is kept."""

    def __init__(self, message: str, signal: int):
        super().__init__(message)
        self.signal = signal


def printable(text: object, longest: int = 80) -> str:
    """A name or value from somebody else's file, safe to show in a line: escaped, and cut where it is longer.

    Line ends, terminal escapes, marks that turn the direction of writing and lone surrogates come out as `\\n`,
    `\\x1b`, `\\u202e`, `\\udc80`.
    """
    try:
        text = str(text)
    except ValueError:  # a number with more digits than Python shows
        return "a number with too many digits"
    cut = text if len(text) <= longest else f"{text[:longest]}..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


def escape_output() -> None:
    """Let no character that a terminal or a pipe can't show end a program: it comes out escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def drop_output() -> None:
    """What is still to be printed goes nowhere: Python would try again as it ends, and complain."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # there may be no stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
