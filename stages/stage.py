"""What every stage script shares: logging, errors in one line, and a log of the run's conditions."""

import contextlib
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gpt2_shakespeare.errors import UserError


def stage(main: Callable[[], None]) -> None:
    """Run a stage; a user's mistake or a failing disk ends in one line on stderr and exit code 1."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("httpx", "urllib3", "huggingface_hub", "filelock"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    name = Path(sys.argv[0]).stem
    try:
        main()
    except UserError as error:
        sys.exit(f"{name}: {error}")
    except OSError as error:
        if error.errno is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(
            f"{name}: {where}{error.strerror}; nothing of this stage is kept, run it again when that is mended"
        )


@contextlib.contextmanager
def conditions(log: Path):
    """Write the wall time, the machine and the versions of what runs inside to a log file, which is no out."""
    from gpt2_shakespeare import runtime

    started = time.perf_counter()
    facts: dict = runtime.machine()
    yield facts
    facts["seconds"] = round(time.perf_counter() - started, 1)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(json.dumps(facts, indent=2) + "\n")
