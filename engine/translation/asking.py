"""From segments to jobs: what the engine is asked for each, and what it is told beside the text."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from engine.generation import Hints, Job
from engine.interface import Engine
from engine.translation.glossary import prompted
from engine.translation.request import TranslationRequest
from engine.translation.unit import Unit


class Asking:
    """Makes the jobs of one request, in the order of its segments."""

    def __init__(self, engine: Engine, request: TranslationRequest) -> None:
        self._engine, self._request = engine, request
        self._before: deque[str] = deque(maxlen=request.earlier)

    def fits(self, text: str) -> bool:
        """Whether a segment fits one sequence, with the request's own hints."""
        return self._fits(text, self._request.hints)

    def _fits(self, text: str, hints: Hints) -> bool:
        request = self._request
        return self._engine.fits(text, request.source_lang, request.target_lang, hints)

    @property
    def carries_hints(self) -> bool:
        """Whether the model's prompt has a place for what is told beside the text."""
        return self._engine.entry.prompt.carries_hints

    def look_back(self, unit: Unit) -> None:
        """Give a segment the ones before it, where wanted and as far as there is room for them."""
        if not self._request.earlier or not self.carries_hints:
            return
        text = unit.segment.text
        earlier = list(self._before)
        while earlier:
            unit.earlier = "\n".join(earlier)
            if self._fits(text, self._hints(unit)):
                break
            unit.earlier = ""
            del earlier[0]
        if text:
            self._before.append(text)

    def show(self, unit: Unit, examples: Sequence[tuple[str, str]]) -> None:
        """Give a segment those that are like it, the likest first, as far as there is room."""
        left = tuple(examples)
        while left:
            unit.examples = left
            if self._fits(unit.segment.text, self._hints(unit)):
                return
            left = left[:-1]
        unit.examples = ()

    def job(self, unit: Unit, *, ahead: bool) -> Job:
        """What the engine is asked for a segment."""
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
        if unit.examples:
            hints = replace(hints, examples=unit.examples)
        if not glossary:
            return hints
        unit.terms = glossary.occurring(unit.segment.text)
        if not self.carries_hints:
            return hints
        return replace(hints, terms=prompted(unit.terms), emphatic=unit.emphatic)
