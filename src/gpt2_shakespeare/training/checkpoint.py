"""Training state on disk that survives a kill at any moment: written aside, hashed, renamed, two of them kept.

A checkpoint is a folder `step-<n>` with `tensors.safetensors`, `state.json` and `manifest.json`, which has the
sha256 of the other two. It lies outside DVC's outs, which DVC deletes before a stage runs.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from gpt2_shakespeare.errors import UserError

log = logging.getLogger(__name__)

KEPT = 2
TENSORS, STATE, MANIFEST = "tensors.safetensors", "state.json", "manifest.json"
WAIT = 20.0  # seconds for the trainer of a killed `dvc` to finish its step and go


class CheckpointError(UserError, RuntimeError):
    """A checkpoint can't be written, or is another run's; the message says what to do."""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one training run.

    Args:
        folder: theirs alone.
        fingerprint: all that the run's result depends on; it decides whether a checkpoint is ours to resume.
        interval: steps from one to the next.
    """

    folder: Path
    fingerprint: Mapping[str, Any]
    interval: int

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep a second trainer of the same run out.

        Raises:
            CheckpointError: another process trains this run.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("%s: another process trains this; waiting for it", self.folder)
            try:
                lock.acquire(timeout=WAIT)
            except Timeout:
                raise CheckpointError(
                    f"{self.folder}: another process trains this; let it finish or stop it, then run again"
                ) from None
        try:
            yield
        finally:
            lock.release()

    def save(self, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Write the state after `step` steps; what was there before stays until this is safe on disk.

        Raises:
            CheckpointError: the disk is full or can't be written to.
        """
        final = self.folder / f"step-{step:09d}"
        temp = self.folder / f"temp-{step:09d}"
        try:
            shutil.rmtree(temp, ignore_errors=True)
            temp.mkdir(parents=True)
            save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, temp / TENSORS)
            _write_json(temp / STATE, {"fingerprint": dict(self.fingerprint), **state})
            _write_json(temp / MANIFEST, {name: _sha256(temp / name) for name in (TENSORS, STATE)})
            for path in (*temp.iterdir(), temp):
                _fsync(path)
            shutil.rmtree(final, ignore_errors=True)  # a damaged one of the same step
            temp.rename(final)
            _fsync(self.folder)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(temp, ignore_errors=True)
            raise CheckpointError(
                f"{final}: can't be written: {getattr(error, 'strerror', None) or error}; the checkpoint before "
                "it is kept: run again when that is mended, and training goes on from there"
            ) from None
        for old in self._found()[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The newest whole checkpoint, or None where there is none; damaged ones are named and passed over.

        Raises:
            CheckpointError: it is another run's; the message lists the differences.
        """
        for temp in self.folder.glob("temp-*"):
            shutil.rmtree(temp, ignore_errors=True)  # of a run that was killed while saving
        for folder in self._found():
            try:
                manifest = json.loads((folder / MANIFEST).read_bytes())
                for name in (TENSORS, STATE):
                    if _sha256(folder / name) != manifest[name]:
                        raise ValueError(f"{name} is damaged")
                state = json.loads((folder / STATE).read_bytes())
                tensors = load_file(folder / TENSORS)
            except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
                log.warning("%s: a damaged checkpoint is passed over: %s", folder, error)
                continue
            self._refuse_anothers(folder, state.pop("fingerprint"))
            return tensors, state
        return None

    def clear(self) -> None:
        """Delete them: the run is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _found(self) -> list[Path]:
        """Checkpoints, the newest first."""
        return sorted(self.folder.glob("step-*"), reverse=True)

    def _refuse_anothers(self, folder: Path, theirs: Mapping[str, Any]) -> None:
        # through JSON, as what was read has been
        ours = json.loads(json.dumps(dict(self.fingerprint)))
        differences = [
            f"{key} is {theirs.get(key, 'missing')} there and {ours.get(key, 'missing')} here"
            for key in sorted(ours.keys() | theirs.keys())
            if ours.get(key) != theirs.get(key)
        ]
        if differences:
            raise CheckpointError(
                f"{folder}: a checkpoint of other settings: {'; '.join(differences)}; to go on with that run, put "
                f"them back; to start anew, delete {self.folder}"
            )


def fingerprint(settings: Mapping[str, Any], *, tensors: Mapping[str, Tensor], **data: Any) -> dict[str, Any]:
    """What a training run's result depends on, flat, so that differences can be named.

    Args:
        settings: nested tables of params.
        tensors: the initial weights.
        data: arrays, by name.
    """
    result: dict[str, Any] = {}

    def flatten(table: Mapping[str, Any], above: str) -> None:
        for key, value in table.items():
            if isinstance(value, Mapping):
                flatten(value, f"{above}{key}.")
            else:
                result[above + key] = value

    flatten(settings, "")
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    result["initial weights"] = digest.hexdigest()[:16]
    for name, array in data.items():
        result[name] = hashlib.sha256(array.tobytes()).hexdigest()[:16]
    package = Path(__file__).parents[1]
    for part in CODE:
        for module in (
            sorted((package / part).glob("*.py")) if (package / part).is_dir() else [package / part]
        ):
            result[f"code of {module.relative_to(package).as_posix()}"] = _sha256(module)[:16]
    return result | {"torch": torch.__version__}


# The parts of the package whose arithmetic training is made of.
CODE = ("measure", "model", "runtime.py", "tokens", "training")


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value) + "\n")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
