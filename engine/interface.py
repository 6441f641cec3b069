"""What every engine can do; the handlers and the translator know engines by this alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.chat.conversation import Message
from engine.errors import NotReady, ShuttingDown
from engine.generation import NO_HINTS, Generation, Hints, Job, PromptPart
from engine.models.catalogue import ModelEntry

Reason = Callable[[], NotReady]
"""Makes the error with which an engine ends what it runs."""


@dataclass(frozen=True, slots=True)
class UpstreamStatus:
    """A reading of a server that an engine passes jobs on to; `name` tells it from the others.

    `resting` after failures in a row. `outstanding` are the generations that it works on. Counted
    from the start: `requests`, the retries among them too, `failures` by reason ("unreachable",
    "busy", "failed" and "refused"), and how often and how long in all (seconds) it took from a
    request to the first text.
    """

    name: str
    ready: bool
    resting: bool
    outstanding: int
    requests: int
    failures: Mapping[str, int]
    first_texts: int
    first_text_seconds: float


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """A reading of the engine for `/metrics`, `/ready` and the start-up line.

    `kv_used` and `kv_size` count cells (tokens). `tokens`, `prompt_tokens`, `reused_tokens` (those
    of a prompt that the cache still held), `steps` and the seconds inside llama_decode and in whole
    steps count from the start. `paused` are those whose readers are behind, with a sequence or
    without. `queued` leaves out segments ahead of their reader; `wait_seconds`
    is how long a request that came now would wait for a place, by the measured rate. `failure`
    says why the engine has ended, where nobody had asked it to.
    """

    ready: bool
    failure: str = ""
    running: int = 0
    queued: int = 0
    paused: int = 0
    sequences_used: int = 0
    sequences: int = 0
    kv_used: int = 0
    kv_size: int = 0
    tokens: int = 0
    prompt_tokens: int = 0
    reused_tokens: int = 0
    steps: int = 0
    decode_seconds: float = 0.0
    step_seconds: float = 0.0
    wait_seconds: float = 0.0
    upstreams: tuple[UpstreamStatus, ...] = ()


def together(readings: Iterable[EngineStatus]) -> EngineStatus:
    """The sums over several engines, ready where one is; whoever waits, waits for the longest."""
    total = EngineStatus(ready=False)
    for each in readings:
        sums = {
            field.name: getattr(total, field.name) + getattr(each, field.name)
            for field in dataclasses.fields(EngineStatus)
        }
        sums["ready"] = total.ready or each.ready
        sums["failure"] = total.failure or each.failure
        sums["wait_seconds"] = max(total.wait_seconds, each.wait_seconds)
        total = EngineStatus(**sums)
    return total


def counters(reading: EngineStatus) -> EngineStatus:
    """What is left of a reading when its engine is gone: all that counts from the start."""
    return EngineStatus(
        ready=False,
        tokens=reading.tokens,
        prompt_tokens=reading.prompt_tokens,
        reused_tokens=reading.reused_tokens,
        steps=reading.steps,
        decode_seconds=reading.decode_seconds,
        step_seconds=reading.step_seconds,
    )


class Engine(Protocol):
    """Turns jobs into generations."""

    @property
    def entry(self) -> ModelEntry:
        """The model that answers."""

    async def start(self) -> None:
        """Make ready to answer. Raises ModelError when that is impossible."""

    def submit(self, job: Job) -> Generation:
        """Queue a job. Raises NotReady when no model can answer, BadRequest for a wrong job."""

    async def compose(self, messages: Sequence[Message]) -> tuple[PromptPart, ...]:
        """The prompt of a job that answers a conversation; empty where its messages are passed on.

        Raises BadRequest where the model has no chat form, or none for these roles.
        """

    def fits(
        self, text: str, source_lang: str | None, target_lang: str, hints: Hints = NO_HINTS
    ) -> bool:
        """Whether a segment and its translation fit one sequence."""

    def status(self) -> EngineStatus:
        """The present reading; cheap enough for every request."""

    def describe(self) -> str:
        """What runs and with what sizes, for the start-up line."""

    def stop(self, reason: Reason = ShuttingDown) -> None:
        """End what runs with that error and free the model; returns at once."""

    @property
    def stopped(self) -> bool:
        """True when nothing of the engine runs any more."""
