"""On PYTHONPATH, it makes every Python process note the project's files that it opens to read: for test_end_to_end.py."""

import os
import sys

OUT, PROJECT = os.environ["WATCH_OUT"], os.path.realpath(os.environ["WATCH_PROJECT"])


def note(event: str, args: tuple) -> None:
    if (
        event != "open"
        or not isinstance(args[0], str)
        or (isinstance(args[1], str) and args[1][:1] not in "r")
    ):
        return
    path = os.path.realpath(args[0])
    if path.startswith(PROJECT + os.sep) and os.path.isfile(path) and not path.startswith(OUT):
        with open(
            os.open(os.path.join(OUT, str(os.getpid())), os.O_WRONLY | os.O_CREAT | os.O_APPEND), "a"
        ) as file:
            file.write(f"{' '.join(sys.argv)}\t{os.path.relpath(path, PROJECT)}\n")


sys.addaudithook(note)
