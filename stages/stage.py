"""What every stage script shares: logging, errors in one line, ends with its parent, and a log of conditions."""

import argparse
import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, TypeVar

KEPT = "nothing of this stage is kept, run it again"


def _one_line_for_ctrl_c(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print(f"{NAME}: stopped by Ctrl-C; {KEPT}", file=sys.stderr, flush=True)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # and end by the signal, wherever in an import it came
        os.kill(os.getpid(), signal.SIGINT)
    else:
        sys.__excepthook__(kind, error, trace)


# At once, not in `stage`: the imports of a script take seconds.
NAME = Path(sys.argv[0]).stem
sys.excepthook = _one_line_for_ctrl_c

# The package that lies beside this script, whatever is installed: DVC hashes that one. `dvc exp run --queue` and
# `--temp`, and a git worktree, run the stages of another tree than the one that was installed.
SOURCE = Path(__file__).resolve().parents[1] / "src"
sys.path.insert(0, str(SOURCE))

import gpt2_shakespeare  # noqa: E402
from gpt2_shakespeare import disk  # noqa: E402
from gpt2_shakespeare.errors import Interrupted, UserError, drop_output, escape_output  # noqa: E402
from gpt2_shakespeare.params import Params, Row  # noqa: E402
from gpt2_shakespeare.params.schema import Base  # noqa: E402
from gpt2_shakespeare.paths import BASE_SEED, Paths  # noqa: E402

if TYPE_CHECKING:  # torch and DVC take seconds to import, and some stages do without
    from dvc.repo import Repo

    from gpt2_shakespeare.runtime import Runtime
    from gpt2_shakespeare.training.trainer import Trainer


R = TypeVar("R", bound=Row)

# What a model card calls the texts
TEXTS = {
    "plays": "plays that this project generates, not Shakespeare",
    "prose": "prose that this project generates",
    "novels": "96 English novels",
    "tinyshakespeare": "Tiny Shakespeare",
    "path": "a text of the user",
}


class _AboveTheBar(logging.Handler):
    """Writes a line of the log to stderr, above a progress bar that is being drawn there."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        tqdm.write(self.format(record), file=sys.stderr)


def stage(main: Callable[[], None]) -> None:
    """Run a stage; a user's mistake or a failing disk ends in one line on stderr and exit code 1."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[_AboveTheBar()])
    for noisy in ("httpx", "urllib3", "huggingface_hub", "filelock"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    escape_output()
    if Path(str(gpt2_shakespeare.__file__)).resolve().parents[1] != SOURCE:
        sys.exit(
            f"{NAME}: the package was loaded from {gpt2_shakespeare.__file__}, not from {SOURCE}, whose hashes DVC keeps; "
            "import stage before gpt2_shakespeare"
        )
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=_end_with_dvc, args=(_ancestors(),), daemon=True).start()
    try:
        try:
            main()
        finally:
            if sys.stdout:
                sys.stdout.flush()  # here, not when Python ends: it may be a closed pipe or a full disk
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done
    except UserError as error:
        sys.exit(f"{NAME}: {error}")
    except Interrupted as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        sys.exit(128 + error.signal)
    except BrokenPipeError:  # whoever reads has enough, as in `... | head -1`
        drop_output()
        sys.exit(128 + 13)  # as SIGPIPE ends a program
    except OSError as error:
        drop_output()
        where = f"{error.filename}: " if error.filename else ""
        reason = " ".join(str(error.strerror or error).split()) or type(error).__name__
        sys.exit(f"{NAME}: {where}{reason}; {KEPT} when that is mended")


def no_arguments(description: str | None) -> None:
    """For a stage that takes none: `--help` tells what it does, anything else is refused."""
    argparse.ArgumentParser(description=description).parse_args()


def to_root() -> None:
    """For a script that is run by hand from anywhere: the current folder if it holds a project, else the script's."""
    if not Path("params.yaml").exists():
        os.chdir(SOURCE.parent)


def row_and_seed(description: str | None, rows: Iterable[R]) -> tuple[R, int]:
    """The arguments of a stage that makes or looks at one model: `--row`, one of these, and `--seed`."""
    by_name = {row.name: row for row in rows}
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--row", choices=by_name, required=True)
    parser.add_argument("--seed", type=int, required=True, help="0 for the base, which is one for all seeds")
    args = parser.parse_args()
    return by_name[args.row], args.seed


def collect(settings: Params, *folders: Path) -> None:
    """Before a stage reads whole folders of other stages' results: nothing too much and nothing too little lies there.

    Results of rows and seeds that params.yaml no longer lists are deleted. DVC leaves the outs of a stage that is
    gone; they would count in the folder's hash, and another checkout, which doesn't have them, would be stale. DVC's
    cache keeps them.

    Raises:
        UserError: DVC runs the stage, and something is not there. After a partial pull, `dvc repro --pull
            --allow-missing` fetches nothing into a folder that has a file; rows would be missing in the table.
    """
    at = Paths(settings.scale)
    listed = {at.texts("human"), at.learned_baselines}
    listed |= {at.adapted(row.of, row.way) for row in settings.adapting}
    curves = settings.learning_curves
    for suffix in (".json", ".safetensors"):
        listed |= {at.learned(row, share, suffix) for row in curves.rows for share in curves.shares}
    for row in settings.rows:
        if row.has_model:
            listed.add(at.decoding(row.name))
            for seed in settings.seeds if row.trained else [BASE_SEED]:
                listed |= {at.evaluation(row.name, seed), at.token_losses(row.name, seed)}
                listed |= {at.texts(row.name, seed)} | (
                    {at.history(row.name, seed)} if row.trained else set()
                )
    for folder in folders:
        for file in sorted(folder.glob("*.*")):
            if file not in listed and file.name != ".gitignore":
                file.unlink()
    missing = sorted(str(file) for file in listed if file.parent in folders and not file.exists())
    if missing and "DVC_STAGE" in os.environ:
        raise UserError(
            f"{missing[0]} is not there, and {len(missing) - 1} more results of other stages; "
            "fetch them with `dvc pull`, then `dvc repro` goes on"
        )


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], int | None]]:
    """Inside, SIGTERM and SIGINT (Ctrl-C) are only noted: the function that is given returns the signal's number.

    A second signal acts at once, as it always does.
    """
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: received[0] if received else None
    finally:
        restore()


def _ancestors() -> tuple[int, int]:
    """Process ids of our parent and, where /proc tells, of its parent: DVC starts a stage through a shell."""
    parent = os.getppid()
    try:
        stat = Path(f"/proc/{parent}/stat").read_text()
    except OSError:
        return parent, 0
    return parent, int(stat.rpartition(")")[2].split()[1])


def _end_with_dvc(ancestors: tuple[int, int]) -> None:
    """A killed `dvc` leaves its stage running, and the next `dvc repro` would start a second one beside it."""
    while _ancestors() == ancestors:
        time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)


def _commit() -> str:
    """The git commit of the code that runs; marked where the code differs from it."""

    def git(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", *command], capture_output=True, text=True)

    try:
        head = git("rev-parse", "HEAD")
        changed = git("diff", "--quiet", "HEAD", "--", "src", "stages").returncode == 1
    except OSError:
        return "unknown: git is not there"
    return head.stdout.strip() + (" and changes" if changed else "") if head.returncode == 0 else "unknown"


@contextlib.contextmanager
def conditions(log: Path, machine: "Runtime") -> Iterator[dict]:
    """Write commit, wall time, machine and versions of what runs inside to a log file, which is no out.

    Inside, more facts can be added to what is given.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    facts: dict = {"commit": _commit(), **machine.facts()}
    yield facts
    facts["seconds"] = round(time.perf_counter() - started, 1)
    disk.write_json(log, facts, indent=2)


def described(base: Base) -> str:
    """The base, for a model card."""
    if base.source == "pretrain":
        return f"a base of this project, pretrained on {TEXTS[str(base.corpus)]}; it is not GPT-2"
    if base.source == "package":
        return f"{base.package}, from a Python package with 4-bit weights, which were turned into fp32"
    return f"{base.repo} at revision {base.revision}" if base.source == "hub" else "a model of the user"


def train_into(
    out: Path,
    trainer: "Trainer",
    at: "Paths",
    name: str,
    checkpoint_interval: int,
    about: tuple[str, str],
    history: Path | None = None,
) -> None:
    """Run a training, from its last checkpoint where there is one; `out` is there when all of it is written.

    Args:
        about: what the model is trained on, and what it starts from, for the model card.
        history: where the losses at every evaluation go; beside the model if it is None.
    """
    from gpt2_shakespeare.model.card import card
    from gpt2_shakespeare.model.complete import complete
    from gpt2_shakespeare.paths import TRAINING
    from gpt2_shakespeare.training.checkpoint import Checkpoints

    title, writing = f"{at.scale}: {name}", contextlib.ExitStack()

    def finish(folder: Path) -> None:
        summary = disk.read_json(folder / TRAINING)
        complete(folder, at.tokenizer, card(title, *about, trainer.settings.model_dump(), summary))
        writing.close()  # before the checkpoints go

    checkpoints = Checkpoints(at.checkpoints(name), trainer.fingerprint(), checkpoint_interval)
    with interruptible() as interrupted:
        if trainer.ranks.rank:
            trainer.run(out, checkpoints, interrupted, history, finish)
        else:
            with checkpoints.lock(), conditions(at.log(name), trainer.machine) as facts, writing:
                disk.remove(out)
                aside = writing.enter_context(disk.aside(out, folder=True))
                trainer.run(aside, checkpoints, interrupted, history, finish)
                if trainer.start_tokens:
                    facts["resumed_after_tokens"] = trainer.start_tokens  # `seconds` are those since then


@contextlib.contextmanager
def repository() -> Iterator["Repo"]:
    """DVC's view of the project; an error of DVC becomes one line."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            yield repo
    except DvcException as error:
        raise UserError(" ".join(str(error).split())) from None


def in_processes(processes: int) -> None:
    """Where params ask for several processes: run this stage in each of them, and end as they do."""
    from gpt2_shakespeare.training.parallel import launch

    with interruptible() as interrupted:
        code = launch(processes, interrupted)
    if code is not None:
        sys.exit(code)
