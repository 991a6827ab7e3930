"""The training loop, one for every row: progressive context, early stopping on dev, best weights kept.

Batch, dropout and learning rate of a step are functions of (seed, step) alone, and so is what each of several
processes has to do in it.
"""

import contextlib
import csv
import dataclasses
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tiktoken
import torch
from torch import Tensor, nn
from tqdm import tqdm

from gpt2_shakespeare import paths, runtime
from gpt2_shakespeare.errors import Interrupted, UserError
from gpt2_shakespeare.measure.losses import quick_loss
from gpt2_shakespeare.model import GPT, GPTConfig, ModelError
from gpt2_shakespeare.model.gpt import INIT_STD
from gpt2_shakespeare.model.lora import add_lora
from gpt2_shakespeare.model.loss import Candidates
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.tokens import tokenizer
from gpt2_shakespeare.tokens.batches import Batches
from gpt2_shakespeare.tokens.files import DataError, Tokens
from gpt2_shakespeare.tokens.renaming import Renaming
from gpt2_shakespeare.training import checkpoint, optimizers, parallel
from gpt2_shakespeare.training.checkpoint import Checkpoints

log = logging.getLogger(__name__)


class TrainingError(UserError, RuntimeError):
    """Training can't go on; the message says at which step and why."""


@dataclass(frozen=True)
class Phase:
    """A stretch of planned steps at one context length, from step `start` of the schedule on."""

    batches: Batches
    start: int
    steps: int


def new_model(settings: schema.FromScratch, vocab_size: int, seed: int) -> GPT:
    """A GPT-2 of the settings' shape with random weights, the same for the same seed."""
    runtime.seed_step(seed, 0)
    shape = GPTConfig(vocab_size=vocab_size, **settings.model.model_dump())
    return GPT(dataclasses.replace(shape, **settings.dropouts()))  # type: ignore[arg-type]


def starting_model(
    settings: schema.FromScratch | schema.FineTuning, encoding: tiktoken.Encoding, base: Path, seed: int
) -> GPT:
    """What a row's training starts from: random weights, or the base in the folder, with adapters for LoRA.

    Raises:
        ModelError: the base can't be read.
    """
    if isinstance(settings, schema.FromScratch):
        model, std = new_model(settings, encoding.n_vocab, seed), INIT_STD
    else:  # spelling starts from zero where the embedding knows something already
        model, std = GPT.from_pretrained(base, **settings.dropouts()), 0.0
    if isinstance(settings, schema.LoRA):
        runtime.seed_step(seed, 0)
        add_lora(model, settings.rank, settings.alpha)
    if settings.spelling:
        model.add_spelling(*tokenizer.spelling(encoding), std)
    return model


def plan(
    tokens: Tokens,
    settings: schema.Training,
    context: Sequence[schema.Context],
    seed: int,
    shapes: np.ndarray | None = None,
) -> list[Phase]:
    """The phases of a run; raises DataError where the text is shorter than a window."""
    phases: list[Phase] = []
    start, renaming = 0, None
    if settings.renaming:
        if shapes is None:
            raise ValueError("renaming needs the shapes of the token types")
        renaming = Renaming(tokens, shapes, settings.renaming.share, settings.renaming.below)
    for part in context:
        stride = min(settings.stride or part.block_size, part.block_size)
        per_step = settings.batch_size * settings.grad_accum_steps
        batches = Batches(
            tokens, part.block_size, stride, per_step, seed,
            random_offsets=settings.random_offsets, renaming=renaming,
        )  # fmt: skip
        phases.append(Phase(batches, start, batches.steps(part.epochs)))
        start += phases[-1].steps
    return phases


class _Loss(nn.Module):
    """The model's training loss as a module, for what wraps modules."""

    def __init__(self, model: GPT):
        super().__init__()
        self.model = model

    def forward(self, idx: Tensor, targets: Tensor) -> Tensor:
        return self.model.loss(idx, targets)


@dataclass
class Progress:
    """Where training stands: after `phase_step` steps of a phase. Best and patience are those of that phase."""

    phase: int = 0
    phase_step: int = 0
    step: int = 0
    tokens: int = 0
    best_step: int = 0
    best_dev_loss: float = math.inf
    evaluations_without_gain: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


class Trainer:
    """A run in the making: model, optimizers, and how far it is.

    A phase ends when its steps are done, or after `patience` evaluations (one every eval_interval steps)
    without a lower dev loss; the next one goes on from its best weights, with the optimizers' moments as they are.
    Dev is measured at the phase's own
    block_size, so only the last phase's weights are candidates for the row: earlier ones have not seen the
    later positions.
    """

    def __init__(
        self,
        model: GPT,
        train_tokens: Tokens,
        dev_tokens: Tokens,
        settings: schema.Training,
        context: Sequence[schema.Context],
        *,
        seed: int,
        machine: runtime.Runtime,
        label: str = "train",
        shapes: np.ndarray | None = None,
        probe: Callable[[GPT], dict[str, float]] | None = None,
    ):
        """
        Args:
            model: trained in place; after `run` it holds its best weights.
            settings: batch_size windows a micro-batch, grad_accum_steps of them a step.
            context: the phases, in order.
            label: what log and progress bar call this run.
            shapes: of the token types (`tokenizer.shapes`), where the settings ask for renaming.
            probe: measures the model at the end of every epoch and of the first one's quarters; what it finds goes into
                the history.

        Raises:
            DataError: the text is shorter than a window.
            ModelError: a block_size is above the model's.
            schema.ParamsError: the processes can't share a step's micro-batches evenly.
        """
        self.model, self.settings, self.machine, self.seed, self.label = model, settings, machine, seed, label
        self.train_tokens, self.dev_tokens, self.context = train_tokens, dev_tokens, context
        self.probe = probe
        for block_size in {part.block_size for part in context}:
            if block_size > model.config.block_size:
                raise ModelError(
                    f"{label}: windows of {block_size} are above the model's block_size {model.config.block_size}"
                )
            if len(dev_tokens) <= block_size:
                raise DataError(
                    f"{label}: {len(dev_tokens)} dev tokens are too few for one window of block_size {block_size}"
                )
        self.ranks = parallel.join(machine.device)
        if settings.grad_accum_steps % self.ranks.world_size:
            raise schema.ParamsError(
                f"grad_accum_steps: {settings.grad_accum_steps} micro-batches a step can't be shared evenly by "
                f"{self.ranks.world_size} processes; make it a multiple, and batch_size smaller"
            )
        if settings.sampled_types:
            model.candidates = Candidates(train_tokens, model.config.vocab_size, settings.sampled_types)
        self.phases = plan(train_tokens, settings, context, seed, shapes)
        self.max_steps = self.phases[-1].start + self.phases[-1].steps
        self.model.to(machine.device).train()
        if machine.compile:
            model.transformer.compile()  # in place, so that parameters keep their names
        self.loss = self.ranks.wrap(_Loss(model))
        self.optimizers = optimizers.optimizers(model, settings)
        self.scaler = torch.amp.GradScaler(machine.device.type, enabled=machine.dtype == torch.float16)
        self.progress = Progress()
        self.best: dict[str, Tensor] = {}
        self.running: list[Tensor] = []  # training losses since the last evaluation

    def fingerprint(self) -> dict[str, Any]:
        """What the run's result depends on: params, code, data and initial weights."""
        settings = self.settings.model_dump() | {"context": [part.model_dump() for part in self.context]}
        machine: dict[str, Any] = {"device": self.machine.device.type, "precision": str(self.machine.dtype)}
        machine |= {"deterministic": torch.are_deterministic_algorithms_enabled()}
        machine |= {"threads": self.machine.threads, "compile": self.machine.compile}
        return checkpoint.fingerprint(
            settings | {"seed": self.seed} | machine,
            tensors=self.model.state_dict(),
            **{"train tokens": self.train_tokens, "dev tokens": self.dev_tokens},
        )

    def run(
        self,
        out: Path,
        checkpoints: Checkpoints | None = None,
        interrupted: Callable[[], int | None] = lambda: None,
    ) -> Progress:
        """Train, then write best weights, history.csv and training.json into the folder `out`.

        If the best weights are not those of the last step, these go to `out/last`. With checkpoints, training
        goes on from the newest one, bit for bit as if it had never stopped, and they are deleted at the end.

        Args:
            interrupted: asked after every step; a signal's number ends the run.

        Raises:
            TrainingError: the loss or the gradient is not finite; raised before the optimizers' step.
            Interrupted: `interrupted` gave a signal.
            checkpoint.CheckpointError: a checkpoint can't be written, or is of other settings.
        """
        progress, last_phase = self.progress, len(self.phases) - 1
        first = self.ranks.rank == 0  # it alone writes
        saved = self.ranks.from_first(checkpoints.load) if checkpoints else None
        if saved:
            self._restore(*saved)
            log.info("%s: goes on after step %d", self.label, progress.step)
        if self.machine.device.type == "cuda":
            self.try_memory()
        self.started, self.start_tokens = time.perf_counter(), progress.tokens
        with tqdm(
            total=self.max_steps, initial=progress.step, desc=self.label, unit="step", mininterval=1,
            disable=None if first else True,
        ) as bar:  # fmt: skip
            while progress.phase <= last_phase:
                for _ in self._steps(self.phases[progress.phase], bar):
                    signal = self.ranks.largest(interrupted() or 0)
                    if first and checkpoints and (signal or progress.step % checkpoints.interval == 0):
                        checkpoints.save(progress.step, *self._state())
                    if signal:
                        where = "its state is saved" if checkpoints else "nothing is kept"
                        raise Interrupted(f"{self.label} stopped after step {progress.step}; {where}", signal)
                if first and progress.phase == last_phase and progress.best_step != progress.step:
                    self.model.save_pretrained(out / paths.LAST)
                self.model.load_state_dict(self.best)
                progress.phase, progress.phase_step = progress.phase + 1, 0
        if first:
            self.model.save_pretrained(out)
            self._write_history(out)
            if checkpoints:
                checkpoints.clear()
        return progress

    def try_memory(self) -> None:
        """Forward and backward of the largest micro-batch, so that a GPU too small is found before training.

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

    def _steps(self, phase: Phase, bar: tqdm) -> Iterator[None]:
        """Take the phase's steps that are left, pausing after each but the last, which hands on the best weights."""
        progress, settings = self.progress, self.settings
        if progress.phase_step == 0:
            progress.best_dev_loss, progress.evaluations_without_gain = math.inf, 0
        while True:
            planned = phase.start + progress.phase_step
            lr = optimizers.learning_rate(planned, self.max_steps, settings)
            batch = phase.batches.batch(progress.phase_step)
            idx, targets = (torch.from_numpy(part).to(self.machine.device) for part in batch)
            loss = self._step(planned, idx, targets, lr)
            progress.step, progress.phase_step = progress.step + 1, progress.phase_step + 1
            progress.tokens += targets.numel()
            bar.set_postfix_str(f"loss {loss:.3f}, lr {lr:.1e}, {self._speed():,.0f} tokens/s", refresh=False)
            bar.update()
            ends = progress.phase_step == phase.steps
            probes = self.probe is not None and (ends or self._is_probed(progress.phase_step, phase))
            if progress.phase_step % settings.eval_interval == 0 or ends or probes:
                self._evaluate(phase.batches.block_size, lr, probes)
                if settings.patience is not None and progress.evaluations_without_gain >= settings.patience:
                    log.info("%s: dev loss has not fallen for %d evaluations", self.label, settings.patience)
                    return
            if ends:
                return
            yield

    @staticmethod
    def _is_probed(step: int, phase: Phase) -> bool:
        """Whether the step ends an epoch, or a quarter of the first one, in which most is learned."""
        epoch = phase.batches.steps(1)
        return step % epoch == 0 or step in (epoch // 4, epoch // 2, 3 * epoch // 4)

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that the steps to come depend on. No generator's state: each step seeds its own."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for number, optimizer in enumerate(self.optimizers):
            for index, moments in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer{number}.{index}.{name}": tensor for name, tensor in moments.items()}
        if self.running:
            tensors["running"] = torch.stack(self.running)
        return tensors, {"progress": asdict(self.progress), "scaler": self.scaler.state_dict()}

    def _restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        def of(kind: str) -> dict[str, Tensor]:
            start = f"{kind}."
            return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}

        self.model.load_state_dict(of("model"))
        self.best = {name: tensor.to(self.machine.device) for name, tensor in of("best").items()}
        for number, optimizer in enumerate(self.optimizers):
            moments: dict[int, dict[str, Tensor]] = {}
            for name, tensor in of(f"optimizer{number}").items():
                index, _, kind = name.partition(".")
                moments.setdefault(int(index), {})[kind] = tensor
            optimizer.load_state_dict(optimizer.state_dict() | {"state": moments})
        self.scaler.load_state_dict(state["scaler"])
        self.running = list(tensors["running"].to(self.machine.device)) if "running" in tensors else []
        for name, value in state["progress"].items():
            setattr(self.progress, name, value)

    def _step(self, step: int, idx: Tensor, targets: Tensor, lr: float) -> float:
        """One step of the optimizers on this rank's share of the micro-batches; returns the mean loss of all."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr * group["scale"]
        self.model.zero_grad(set_to_none=True)
        size, ranks = self.settings.batch_size, self.ranks
        shares = list(zip(idx.split(size), targets.split(size), strict=True))
        mine = range(ranks.rank, len(shares), ranks.world_size)
        losses = []
        with self.machine.autocast():  # around all micro-batches: it casts each weight once
            for place in mine:
                runtime.seed_step(self.seed, step, place)
                syncs = contextlib.nullcontext() if place == mine[-1] else ranks.no_sync(self.loss)
                with syncs:
                    loss = self.loss(*shares[place])
                    losses.append(loss.detach())
                    with self.machine.autocast(enabled=False):
                        self.scaler.scale(loss / len(mine)).backward()
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.grad_clip)
        mean = ranks.mean(torch.stack(losses).mean())
        # with fp16 a step whose scaled gradient overflows is skipped, by all optimizers, and the scale lowered
        if not torch.isfinite(mean) or not (torch.isfinite(norm) or self.scaler.is_enabled()):
            raise TrainingError(
                f"{self.label}: step {self.progress.step + 1}: the loss is {mean:.4g} and the gradient's norm "
                f"{norm:.4g}; stopped before the weights are spoilt; lower learning_rate or use fp32"
            )
        if torch.isfinite(norm):
            for optimizer in self.optimizers:
                self.scaler.step(optimizer)
        self.scaler.update()
        self.running.append(mean)
        return float(mean)

    def _evaluate(self, block_size: int, lr: float, probes: bool) -> None:
        """Add train and dev loss in eval mode to the history, and what the probe finds; keep the weights if dev is
        at its best."""
        progress = self.progress
        train_loss, dev_loss = self.ranks.from_first(lambda: self._quick_losses(block_size))
        if not math.isfinite(dev_loss):
            raise TrainingError(f"{self.label}: step {progress.step}: the dev loss is {dev_loss}")
        if dev_loss < progress.best_dev_loss:
            progress.best_dev_loss, progress.best_step = dev_loss, progress.step
            progress.evaluations_without_gain = 0
            self.best = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        else:
            progress.evaluations_without_gain += 1
        probe, probed = self.probe if probes else None, {}
        if probe:
            probed["epochs"] = progress.phase_step / self.phases[progress.phase].batches.steps(1)
            probed |= self.ranks.from_first(lambda: probe(self.model))
        passes = progress.tokens / len(self.train_tokens)
        progress.history.append(
            {
                "step": progress.step,
                "passes": round(passes, 4),
                "block_size": block_size,
                "learning_rate": lr,
                "running_train_loss": round(float(torch.stack(self.running).double().mean()), 6),
                "train_loss": round(train_loss, 6),
                "dev_loss": round(dev_loss, 6),
            }
            | {name: float(f"{value:.6g}") for name, value in probed.items()}
        )
        self.running.clear()
        log.info(
            "%s: step %d of %d, %.2f passes, train %.3f, dev %.3f, %s tokens/s",
            self.label, progress.step, self.max_steps, passes, train_loss, dev_loss, f"{self._speed():,.0f}",
        )  # fmt: skip

    def _quick_losses(self, block_size: int) -> list[float]:
        """Of train and dev."""
        with self.machine.autocast():
            return [
                quick_loss(self.model, tokens, block_size, self.settings.eval_tokens)
                for tokens in (self.train_tokens, self.dev_tokens)
            ]

    def _speed(self) -> float:
        """Tokens a second since this process began, evaluations included."""
        return (self.progress.tokens - self.start_tokens) / (time.perf_counter() - self.started)

    def _write_history(self, out: Path) -> None:
        progress = self.progress
        with open(out / paths.HISTORY, "w", newline="") as file:
            names = dict.fromkeys(name for line in progress.history for name in line)
            writer = csv.DictWriter(file, fieldnames=list(names), lineterminator="\n")
            writer.writeheader()
            writer.writerows(progress.history)
        passing = ("history", "phase", "phase_step")
        summary = {key: value for key, value in asdict(progress).items() if key not in passing}
        summary |= {key: progress.history[-1][key] for key in ("passes", "running_train_loss")}
        summary |= {"max_steps": self.max_steps, "parameters": self.model.n_params()}
        (out / paths.TRAINING).write_text(json.dumps(summary, indent=2, sort_keys=True) + "\n")
