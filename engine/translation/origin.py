"""The language that a text comes in: what the request says, or what the text itself tells."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from engine.models.catalogue import ModelEntry
from engine.translation.detect import LIKELY, SURE, SURE_ENOUGH, Guess, detect, load
from engine.translation.languages import WIDELY_SPOKEN, english_name, match

_SENTENCE_END = re.compile(r"[.!?\u3002\uff01\uff1f\n]+")
_SHORT = 8  # characters of a sentence that may be anything


@dataclass(frozen=True, slots=True)
class Note:
    """Something to know about an answer that is no error: a code, and a sentence for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a translation comes from.

    `language` is what the model is told, None where that is unknown. Where that was asked for,
    `detected` is true and `guess` what was found, if it is likely. `spares` tells the segments that
    need no translation, being in the target language, and `spared` what to say of them.
    """

    language: str | None
    detected: bool = False
    guess: Guess | None = None
    note: Note | None = None
    spares: Callable[[str], bool] | None = None
    spared: Note | None = None

    def teller(self, entry: ModelEntry) -> Callable[[str], str | None] | None:
        """What tells the language of a text beyond doubt, where detection is loaded anyway."""
        if not self.detected:
            return None
        among = _among(entry)

        def tell(text: str) -> str | None:
            guesses = detect(text, among)
            return guesses[0].language if guesses and guesses[0].confidence >= SURE else None

        return tell


async def prepare(entry: ModelEntry) -> tuple[str, ...]:
    """Have what detection needs in memory; returns the languages that it chooses from."""
    among = _among(entry)
    await load(among)
    return among


def _among(entry: ModelEntry) -> tuple[str, ...]:
    """The languages that texts for a model may be in: its own and the widely spoken ones."""
    return tuple(dict.fromkeys((*WIDELY_SPOKEN, *entry.source_langs, *entry.target_langs)))


def named(source: str, target: str) -> Origin:
    """The source that a request names, a code of the model's."""
    if source != target:
        return Origin(source)
    message = f"Both languages are {english_name(target)}: the text came back unchanged."
    return Origin(source, spares=lambda _: True, spared=Note("same_language", message))


def detected(text: str, entry: ModelEntry, target: str) -> Origin:
    """The source of a text that comes without one.

    Where only one language can be translated into the target, the model is told that one, whatever
    the text is in; else the likeliest where it is likely enough, or where its prompt cannot do
    without.
    """
    among = _among(entry)
    guesses = detect(text, among)
    best = guesses[0] if guesses and guesses[0].confidence >= LIKELY else None
    sources = entry.sources(target)
    language = match(best.language, sources) if best else None
    note = None
    if best and language is None and best.confidence >= SURE:
        note = _unsupported(best, entry, target)
    if language is None:
        language = _fallback(guesses, entry, sources)
    spared = Note(
        "same_language",
        f"What is {english_name(target)} already came back unchanged. Name the 'source_lang' to"
        " have all of it translated.",
    )
    return Origin(
        language, True, best, note, lambda segment: _is_in(segment, target, among), spared
    )


def _unsupported(guess: Guess, entry: ModelEntry, target: str) -> Note:
    return Note(
        "source_unsupported",
        f"The text seems to be {english_name(guess.language)}, which {entry.name} does not"
        f" translate into {english_name(target)}: its answer may make no sense.",
    )


def _fallback(guesses: list[Guess], entry: ModelEntry, sources: tuple[str, ...]) -> str | None:
    if len(sources) == 1:
        return sources[0]
    if not entry.prompt.needs_source:
        return None
    known = (match(guess.language, sources) for guess in guesses)
    return next(filter(None, known), None)


def _is_in(segment: str, target: str, among: tuple[str, ...]) -> bool:
    """Whether a segment is in the target language already, beyond doubt and all of it."""
    whole = detect(segment, among)
    sure = SURE_ENOUGH.get(target, SURE)
    if not whole or whole[0].confidence < sure or not _is_first(whole, target):
        return False
    sentences = (part for part in _SENTENCE_END.split(segment) if len(part) > _SHORT)
    return all(_is_first(detect(sentence, among), target) for sentence in sentences)


def _is_first(guesses: list[Guess], target: str) -> bool:
    return not guesses or match(guesses[0].language, (target,)) is not None
