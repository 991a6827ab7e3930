"""What a stage shows while it works: a bar on a terminal, elsewhere a line of the log every half minute.

Only looks on: nothing that a stage writes depends on it.
"""

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import TypeVar

from tqdm import tqdm

log = logging.getLogger(__name__)
T = TypeVar("T")

QUIET = 2.0  # seconds in which nothing is shown: most stages of a small scale are done by then
EVERY = 30.0  # seconds between two lines where there is no terminal


@contextlib.contextmanager
def working(what: str, total: int | None = None) -> Iterator[Callable[[], object]]:
    """Inside, show that something goes on, and how long it has taken.

    Args:
        what: names the work.
        total: the number of its parts, if that is known.

    Yields:
        what to call when a part is done.
    """
    started, done, over = time.monotonic(), 0, threading.Event()
    bar = tqdm(
        total=total, desc=what, unit="part", delay=QUIET, leave=False, disable=not _is_terminal(), file=sys.stderr,
        bar_format=None if total else "{desc} {elapsed}",
    )  # fmt: skip

    def one_more() -> None:
        nonlocal done
        done += 1
        bar.update()

    def show() -> None:
        wait = QUIET if not bar.disable else EVERY
        while not over.wait(wait):
            if not bar.disable:
                bar.refresh()
                wait = 1.0
                continue
            seconds = time.monotonic() - started
            parts = f"{done} of {total} parts, " if total else ""
            left = f", about {seconds / done * (total - done):.0f} s left" if total and done else ""
            log.info("%s: %s%.0f s%s", what, parts, seconds, left)

    beat = threading.Thread(target=show, daemon=True)
    beat.start()
    try:
        yield one_more
    finally:
        over.set()
        beat.join()
        bar.close()


def each(items: Collection[T], what: str) -> Iterator[T]:
    """The items one by one, with progress; a part is done when the next item is asked for."""
    with working(what, len(items)) as done:
        for item in items:
            yield item
            done()


def _is_terminal() -> bool:
    return bool(sys.stderr and sys.stderr.isatty())
