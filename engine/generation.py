"""A decode and its readers, as the event loop sees them.

The decode thread hands over new text with one callback per step (`Decoding.feed`); each reader
takes it at its own pace (`Generation.read`). Requests that ask for the very same thing at the same
time share one decoding. Three fields are shared between the threads, each set by one side only:
`cancelled` and `paused` by the loop, `started` by the decode thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.errors import BabelbrookError

if TYPE_CHECKING:
    from engine.chat.conversation import Message


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. Temperature 0 is greedy: a translation should repeat.

    Names and meanings are llama.cpp's: `top_k` 0, `top_p` 1, `min_p` 0 and `repeat_penalty` 1
    switch the respective sampler off; `seed` None draws one.
    """

    temperature: float = 0.0
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    seed: int | None = None

    @property
    def greedy(self) -> bool:
        """True where one argmax decides; a repeat penalty needs the sampler chain."""
        return self.temperature <= 0 and self.repeat_penalty == 1.0


@dataclass(frozen=True, slots=True)
class PromptPart:
    """Part of a prompt. Control tokens are recognised in it only where it is `trusted`."""

    text: str
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Hints:
    """What a model is told beside the text, where its prompt has a place for it.

    `formality` is "more" or "less"; `examples` are pairs of a sentence like the text and its
    translation; `terms` are pairs of a term and its translation, which a model that has missed one
    is told `emphatic`ally. All strings are those of users.
    """

    formality: str | None = None
    context: str = ""
    instructions: str = ""
    terms: tuple[tuple[str, str], ...] = ()
    emphatic: bool = False
    examples: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        told = self.formality, self.context, self.instructions, self.examples, self.terms
        return any(map(bool, told))


NO_HINTS = Hints()


@dataclass(frozen=True, slots=True)
class Job:
    """One segment to translate, or a `prompt` as it is: what an engine is asked."""

    text: str
    source_lang: str | None
    target_lang: str
    hints: Hints = NO_HINTS
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None  # None: as many as the sequence holds
    answer: str = ""  # what the answer begins with already: only what follows it is decoded
    ignore_eos: bool = False  # for measurements: go on to max_tokens
    ahead: bool = False  # decoded ahead of its reader: yields to everybody who waits
    client: str = ""  # whose turn it is: clients that wait are served in turn
    shared: bool = False  # may be answered by a decode of the same job that is under way
    unread: int | None = None  # bytes of text that the reader may be behind; None: any number
    prompt: tuple[PromptPart, ...] = ()  # in place of the text and its languages
    grammar: str | None = None  # in llama.cpp's GBNF; only what fits it is ever chosen
    # What the prompt and the grammar were made of, for an engine that passes conversations on.
    messages: tuple[Message, ...] = ()
    schema: str | None = None  # a JSON schema, as JSON
    stops: tuple[str, ...] = ()  # the reader takes nothing from the first of these strings on

    @property
    def own_prompt(self) -> bool:
        """Whether it is a conversation or a prompt as it is, rather than a translation."""
        return bool(self.prompt or self.messages)


class Decoding:
    """The text of one job as it comes, its usage and its times.

    Ends with `finish` "stop", "length" or "cancelled", or with an error.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.cancelled = False  # set by the loop, read by the decode thread at each step
        self.finish: str | None = None
        self.error: BabelbrookError | None = None
        self.prompt_tokens = 0
        self.answer_tokens = 0  # those of the prompt that are the answer's beginning
        self.output_tokens = 0
        self.room: int | None = None  # most tokens that can come; None where nobody knows
        self.submitted = time.monotonic()
        self.started: float | None = None  # taken from the queue (monotonic seconds)
        self.paused = False  # all readers are behind: it leaves the batch, and its place if wanted
        self._paused_at = 0.0  # the last time (monotonic seconds)
        self._paused_seconds = 0.0  # in all, but for the present pause
        self.pieces: list[str] = []  # never more than a sequence holds
        self.ends = [0]  # bytes of text up to each piece
        self.on_end: Callable[[], None] | None = None  # called on the loop when it has ended
        self.on_cancel: Callable[[], None] | None = None  # called on the loop when nobody reads it
        self.on_resume: Callable[[], None] | None = None  # called on the loop after a pause
        self._readers: list[Generation] = []

    def feed(self, piece: str, tokens: int, finish: str | None) -> None:
        """Take over what one decode step brought; called on the event loop."""
        self.output_tokens += tokens
        if piece:
            self.pieces.append(piece)
            self.ends.append(self.ends[-1] + len(piece.encode()))
            self.look()
        if finish is not None:
            self.finish = finish
        self._tell(finish is not None)

    def fail(self, error: BabelbrookError) -> None:
        """End with an error; called on the event loop."""
        self.error = error
        self._tell(True)

    def _tell(self, ended: bool) -> None:
        for reader in self._readers:
            reader.poke()
        if ended and self.on_end is not None:
            self.on_end()

    @property
    def over(self) -> bool:
        """No more text will come."""
        return self.cancelled or self.finish is not None or self.error is not None

    def join(self, limit: int | None = None) -> Generation:
        """A new reader, from the beginning of the text; it is `limit` bytes behind at most."""
        reader = Generation(self, limit)
        self._readers.append(reader)
        self.look()
        return reader

    def leave(self, reader: Generation) -> None:
        """A reader goes; when the last one has gone, the decode is cancelled."""
        reader.left = True
        if self.cancelled:
            return
        if all(each.left for each in self._readers):
            self.cancelled = True
            if self.on_cancel is not None:
                self.on_cancel()
        else:
            self.look()

    def look(self) -> None:
        """Text has come or was taken, a reader has come or gone: pause, or go on."""
        paused = all(reader.left or reader.behind for reader in self._readers)
        if paused == self.paused:
            return
        now = time.monotonic()
        if paused:
            self._paused_at = now
        else:
            self._paused_seconds += now - self._paused_at
        self.paused = paused
        if not paused and self.on_resume is not None:
            self.on_resume()

    def clock(self) -> float:
        """Seconds on a clock that stands still while it is paused; only differences tell."""
        return (self._paused_at if self.paused else time.monotonic()) - self._paused_seconds


class Generation:
    """One reader of a decoding."""

    def __init__(self, decoding: Decoding, limit: int | None) -> None:
        self._decoding = decoding
        self._limit = limit
        self._taken = 0  # pieces read so far
        self.left = False
        self._wake = asyncio.Event()
        self.joined = time.monotonic()

    @property
    def job(self) -> Job:
        """What was asked."""
        return self._decoding.job

    @property
    def pieces(self) -> list[str]:
        """All pieces so far, whatever was read of them."""
        return self._decoding.pieces

    @property
    def finish(self) -> str | None:
        """How it ended, None while it runs."""
        return self._decoding.finish

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt."""
        return self._decoding.prompt_tokens

    @property
    def output_tokens(self) -> int:
        """Tokens decoded so far."""
        return self._decoding.output_tokens

    @property
    def room(self) -> int | None:
        """The most tokens that it can have, None where that is not known."""
        return self._decoding.room

    @property
    def started(self) -> float | None:
        """When it was taken from the queue (monotonic seconds), None while it waits."""
        return self._decoding.started

    def cancel(self) -> None:
        """Read no more; the decode loop frees the sequence when no other reader is left."""
        self._decoding.leave(self)

    def poke(self) -> None:
        """Let a waiting `read` return, with nothing if there is nothing (used for heartbeats)."""
        self._wake.set()

    def limit(self, unread: int | None) -> None:
        """From now on it may be behind by so many bytes."""
        self._limit = unread
        self._decoding.look()

    @property
    def behind(self) -> bool:
        """More bytes wait for this reader than it may leave unread."""
        if self._limit is None:
            return False
        ends = self._decoding.ends
        return ends[-1] - ends[self._taken] > self._limit

    @property
    def ended(self) -> bool:
        """True when all text was taken and no more will come; an error still waits for `read`."""
        return self._taken == len(self._decoding.pieces) and self._decoding.finish is not None

    async def read(self) -> list[str]:
        """New pieces, one for each token that completed text; empty after `poke` or at the end.

        Raises the error that ended the generation, after the text before it was taken.
        """
        decoding = self._decoding
        nothing_new = self._taken == len(decoding.pieces)
        if nothing_new and decoding.finish is None and decoding.error is None:
            self._wake.clear()
            await self._wake.wait()
        pieces = decoding.pieces[self._taken :]
        self._taken += len(pieces)
        if decoding.paused:
            decoding.look()
        if not pieces and decoding.error is not None:
            raise decoding.error
        return pieces


def recalled(job: Job, pieces: Iterable[str]) -> Generation:
    """A generation that is complete already and has cost no tokens."""
    decoding = Decoding(job)
    decoding.started = decoding.submitted
    for piece in pieces:
        decoding.feed(piece, 0, None)
    decoding.feed("", 0, "stop")
    return decoding.join()
