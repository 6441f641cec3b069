"""The training loop: batches in, weights out, within a budget of wall-clock time."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import torch

from training import checkpoint, progress
from training.batches import IGNORED, Batch
from training.checkpoint import Position
from training.curve import draw_curve
from training.device import autocast, pick_device, pick_precision
from training.files import Files
from training.loss import smoothed_loss
from training.mixture import Mixture
from training.model import Decoder, Shape
from training.optimizers import make_optimizers
from training.schedule import rate
from training.stream import chunks
from training.threads import Threads
from training.weights import read_weights


@dataclass(frozen=True)
class Settings:
    """How to train. Times are wall-clock; a stopped process's pauses count as time gone."""

    minutes: float = 60.0
    peak: float = 5e-4
    # A warm start wants a slow one: 1.2e-3 after 23 steps undid most of what was there.
    warmup_steps: int = 150
    smoothing: float = 0.1
    weight_decay: float = 0.05
    dropout: float = 0.0
    clip: float = 1.0
    seed: int = 1
    workers: int = 1
    log_seconds: float = 20.0
    save_seconds: float = 120.0
    dev_seconds: float = 300.0
    mixture: Mixture = field(default_factory=Mixture)


class Trainer:
    """One run; goes on from its checkpoint where there is one."""

    def __init__(
        self,
        files: Files,
        settings: Settings,
        shape: Shape,
        warm_start: Path | None,
        dev: dict[str, list[Batch]],
    ) -> None:
        """Take weights from the run's checkpoint, else from the GGUF `warm_start`, else random.

        `dev` holds batches that are measured and never trained on, by name. Raises `WeightsError`.
        """
        self.files, self.settings, self.dev = files, settings, dev
        self.device = pick_device()
        self.precision = pick_precision(self.device)
        self.position = Position()
        torch.manual_seed(settings.seed)
        self._load(shape, warm_start)
        self.budget = settings.minutes * 60
        self.started = time.monotonic() - self.position.seconds
        self.stopping = False

    def _load(self, shape: Shape, warm_start: Path | None) -> None:
        state = weights = None
        if self.files.checkpoint.exists():
            state = checkpoint.load(self.files.checkpoint)
            shape, weights = Shape(**state["shape"]), state["model"]
        elif warm_start:
            shape, weights = read_weights(warm_start)
        self.shape = shape
        self.model = Decoder(shape, self.settings.dropout)
        if weights:
            self.model.load_state_dict(weights)
        self.model.to(self.device)
        settings = self.settings
        self.optimizers = make_optimizers(self.model, settings.peak, settings.weight_decay)
        if state:
            for optimizer, its_state in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(its_state)
            self.position = Position(**state["position"])

    @property
    def seconds(self) -> float:
        """Wall-clock seconds trained so far, earlier sessions of this run included."""
        return time.monotonic() - self.started

    def fit(self) -> bool:
        """Train until the budget is spent, or a signal asks to stop: then return False.

        The checkpoint is saved in both cases.
        """
        with self._stopping_on_signals():
            progress.show(f"{self.device} {self.precision}, from step {self.position.step}")
            meter, threads = Meter(self), Threads()
            for batch in self._batches():
                if self.stopping or self.seconds >= self.budget:
                    break
                threads.adjust()
                meter.add(batch, self.step(batch))
                meter.report()
            self.save()
        if not self.stopping:
            self.measure()
        return not self.stopping

    @contextmanager
    def _stopping_on_signals(self) -> Iterator[None]:
        """Finish the step at hand on SIGTERM or Ctrl-C, instead of dying within it."""

        def stop(_number: int, _frame: FrameType | None) -> None:
            self.stopping = True

        numbers = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, stop) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _batches(self) -> Iterator[Batch]:
        """Yield batches from the position on; `step` counts them, this counts chunks."""
        settings, here = self.settings, self.position
        source = chunks(
            self.files.corpus,
            self.files.tokenizer,
            settings.mixture,
            settings.seed,
            here.chunk,
            settings.workers,
        )
        for chunk in source:
            yield from chunk[here.batch :]
            here.chunk, here.batch = here.chunk + 1, 0

    def step(self, batch: Batch) -> torch.Tensor:
        """Learn from one batch; return the plain loss, summed over its answer tokens, in nats."""
        self.model.train()
        step, settings = self.position.step, self.settings
        now = rate(step, self.seconds, self.budget, settings.peak, settings.warmup_steps)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = now
        smoothed, plain, count = self._loss(batch)
        torch.autograd.backward(smoothed / count)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.position.step += 1
        self.position.batch += 1
        self.position.tokens += batch.inputs.size
        return plain

    def _loss(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, int]:
        inputs = torch.from_numpy(batch.inputs).to(self.device)
        targets = torch.from_numpy(batch.targets).to(self.device)
        answers = targets != IGNORED
        with autocast(self.device, self.precision):
            hidden = self.model(inputs)[answers]
            matrix = self.model.embedding.weight
            smoothed, plain = smoothed_loss(
                hidden, matrix, targets[answers], self.settings.smoothing
            )
        return smoothed, plain, len(hidden)

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Return, log and plot the plain loss on each dev set, in nats per answer token."""
        self.model.eval()
        losses = {}
        for name, batches in self.dev.items():
            parts = [self._loss(batch) for batch in batches]
            total = sum(float(plain) for _, plain, _ in parts)
            losses[name] = total / sum(count for _, _, count in parts)
        record: progress.Record = {"seconds": self.seconds, "step": self.position.step}
        progress.append(self.files.log, {**record, **{f"dev {k}": v for k, v in losses.items()}})
        progress.show("dev  " + "  ".join(f"{name} {loss:.3f}" for name, loss in losses.items()))
        draw_curve(self.files.log, self.files.curve)
        return losses

    def save(self) -> None:
        """Write the checkpoint."""
        self.position.seconds = self.seconds
        state = checkpoint.content(self.model, self.optimizers, self.shape, self.position)
        checkpoint.save(self.files.checkpoint, state)


class Meter:
    """Counts between reports, and does by the clock what is due: log, save, measure."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.logged = self.saved = self.measured = trainer.seconds
        self._clear()

    def _clear(self) -> None:
        self.nats: torch.Tensor | float = 0.0
        self.answers = self.tokens = 0

    def add(self, batch: Batch, nats: torch.Tensor) -> None:
        """Count one step."""
        self.nats = self.nats + nats
        self.answers += batch.answer_tokens
        self.tokens += batch.inputs.size

    def report(self) -> None:
        """Log, save and measure, each when its time has come."""
        now, settings = self.trainer.seconds, self.trainer.settings
        if now - self.logged >= settings.log_seconds:
            self._log(now)
        if now - self.saved >= settings.save_seconds:
            self.trainer.save()
            self.saved = now
        if now - self.measured >= settings.dev_seconds:
            self.trainer.measure()
            self.measured = now

    def _log(self, now: float) -> None:
        record: progress.Record = {
            "seconds": now,
            "step": self.trainer.position.step,
            "loss": float(self.nats) / self.answers,
            "rate": self.trainer.optimizers[0].param_groups[0]["lr"],
            "tokens_per_second": self.tokens / (now - self.logged),
        }
        progress.append(self.trainer.files.log, record)
        progress.show(progress.line(record, self.trainer.budget))
        self.logged = now
        self._clear()
