"""Trying to get a translation of one segment: loops, answers cut for length, terms that lack."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

from engine.errors import BabelbrookError, CutShort, ModelError, Repetitive
from engine.generation import Generation
from engine.interface import Engine
from engine.translation.asking import Asking
from engine.translation.glossary import missing
from engine.translation.loops import LoopWatch
from engine.translation.reply import Reply
from engine.translation.request import TranslationRequest
from engine.translation.unit import Unit

_PENALTIES = (1.3, 1.8)  # repeat penalties of further tries, where a model repeats itself


class Tries:
    """A segment whose turn it is, and the answers to it.

    `texts` gives what can go out as it comes. Behind it, `error` says whether the answer is
    complete, `again` whether the segment is to be asked for once more, `last` what still goes out,
    and `smaller` what may be tried in its place.
    """

    def __init__(
        self, engine: Engine, asking: Asking, request: TranslationRequest, unit: Unit
    ) -> None:
        self._engine, self._asking, self._request = engine, asking, request
        self._unit = unit
        self._generation = self._at_the_head()
        self.reply = self._made_reply()

    def _at_the_head(self) -> Generation:
        """A look-ahead segment that still waits when its turn comes queues like everybody else."""
        unit, generation = self._unit, self._unit.generation
        if generation is not None:
            if not generation.job.ahead or generation.started is not None:
                return generation
            generation.cancel()
        unit.generation = self._engine.submit(self._asking.job(unit, ahead=False))
        return unit.generation

    def _made_reply(self) -> Reply:
        """Text that another try may have to replace waits until it is complete."""
        unit = self._unit
        if self._request.ignore_eos:
            return Reply(None, hold=unit.has_keeps)
        text, room = unit.segment.text, self._generation.room
        may_not_fit = room is not None and room < len(text.encode())
        may_miss_terms = bool(unit.terms) and self._asking.carries_hints and not unit.emphatic
        hold = may_not_fit or may_miss_terms or unit.has_keeps or self._request.keep_source
        return Reply(LoopWatch(text), hold=hold)

    async def texts(self) -> AsyncGenerator[list[str]]:
        """Texts that can go out; a model that repeats itself is made to go on otherwise.

        Whoever has cancelled the generation asks for no more of them.
        """
        async for texts in self._read():
            yield texts
        for penalty in _PENALTIES:
            if not self.reply.looping:
                return
            self._generation.cancel()
            if not self._go_on(penalty):
                return
            async for texts in self._read():
                yield texts
        if self.reply.looping:
            self._generation.cancel()

    async def _read(self) -> AsyncIterator[list[str]]:
        generation, reply = self._generation, self.reply
        while not reply.looping and ((pieces := await generation.read()) or not generation.ended):
            yield self._unit.out(reply.take(pieces))

    def _go_on(self, penalty: float) -> bool:
        """Go on behind the last good word, with a repeat penalty; False where no room is left."""
        unit, request, good = self._unit, self._request, self.reply.good
        left = None if request.max_tokens is None else request.max_tokens - len(good)
        if left is not None and left <= 0:
            return False
        penalty = max(penalty, request.sampling.repeat_penalty)
        job = replace(
            self._asking.job(unit, ahead=False),
            answer="".join(good),
            sampling=replace(request.sampling, repeat_penalty=penalty),
            max_tokens=left,
        )
        try:
            further = self._engine.submit(job)
        except ModelError:
            return False
        unit.renew(further)
        self._generation = further
        self.reply.restart(LoopWatch(unit.segment.text))
        return True

    @property
    def error(self) -> BabelbrookError | None:
        """What is wrong with the answer, if it is not complete."""
        looping, cut = self.reply.looping, self._generation.finish == "length"
        if self._request.ignore_eos or not (looping or cut):
            return None
        start, end = self._unit.place
        if looping:
            return Repetitive(
                f"The model repeats itself in the translation of characters {start} to {end}."
                " Send shorter sentences, or ask for a repeat_penalty."
            )
        return CutShort(
            f"The translation of characters {start} to {end} was not finished within"
            f" {self._generation.output_tokens} tokens. Raise max_tokens or send shorter sentences."
        )

    def again(self) -> bool:
        """Try a segment again that lacks terms, once; none of it is out then."""
        unit = self._unit
        if not unit.terms or unit.emphatic or not self._asking.carries_hints:
            return False
        if not missing(unit.terms, self.reply.text):
            return False
        unit.renew(None)
        unit.emphatic = True
        return True

    def last(self) -> list[str] | None:
        """What goes out last of a complete answer; None where a keep is not what it was."""
        unit, texts = self._unit, self.reply.end()
        if unit.has_keeps:
            translation = "".join(texts)
            if not self._request.ignore_eos and not unit.keeps_survive(translation):
                return None
            return unit.whole(translation)
        if self.reply.empty:  # better the source than a hole in the text
            return unit.given_back()
        return unit.out(texts)

    def smaller(self) -> list[Unit]:
        """What may be tried in the segment's place; nothing where some of it is out."""
        unit = self._unit
        return [] if unit.begun else unit.smaller(self._request.source_lang)
