"""What an answer of our own API tells about a translation, beside the text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from engine.translation.origin import Note, Origin
from engine.translation.report import Done, Matched, Untranslated
from engine.translation.translator import Translation
from handlers.translating import Translated

_MOST_UNTRANSLATED = 1000  # that an answer names; a note counts all of them
_MOST_MATCHES = 1000


def single(result: Translated) -> dict[str, Any]:
    """The answer to one text."""
    answer = {
        "translation": result.text,
        **about(result.origin, result.notes, result.untranslated),
        "checks": checks(result.done),
    }
    if result.matches:
        answer["matches"] = matches(result.matches)
    if result.alternatives is not None:
        answer["alternatives"] = result.alternatives
    return answer


def several(results: Sequence[Translated]) -> dict[str, Any]:
    """The answer to a list of texts: one language for each, notes without repetition."""
    answer: dict[str, Any] = {"translation": [result.text for result in results]}
    if any(result.origin is not None and result.origin.detected for result in results):
        answer["detected_source_lang"] = [_language(result.origin) for result in results]
    answer["checks"] = [checks(result.done) for result in results]
    if any(result.matches for result in results):
        answer["matches"] = [matches(result.matches) for result in results]
    if any(result.untranslated for result in results):
        answer["untranslated"] = [untranslated(result.untranslated) for result in results]
    if any(result.alternatives is not None for result in results):
        answer["alternatives"] = [result.alternatives or [] for result in results]
    return answer | _notes(note for result in results for note in result.notes)


def matches(found: Sequence[Matched]) -> list[dict[str, Any]]:
    """Segments of the memory that are like some of the text, each with its place in the text."""
    return [{"start": e.start, "end": e.end, **asdict(e.match)} for e in found[:_MOST_MATCHES]]


def checks(done: Iterable[Done]) -> list[dict[str, Any]]:
    """What seems wrong, with its place in the source."""
    return [
        {"check": each.check, "message": each.message, "start": part.start, "end": part.end}
        for part in done
        for each in part.findings
    ]


def segment(done: Done) -> dict[str, int]:
    """Where a segment lies in the source and in the translation."""
    return {
        "start": done.start,
        "end": done.end,
        "translated_start": done.translated_start,
        "translated_end": done.translated_end,
    }


def about(
    origin: Origin | None, notes: Iterable[Note], kept: Sequence[Untranslated] = ()
) -> dict[str, Any]:
    """The language that was detected (null where none is likely), where it was; notes; segments
    that came back as their source."""
    detected = origin is not None and origin.detected
    language = {"detected_source_lang": _language(origin)} if detected else {}
    return language | _notes(notes) | ({"untranslated": untranslated(kept)} if kept else {})


def told(translation: Translation) -> dict[str, Any]:
    """The same of a translation that has ended."""
    return about(translation.origin, translation.notes, translation.untranslated)


def untranslated(kept: Sequence[Untranslated]) -> list[dict[str, Any]]:
    """Segments that came back as their source, the first of them; a note tells how many."""
    return [{"start": e.start, "end": e.end, "code": e.code} for e in kept[:_MOST_UNTRANSLATED]]


def _language(origin: Origin | None) -> str | None:
    return origin.guess.language if origin is not None and origin.guess is not None else None


def _notes(notes: Iterable[Note]) -> dict[str, Any]:
    different = dict.fromkeys(notes)
    told = [{"code": note.code, "message": note.message} for note in different]
    return {"notes": told} if told else {}
