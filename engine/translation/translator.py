"""From a request's document to the pieces of its translation, segment by segment, in order."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field, replace

from engine.errors import BabelbrookError, BadRequest, CutShort, ModelError, Repetitive
from engine.generation import NO_HINTS, Generation, Hints, Job, Sampling, recalled
from engine.interface import Engine
from engine.memory.memory import Memory
from engine.translation.checks import Pair, findings
from engine.translation.glossary import Glossary, missing, prompted
from engine.translation.loops import LoopWatch
from engine.translation.origin import Note, Origin
from engine.translation.parts import Part
from engine.translation.passage import Passage
from engine.translation.reply import Reply
from engine.translation.report import Done
from engine.translation.segments import Segment, around, segments
from engine.translation.unit import Unit

_PENALTIES = (1.3, 1.8)  # repeat penalties of further tries, where a model repeats itself


@dataclass(frozen=True, slots=True)
class TranslationRequest:
    """What is to be translated, its languages already chosen among those of the model.

    `parts` are taken one by one as they are needed, and once. `max_tokens` bounds the answer to
    each segment.
    """

    parts: Iterable[Part]
    origin: Origin
    target_lang: str
    hints: Hints = NO_HINTS
    earlier: int = 0  # segments before each one that the model is told, where it can be
    glossary: Glossary | None = None
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None
    ignore_eos: bool = False
    client: str = ""
    shared: bool = False
    unread: int | None = None  # bytes that the reader may be behind in each segment
    memory: Memory | None = None
    report: bool = False  # check each segment and tell where it is, in `Translation.done`

    @property
    def source_lang(self) -> str | None:
        """None means unknown."""
        return self.origin.language


class Translation:
    """One document on its way through the engine.

    Up to `lookahead` segments are decoded at a time while their pieces leave in order. Making one
    decodes nothing yet, but raises what the prompt form has against the request.
    """

    def __init__(self, engine: Engine, request: TranslationRequest, lookahead: int) -> None:
        self._engine = engine
        self._request = request
        self._lookahead = lookahead
        if not self._fits(""):
            if request.hints:
                raise BadRequest("'context' and 'instructions' are too long for this model.")
            raise ModelError(
                "The model's prompt alone fills half of a sequence. Raise engine.context."
            )
        self._units: Iterator[Unit] = self._cut(request.parts)
        self._window: deque[Unit] = deque()
        self._before: deque[str] = deque(maxlen=request.earlier)
        self._cancelled = False
        self._spared = False  # segments were given back untranslated
        self._first: Generation | None = None
        self.first_text: float | None = None  # when the first text came (monotonic seconds)
        self._prompt_tokens = 0
        self._output_tokens = 0
        self._written = 0  # characters that have gone out, where a report is wanted
        self._remembers = self._may_remember()
        checks = request.report or self._remembers
        self._detect = request.origin.teller(engine.entry) if checks else None
        self.done: deque[Done] = deque()  # segments that are complete, for a report; take them out

    def _cut(self, parts: Iterable[Part]) -> Iterator[Unit]:
        """The segments of all parts, and what lies between them."""
        language, start = self._request.source_lang, 0
        for part in parts:
            passage = Passage(part, start)
            start += len(part.raw)
            if part.text is None:
                yield Unit(passage, Segment(part.raw, "", len(part.raw)))
                continue
            unit = self._engine.entry.segment
            for segment in segments(part.text, language, unit, self._fits, passage.keeps):
                for piece in self._without_keeps(passage, segment):
                    yield Unit(passage, piece)

    def _without_keeps(self, passage: Passage, segment: Segment) -> Iterable[Segment]:
        """The segment, or runs of it where the model better sees no keep, or sees just one run."""
        keeps = passage.keeps_in(segment)
        if not keeps:
            return (segment,)
        if not self._engine.entry.copies_keeps:
            return around(segment, keeps)
        runs = list(around(segment, passage.markup_in(segment), to_words=False))
        return runs if sum(bool(run.text) for run in runs) == 1 else (segment,)

    def _may_remember(self) -> bool:
        """Whether answers may be kept: not where another sampling is asked for than ever."""
        request = self._request
        if request.memory is None or request.ignore_eos:
            return False
        usual = Sampling(**self._engine.entry.sampling.model_dump())
        return request.sampling.greedy or request.sampling == usual

    def _fits(self, text: str) -> bool:
        request = self._request
        return self._engine.fits(text, request.source_lang, request.target_lang, request.hints)

    @property
    def origin(self) -> Origin:
        """The language of the text, and how that is known."""
        return self._request.origin

    @property
    def target_lang(self) -> str:
        """The model's code of the language that it is translated into."""
        return self._request.target_lang

    @property
    def notes(self) -> list[Note]:
        """What there is to know about the answer; complete when `pieces` has ended."""
        notes = (self.origin.note, self.origin.spared if self._spared else None)
        return [note for note in notes if note is not None]

    @property
    def prompt_tokens(self) -> int:
        """Tokens of all prompts so far, those of segments ahead of the reader too."""
        return self._prompt_tokens + sum(g.prompt_tokens for g in self._under_way())

    @property
    def output_tokens(self) -> int:
        """Tokens decoded so far, those of segments ahead of the reader too."""
        return self._output_tokens + sum(g.output_tokens for g in self._under_way())

    @property
    def position(self) -> int:
        """Characters of the source that are before the segment which is being told."""
        if not self._window:
            return 0
        head = self._window[0]
        return head.passage.place(head.segment.start)

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
        for generation in self._under_way():
            generation.cancel()
        self.poke()

    def poke(self) -> None:
        """Let `pieces` yield now, an empty list if there is nothing (used for heartbeats)."""
        if self._window and (generation := self._window[0].generation) is not None:
            generation.poke()

    def _under_way(self) -> Iterator[Generation]:
        return (unit.generation for unit in self._window if unit.generation is not None)

    async def pieces(self) -> AsyncIterator[list[str]]:
        """New text, one string for each token that completed some; an empty list after `poke`.

        Raises CutShort for a segment that the model did not finish, and what the engine raises.
        """
        try:
            while await self._fill_window():
                unit = self._window[0]
                if not unit.segment.text or unit.spared:
                    yield self._counted(unit.given_back())
                    self._leave_head()
                    continue
                async for pieces in self._translated(unit):
                    if pieces and self.first_text is None:
                        self.first_text = time.monotonic()
                    yield self._counted(pieces)
        finally:
            self.cancel()

    def _counted(self, texts: list[str]) -> list[str]:
        if self._request.report:
            self._written += sum(map(len, texts))
        return texts

    async def joined(self) -> str:
        """The whole translation."""
        return "".join([piece async for pieces in self.pieces() for piece in pieces])

    async def _fill_window(self) -> bool:
        """Submit segments until `lookahead` are on their way; False when there are none."""
        while not self._cancelled and self._wants_more():
            unit = next(self._units, None)
            if unit is None:
                break
            if self._request.earlier and self._carries_hints:
                self._tell_earlier(unit)
            if unit.segment.text and not self._spares(unit):
                job = self._job(unit, ahead=any(self._under_way()))
                unit.generation = await self._remembered(job) or self._engine.submit(job)
                self._first = self._first or unit.generation
            self._window.append(unit)
            # Cutting and tokenising take some milliseconds where it comes to the worst, and a text
            # without letters waits for nothing else: let the others on the event loop have a turn.
            await asyncio.sleep(0)
        return not self._cancelled and bool(self._window)

    def _tell_earlier(self, unit: Unit) -> None:
        """Give a segment the ones before it, as far as the sequence has room for them."""
        request, text = self._request, unit.segment.text
        earlier = list(self._before)
        while earlier:
            unit.earlier = "\n".join(earlier)
            hints = self._hints(unit)
            if self._engine.fits(text, request.source_lang, request.target_lang, hints):
                break
            unit.earlier = ""
            del earlier[0]
        if text:
            self._before.append(text)

    async def _remembered(self, job: Job) -> Generation | None:
        """The generation that a former one was, where the memory has it: complete, and for free."""
        memory = self._request.memory
        if memory is None or not self._remembers:
            return None
        pieces = await memory.get(job, self._engine)
        return None if pieces is None or self._cancelled else recalled(job, pieces)

    def _spares(self, unit: Unit) -> bool:
        """Whether a segment is in the target language already, and is given back as it is."""
        spares = self._request.origin.spares
        unit.spared = spares is not None and spares(unit.segment.text)
        self._spared = self._spared or unit.spared
        return unit.spared

    def _wants_more(self) -> bool:
        """Whether to look further ahead; gaps cost little, but there may be very many."""
        segments_ahead = sum(1 for _ in self._under_way())
        return segments_ahead < self._lookahead and len(self._window) < 8 * self._lookahead

    def _leave_head(self, *successors: Unit) -> None:
        """Go on to the next one, or to those that come in the head's place."""
        self._count(self._window.popleft().generation)
        self._window.extendleft(reversed(successors))

    def _count(self, generation: Generation | None) -> None:
        if generation is not None:
            self._prompt_tokens += generation.prompt_tokens
            self._output_tokens += generation.output_tokens

    def _job(self, unit: Unit, *, ahead: bool) -> Job:
        request = self._request
        return Job(
            text=unit.segment.text,
            source_lang=request.source_lang,
            target_lang=request.target_lang,
            hints=self._hints(unit),
            sampling=request.sampling,
            max_tokens=request.max_tokens,
            ignore_eos=request.ignore_eos,
            ahead=ahead,
            client=request.client,
            shared=request.shared,
            unread=request.unread,
        )

    def _hints(self, unit: Unit) -> Hints:
        """Those of the request, with what came before the segment and the terms in it."""
        glossary, hints = self._request.glossary, self._request.hints
        if unit.earlier:
            context = "\n".join(filter(None, (hints.context, unit.earlier)))
            hints = replace(hints, context=context)
        if not glossary:
            return hints
        unit.terms = glossary.occurring(unit.segment.text)
        if not self._carries_hints:
            return hints
        return replace(hints, terms=prompted(unit.terms), emphatic=unit.emphatic)

    @property
    def _carries_hints(self) -> bool:
        return self._engine.entry.prompt.carries_hints

    def _at_the_head(self, unit: Unit) -> Generation:
        """A look-ahead segment that still waits when its turn comes queues like everybody else."""
        generation = unit.generation
        if generation is not None:
            if not generation.job.ahead or generation.started is not None:
                return generation
            generation.cancel()
        unit.generation = self._engine.submit(self._job(unit, ahead=False))
        return unit.generation

    async def _translated(self, unit: Unit) -> AsyncIterator[list[str]]:
        """What comes of the head, as it comes; where that fails, smaller ones take its place.

        Raises CutShort and Repetitive where smaller ones would not help, or text is out already.
        """
        generation = self._at_the_head(unit)
        reply = self._reply(unit, generation)
        async for texts in self._read(unit, generation, reply):
            yield unit.out(texts)
        if self._cancelled:
            return
        error = self._error(unit, reply)
        if error is None and unit.terms and self._again_for_terms(unit, reply):
            return
        if error is None and (last := self._last(unit, reply)) is not None:
            if last:
                yield last
            self._complete(unit, reply)
            self._leave_head()
            return
        smaller = [] if unit.begun else unit.smaller(self._request.source_lang)
        if error and not smaller:
            raise error
        self._leave_head(*smaller)

    def _again_for_terms(self, unit: Unit, reply: Reply) -> bool:
        """Try a segment again that lacks terms, once; none of it is out then."""
        if unit.emphatic or not self._carries_hints or not missing(unit.terms, reply.text):
            return False
        self._count(unit.generation)
        unit.generation, unit.emphatic = None, True
        return True

    def _reply(self, unit: Unit, generation: Generation) -> Reply:
        """Text that another try may have to replace waits until it is complete."""
        if self._request.ignore_eos:
            return Reply(None, hold=unit.has_keeps)
        text, room = unit.segment.text, generation.room
        may_not_fit = room is not None and room < len(text.encode())
        may_miss_terms = bool(unit.terms) and self._carries_hints and not unit.emphatic
        return Reply(LoopWatch(text), hold=may_not_fit or may_miss_terms or unit.has_keeps)

    async def _read(
        self, unit: Unit, generation: Generation, reply: Reply
    ) -> AsyncIterator[list[str]]:
        """Texts that can go out; a model that repeats itself is made to go on otherwise."""
        async for texts in self._texts(generation, reply):
            yield texts
        for penalty in _PENALTIES:
            if not reply.looping or self._cancelled:
                return
            further = self._further_try(unit, generation, reply, penalty)
            if further is None:
                return
            generation = further
            async for texts in self._texts(generation, reply):
                yield texts

    async def _texts(self, generation: Generation, reply: Reply) -> AsyncIterator[list[str]]:
        while (pieces := await generation.read()) or not generation.ended:
            yield reply.take(pieces)
            if self._cancelled or reply.looping:
                return

    def _further_try(
        self, unit: Unit, former: Generation, reply: Reply, penalty: float
    ) -> Generation | None:
        """Go on behind the last good word, with a repeat penalty; None where no room is left."""
        former.cancel()
        request, good = self._request, reply.good
        left = None if request.max_tokens is None else request.max_tokens - len(good)
        if left is not None and left <= 0:
            return None
        penalty = max(penalty, request.sampling.repeat_penalty)
        job = replace(
            self._job(unit, ahead=False),
            answer="".join(good),
            sampling=replace(request.sampling, repeat_penalty=penalty),
            max_tokens=left,
        )
        try:
            further = self._engine.submit(job)
        except ModelError:
            return None
        self._count(former)
        unit.generation = further
        reply.restart(LoopWatch(unit.segment.text))
        return further

    def _error(self, unit: Unit, reply: Reply) -> BabelbrookError | None:
        """What is wrong with the answer, if it is not complete."""
        generation = unit.generation
        if self._request.ignore_eos or generation is None:
            return None
        if reply.looping:
            start, end = unit.place
            return Repetitive(
                f"The model repeats itself in the translation of characters {start} to {end}."
                " Send shorter sentences, or ask for a repeat_penalty."
            )
        if generation.finish == "length":
            start, end = unit.place
            return CutShort(
                f"The translation of characters {start} to {end} was not finished within"
                f" {generation.output_tokens} tokens. Raise max_tokens or send shorter sentences."
            )
        return None

    def _complete(self, unit: Unit, reply: Reply) -> None:
        """Check a segment where its translation is reported, or to be remembered."""
        if not (self._request.report or self._remembers):
            return
        done = self._report(unit, reply)
        if self._request.report:
            self.done.append(done)
        generation, memory = unit.generation, self._request.memory
        good = not done.findings and not reply.empty and generation is not None
        if self._remembers and good and memory is not None and generation is not None:
            memory.put(generation, self._engine)

    def _report(self, unit: Unit, reply: Reply) -> Done:
        request = self._request
        pair = Pair(
            unit.segment.text,
            reply.text,
            request.source_lang,
            request.target_lang,
            unit.terms,
            self._detect,
        )
        return Done(*unit.place, self._written - unit.written, self._written, tuple(findings(pair)))

    def _last(self, unit: Unit, reply: Reply) -> list[str] | None:
        """What goes out last of a complete answer; None where a keep is not what it was."""
        texts = reply.end()
        if unit.has_keeps:
            translation = "".join(texts)
            if not self._request.ignore_eos and not unit.keeps_survive(translation):
                return None
            return unit.whole(translation)
        if reply.empty:  # the model said nothing: better the source than a hole in the text
            return unit.given_back()
        return unit.out(texts)
