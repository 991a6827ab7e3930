"""The training loop, one for every row: growing context, early stopping on dev, the best weights kept.

A step's batch, dropout and learning rate are functions of (seed, step) alone, and so is the share of each process when
there are several.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from gpt2_shakespeare import paths, runtime
from gpt2_shakespeare.errors import Interrupted
from gpt2_shakespeare.measure.losses import quick_loss
from gpt2_shakespeare.measure.probe import Probe
from gpt2_shakespeare.model import LanguageModel, ModelError
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.tokens.files import DataError, Tokens
from gpt2_shakespeare.training import optimizers, parallel
from gpt2_shakespeare.training.checkpoint import Checkpoints
from gpt2_shakespeare.training.fingerprint import fingerprint
from gpt2_shakespeare.training.history import write_history, write_summary
from gpt2_shakespeare.training.plan import Phase, plan
from gpt2_shakespeare.training.state import Progress, State
from gpt2_shakespeare.training.step import Step, TrainingError

log = logging.getLogger(__name__)


class Trainer:
    """One training run: its plan, its model and optimizers, and how far it has come.

    A phase ends when its steps are done, or after `patience` evaluations (one every eval_interval steps) without a
    lower dev loss. The next phase starts from its best weights, and keeps the optimizers' moments. Dev loss is measured
    with windows of the phase's block_size, and the run's result is the best weights of the last phase: those of earlier
    phases have not been trained on the later positions.

    Args:
        model: trained in place; after `run` it has the best weights.
        train_tokens, dev_tokens: token ids, (n,) each; of the first, the settings' share is used.
        settings: batch_size windows are a micro-batch, and grad_accum_steps micro-batches a step.
        context: the phases, in order.
        machine: device, precision and threads.
        label: name of the run in logs, errors and the progress bar.
        shapes: of the token types (`tokenizer.shapes`), needed if the settings ask for renaming.
        probe: measures the model at the end of every epoch and of each quarter of the first one; its figures go into
            the history.

    Raises:
        DataError: a text is shorter than a window.
        ModelError: a block_size is above the model's.
        schema.ParamsError: the micro-batches of a step can't be divided evenly among the processes, or have more
            windows than a phase's epochs.
    """

    def __init__(
        self,
        model: LanguageModel,
        train_tokens: Tokens,
        dev_tokens: Tokens,
        settings: schema.Training,
        context: Sequence[schema.Context],
        *,
        seed: int,
        machine: runtime.Runtime,
        label: str = "train",
        shapes: np.ndarray | None = None,
        probe: Probe | None = None,
    ):
        self.model, self.settings, self.machine, self.seed, self.label = model, settings, machine, seed, label
        train_tokens = train_tokens[-math.ceil(settings.share * len(train_tokens)) :]
        self.train_tokens, self.dev_tokens, self.context = train_tokens, dev_tokens, context
        self.probe = probe
        for block_size in {part.block_size for part in context}:
            if block_size > model.block_size:
                raise ModelError(
                    f"{label}: windows of {block_size} are above the model's block_size {model.block_size}"
                )
            if len(dev_tokens) <= block_size:
                raise DataError(
                    f"{label}: {len(dev_tokens)} dev tokens are too few for one window of block_size {block_size}"
                )
        self.ranks = parallel.join(machine.device)
        if settings.grad_accum_steps % self.ranks.world_size:
            raise schema.ParamsError(
                f"grad_accum_steps: {settings.grad_accum_steps} micro-batches a step can't be divided evenly by "
                f"{self.ranks.world_size} processes; make it a multiple, and batch_size smaller"
            )
        if settings.sampled_types:
            model.sample_types(train_tokens, settings.sampled_types)
        self.phases = plan(train_tokens, settings, context, seed, shapes)
        self.max_steps = self.phases[-1].start + self.phases[-1].steps
        model.to(machine.device).train()
        if machine.compile:
            model.transformer.compile()  # in place, so that parameters keep their names
        self.step = Step(model, settings, machine, self.ranks, seed)
        self.state = State(model, self.step.optimizers, self.step.scaler)
        self.progress = self.state.progress

    def fingerprint(self) -> dict[str, object]:
        """What the run's result depends on: params, code, data and initial weights."""
        machine = {
            "device": self.machine.device.type,
            "precision": str(self.machine.dtype),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "threads": self.machine.threads,
            "compile": self.machine.compile,
        }
        context = [part.model_dump() for part in self.context]
        return fingerprint(
            self.settings.model_dump() | {"context": context, "seed": self.seed} | machine,
            weights=self.model.state_dict(),
            arrays={"train tokens": self.train_tokens, "dev tokens": self.dev_tokens}
            | {f"{name} tokens": text for name, text in (self.probe.texts if self.probe else {}).items()},
        )

    def run(
        self,
        out: Path,
        checkpoints: Checkpoints | None = None,
        interrupted: Callable[[], int | None] = lambda: None,
        history: Path | None = None,
        finish: Callable[[Path], None] = lambda out: None,
    ) -> Progress:
        """Train, then write the best weights, the history and training.json into the folder `out`.

        If the last step's weights are not the best, they are written to `out/last`. With checkpoints, training resumes
        from the newest one and ends with the same bits as a run that was never stopped; at the end they are deleted.

        Args:
            interrupted: called after every step; the number of a signal ends the run.
            history: file of the history, `out/history.csv` if not given.
            finish: adds to the folder `out` before the checkpoints go, so that a kill while it does loses nothing.

        Raises:
            TrainingError: the loss or the gradient is not finite, raised before the optimizers change the weights; or
                every step was skipped.
            Interrupted: `interrupted` returned a signal.
            checkpoint.CheckpointError: a checkpoint can't be written, or belongs to a run with other settings.
        """
        progress, first = self.progress, self.ranks.rank == 0  # the first process alone writes
        self._resume(checkpoints)
        if self.machine.device.type == "cuda":
            self.try_memory()
        warmup, highest = self.settings.warmup_steps, self.settings.learning_rate
        if first and self.max_steps <= warmup:
            log.warning(
                "%s: warmup_steps: all %d steps lie within the warmup of %d, so the learning rate only rises, to %.2g of "
                "%.2g; lower warmup_steps unless that is meant",
                self.label, self.max_steps, warmup, highest * self.max_steps / warmup, highest,
            )  # fmt: skip
        self.started, self.start_tokens = time.perf_counter(), progress.tokens
        with tqdm(
            total=self.max_steps, initial=progress.step, desc=self.label, unit="step", mininterval=1,
            disable=None if first else True,
        ) as bar:  # fmt: skip
            while progress.phase < len(self.phases):
                self._train(self.phases[progress.phase], bar, checkpoints, interrupted)
                if progress.skipped_steps == progress.step:
                    raise TrainingError(
                        f"{self.label}: all {progress.step} steps were skipped, because the gradient overflowed in fp16; "
                        "use fp32 or bf16"
                    )
                is_last = progress.phase == len(self.phases) - 1
                if first and is_last and progress.best_step != progress.step:
                    self.model.save_pretrained(out / paths.LAST)
                self.model.load_state_dict(self.state.best)
                progress.phase, progress.phase_step = progress.phase + 1, 0
        if first:
            self.model.save_pretrained(out)
            write_history(history or out / paths.HISTORY, progress.history)
            write_summary(
                out / paths.TRAINING, progress,
                max_steps=self.max_steps, parameters=self.model.n_params(), fp16=self.step.scaler.is_enabled(),
            )  # fmt: skip
            finish(out)
            if checkpoints:
                checkpoints.clear()
        return progress

    def _resume(self, checkpoints: Checkpoints | None) -> None:
        """Restore the state of the newest checkpoint, if there is one."""
        saved = self.ranks.from_first(checkpoints.load) if checkpoints else None
        if saved:
            self.state.unpack(*saved)
            log.info("%s: goes on after step %d", self.label, self.progress.step)

    def try_memory(self) -> None:
        """Forward and backward of the largest micro-batch, to find out before training if the GPU is too small.

        Raises:
            TrainingError: out of memory.
        """
        length = max(phase.batches.block_size for phase in self.phases)
        idx = torch.zeros(self.settings.batch_size, length, dtype=torch.int64, device=self.machine.device)
        try:
            with self.machine.autocast():
                self.model.loss(idx, idx).backward()
            if self.probe and self.ranks.rank == 0:
                self.probe(self.model)
        except torch.OutOfMemoryError:
            raise TrainingError(
                f"{self.label}: {self.settings.batch_size} windows of {length} tokens don't fit into the GPU's "
                "memory; halve batch_size and double grad_accum_steps, which trains the same"
            ) from None
        finally:
            self.model.zero_grad(set_to_none=True)

    def _train(
        self, phase: Phase, bar: tqdm, checkpoints: Checkpoints | None, interrupted: Callable[[], int | None]
    ) -> None:
        """Take the phase's remaining steps, until all are done or patience has run out."""
        progress, settings = self.progress, self.settings
        if progress.phase_step == 0:
            progress.best_dev_loss, progress.evaluations_without_gain = math.inf, 0
        while True:
            # step
            number = phase.start + progress.phase_step
            lr = optimizers.learning_rate(number, self.max_steps, settings)
            batch = phase.batches.batch(progress.phase_step)
            idx, targets = (torch.from_numpy(part).to(self.machine.device) for part in batch)
            where = f"{self.label}: step {progress.step + 1}"
            loss, skipped = self.step(number, idx, targets, lr, where=where)
            progress.skipped_steps += skipped
            self.state.running.append(loss)
            progress.step, progress.phase_step = progress.step + 1, progress.phase_step + 1
            progress.tokens += targets.numel()
            bar.set_postfix_str(f"loss {loss:.3f}, lr {lr:.1e}, {self._speed():,.0f} tokens/s", refresh=False)
            bar.update()

            # evaluate
            is_end = progress.phase_step == phase.steps
            probes = self.probe is not None and (is_end or phase.is_probed(progress.phase_step))
            if progress.phase_step % settings.eval_interval == 0 or is_end or probes:
                self._evaluate(phase, lr, probes)
                if settings.patience is not None and progress.evaluations_without_gain >= settings.patience:
                    log.info("%s: dev loss has not fallen for %d evaluations", self.label, settings.patience)
                    return
            if is_end:
                return

            # keep
            self._keep(checkpoints, self.ranks.largest(interrupted() or 0))

    def _evaluate(self, phase: Phase, lr: float, probes: bool) -> None:
        """Measure train and dev loss; keep the weights if dev's is the lowest so far; add a row to the history."""
        progress, block_size = self.progress, phase.batches.block_size
        train_loss, dev_loss = self.ranks.from_first(lambda: self._quick_losses(block_size))
        if not math.isfinite(dev_loss):
            raise TrainingError(f"{self.label}: step {progress.step}: the dev loss is {dev_loss}")
        if dev_loss < progress.best_dev_loss:
            progress.best_dev_loss, progress.best_step = dev_loss, progress.step
            progress.evaluations_without_gain = 0
            self.state.best = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        else:
            progress.evaluations_without_gain += 1

        passes = progress.tokens / len(self.train_tokens)
        row = {
            "step": progress.step,
            "passes": round(passes, 4),
            "block_size": block_size,
            "learning_rate": lr,
            "running_train_loss": round(float(torch.stack(self.state.running).double().mean()), 6),
            "train_loss": round(train_loss, 6),
            "dev_loss": round(dev_loss, 6),
        }
        self.state.running.clear()
        probe = self.probe if probes else None
        if probe:
            found = {"epochs": phase.epochs_after(progress.phase_step)}
            found |= self.ranks.from_first(lambda: probe(self.model))
            if wrong := [name for name, value in found.items() if not math.isfinite(value)]:
                raise TrainingError(f"{self.label}: step {progress.step}: {wrong[0]} is {found[wrong[0]]}")
            row |= {name: float(f"{value:.6g}") for name, value in found.items()}
        progress.history.append(row)
        log.info(
            "%s: step %d of %d, %.2f passes, train %.3f, dev %.3f, %s tokens/s",
            self.label, progress.step, self.max_steps, passes, train_loss, dev_loss, f"{self._speed():,.0f}",
        )  # fmt: skip

    def _quick_losses(self, block_size: int) -> list[float]:
        """Of train and dev, in the precision of the run."""
        with self.machine.autocast():
            return [
                quick_loss(self.model, tokens, block_size, self.settings.eval_tokens)
                for tokens in (self.train_tokens, self.dev_tokens)
            ]

    def _keep(self, checkpoints: Checkpoints | None, signal: int) -> None:
        """Write a checkpoint if one is due or a signal has come; end the run after a signal (0 is none)."""
        step = self.progress.step
        if self.ranks.rank == 0 and checkpoints and (signal or step % checkpoints.interval == 0):
            checkpoints.save(step, *self.state.pack())
        if signal:
            where = "its state is saved" if checkpoints else "nothing is kept"
            raise Interrupted(f"{self.label} stopped after step {step}; {where}", signal)

    def _speed(self) -> float:
        """Tokens per second since this process began to train, evaluations included."""
        return (self.progress.tokens - self.start_tokens) / (time.perf_counter() - self.started)
