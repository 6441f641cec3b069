"""What is told of a segment when its translation is complete, for those who ask."""

from __future__ import annotations

from dataclasses import dataclass

from engine.memory.similar import Match
from engine.translation.checks import Finding


@dataclass(frozen=True, slots=True)
class Untranslated:
    """A segment that came back as its source, in characters of the document, and why: the code of
    an error, or `empty` where the model said nothing."""

    start: int
    end: int
    code: str


@dataclass(frozen=True, slots=True)
class Matched:
    """A segment, in characters of the document, and one of the memory that is like it."""

    start: int
    end: int
    match: Match


@dataclass(frozen=True, slots=True)
class Done:
    """Where a segment lies in the source and in the translation, in characters, and what seems
    wrong with it."""

    start: int
    end: int
    translated_start: int
    translated_end: int
    findings: tuple[Finding, ...]
