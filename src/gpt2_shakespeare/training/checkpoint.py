"""Checkpoints that survive a kill at any moment: each is written under another name, hashed, then renamed.

A checkpoint is a folder `step-<n>` with `tensors.safetensors`, `state.json` and `manifest.json`, which has the sha256
of the other two. The last two checkpoints are kept. They are no outs of DVC, which deletes outs before a stage runs.
"""

import contextlib
import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from gpt2_shakespeare import disk
from gpt2_shakespeare.errors import UserError, printable

log = logging.getLogger(__name__)

KEPT = 2  # checkpoints
TENSORS, STATE, MANIFEST = "tensors.safetensors", "state.json", "manifest.json"
WAIT = 20.0  # seconds in which the trainer of a killed `dvc` can finish its step and exit


class CheckpointError(UserError, RuntimeError):
    """A checkpoint can't be written, or belongs to another run; the message says what to do."""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one training run.

    Args:
        folder: for these checkpoints alone.
        fingerprint: what the run's result depends on (fingerprint.py); a checkpoint with another one is refused.
        interval: steps from one checkpoint to the next.
    """

    folder: Path
    fingerprint: Mapping[str, Any]
    interval: int

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Let no second process train this run at the same time; wait WAIT seconds for one that does.

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
        """Write the state after `step` steps; older checkpoints are deleted only when it is safely on disk.

        Raises:
            CheckpointError: the disk is full or can't be written to.
        """
        final = self.folder / f"step-{step:09d}"
        try:
            with disk.aside(final, folder=True) as temp:  # there may be a damaged one of the same step
                save_file(
                    {name: t.detach().cpu().contiguous() for name, t in tensors.items()}, temp / TENSORS
                )
                disk.write_json(temp / STATE, {"fingerprint": dict(self.fingerprint), **state})
                disk.write_json(temp / MANIFEST, {name: _sha256(temp / name) for name in (TENSORS, STATE)})
        except OSError as error:
            raise CheckpointError(
                f"{final}: can't be written: {error.strerror}; the previous checkpoint "
                "is kept: fix this and run again, and training resumes from there"
            ) from None
        for old in self._found()[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Tensors and state of the newest intact checkpoint, or None; damaged ones are skipped with a warning.

        Raises:
            CheckpointError: it belongs to a run with other settings; the message lists the differences.
        """
        for temp in self.folder.glob(".step-*"):
            shutil.rmtree(temp, ignore_errors=True)  # left by a run that was killed while saving
        for folder in self._found():
            try:
                manifest = disk.read_json(folder / MANIFEST)
                for name in (TENSORS, STATE):
                    disk.require_file(folder / name)
                    if _sha256(folder / name) != manifest.get(name):
                        raise ValueError(f"{name} is damaged")
                state = disk.read_json(folder / STATE, largest=2**30)
                fingerprint = state.pop("fingerprint", None)
                if not isinstance(fingerprint, dict):
                    raise ValueError(f"{STATE} doesn't say whose it is")
                tensors = load_file(folder / TENSORS)
            except (OSError, ValueError, SafetensorError) as error:
                log.warning("%s: skipping a damaged checkpoint: %s", folder, printable(error, 300))
                continue
            self._refuse_others(folder, fingerprint)
            return tensors, state
        return None

    def clear(self) -> None:
        """Delete all checkpoints; for the end of a run."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _found(self) -> list[Path]:
        """Folders of the checkpoints, the newest first."""
        return sorted(self.folder.glob("step-*"), reverse=True)

    def _refuse_others(self, folder: Path, theirs: Mapping[str, Any]) -> None:
        # through JSON, as theirs was
        ours = json.loads(json.dumps(dict(self.fingerprint)))
        differences = [
            f"{printable(key)} is {printable(theirs.get(key, 'missing'))} there "
            f"and {printable(ours.get(key, 'missing'))} here"
            for key in sorted(ours.keys() | theirs.keys())
            if ours.get(key) != theirs.get(key)
        ]
        if differences:
            raise CheckpointError(
                f"{folder}: a checkpoint of a run with other settings: {'; '.join(differences)}; to resume that run, "
                f"restore its settings; to start over, delete {self.folder}"
            )


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
