"""From a request's text to the pieces of its translation, segment by segment, in order."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from engine.errors import CutShort, ModelError
from engine.generation import Generation, Job, Sampling
from engine.interface import Engine
from engine.translation.answer import Answer
from engine.translation.segments import Segment, segments


@dataclass(frozen=True, slots=True)
class TranslationRequest:
    """What is to be translated, its languages already chosen among those of the model.

    `source_lang` None means unknown. `max_tokens` bounds the answer to each segment.
    """

    text: str
    source_lang: str | None
    target_lang: str
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None
    ignore_eos: bool = False
    client: str = ""
    shared: bool = False
    unread: int | None = None  # bytes that the reader may be behind in each segment


class Translation:
    """One text on its way through the engine.

    Up to `lookahead` segments are decoded at a time while their pieces leave in order. Making one
    decodes nothing yet, but raises what the prompt form has against the request.
    """

    def __init__(self, engine: Engine, request: TranslationRequest, lookahead: int) -> None:
        self._engine = engine
        self._request = request
        self._lookahead = lookahead
        if not self._fits(""):
            raise ModelError(
                "The model's prompt alone fills half of a sequence. Raise engine.context."
            )
        self._segments: Iterator[Segment] = segments(
            request.text, request.source_lang, engine.entry.segment, self._fits
        )
        self._window: deque[tuple[Segment, Generation | None]] = deque()
        self._cancelled = False
        self._first: Generation | None = None
        self.first_text: float | None = None  # when the first text came (monotonic seconds)
        self._prompt_tokens = 0
        self._output_tokens = 0

    def _fits(self, text: str) -> bool:
        return self._engine.fits(text, self._request.source_lang, self._request.target_lang)

    @property
    def prompt_tokens(self) -> int:
        """Tokens of all prompts so far, those of segments ahead of the reader too."""
        return self._prompt_tokens + sum(g.prompt_tokens for _, g in self._window if g)

    @property
    def output_tokens(self) -> int:
        """Tokens decoded so far, those of segments ahead of the reader too."""
        return self._output_tokens + sum(g.output_tokens for _, g in self._window if g)

    @property
    def queue_seconds(self) -> float | None:
        """How long the first segment waited for a place; None while it does."""
        first = self._first
        if first is None or first.started is None:
            return None
        return max(0.0, first.started - first.joined)

    def cancel(self) -> None:
        """End it: the engine frees its sequences at its next step and `pieces` returns."""
        self._cancelled = True
        for _, generation in self._window:
            if generation is not None:
                generation.cancel()
        self.poke()

    def poke(self) -> None:
        """Let `pieces` yield now, an empty list if there is nothing (used for heartbeats)."""
        if self._window and (generation := self._window[0][1]) is not None:
            generation.poke()

    async def pieces(self) -> AsyncIterator[list[str]]:
        """New text, one string for each token that completed some; an empty list after `poke`.

        Raises CutShort for a segment that the model did not finish, and what the engine raises.
        """
        try:
            while await self._fill_window():
                segment, generation = self._window[0]
                if generation is None:
                    yield [segment.gap]
                else:
                    async for pieces in self._answer(segment, self._at_the_head(generation)):
                        if pieces and self.first_text is None:
                            self.first_text = time.monotonic()
                        yield pieces
                self._leave_head()
        finally:
            self.cancel()

    async def joined(self) -> str:
        """The whole translation."""
        return "".join([piece async for pieces in self.pieces() for piece in pieces])

    async def _fill_window(self) -> bool:
        """Submit segments until `lookahead` are on their way; False when there are none."""
        while not self._cancelled and len(self._window) < self._lookahead:
            segment = next(self._segments, None)
            if segment is None:
                break
            generation = None
            if segment.text:
                generation = self._engine.submit(self._job(segment, ahead=bool(self._window)))
                self._first = self._first or generation
            self._window.append((segment, generation))
            # Cutting and tokenising take some milliseconds where it comes to the worst, and a text
            # without letters waits for nothing else: let the others on the event loop have a turn.
            await asyncio.sleep(0)
        return not self._cancelled and bool(self._window)

    def _leave_head(self) -> None:
        _, generation = self._window.popleft()
        if generation is not None:
            self._prompt_tokens += generation.prompt_tokens
            self._output_tokens += generation.output_tokens

    def _job(self, segment: Segment, *, ahead: bool) -> Job:
        request = self._request
        return Job(
            text=segment.text,
            source_lang=request.source_lang,
            target_lang=request.target_lang,
            sampling=request.sampling,
            max_tokens=request.max_tokens,
            ignore_eos=request.ignore_eos,
            ahead=ahead,
            client=request.client,
            shared=request.shared,
            unread=request.unread,
        )

    def _at_the_head(self, generation: Generation) -> Generation:
        """A look-ahead segment that still waits when its turn comes queues like everybody else."""
        if not generation.job.ahead or generation.started is not None:
            return generation
        generation.cancel()
        segment, _ = self._window[0]
        generation = self._engine.submit(self._job(segment, ahead=False))
        self._window[0] = (segment, generation)
        return generation

    async def _answer(self, segment: Segment, generation: Generation) -> AsyncIterator[list[str]]:
        answer = Answer(segment.gap)
        while (pieces := await generation.read()) or not generation.ended:
            yield [text for text in map(answer.take, pieces) if text]
            if self._cancelled:
                return
        if generation.finish == "length" and not self._request.ignore_eos:
            raise self._cut_short(segment, generation)
        if answer.empty:  # the model said nothing: better the source than a hole in the text
            yield [segment.gap + segment.text]

    @staticmethod
    def _cut_short(segment: Segment, generation: Generation) -> CutShort:
        return CutShort(
            f"The translation of characters {segment.start} to {segment.start + len(segment.text)}"
            f" was not finished within {generation.output_tokens} tokens. Raise max_tokens or send"
            " shorter sentences."
        )
