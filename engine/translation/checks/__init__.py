"""What can be told of a translation without knowing what it means: each check names what is wrong.

`bench/checks.py` measures how often a check sees faults that were planted, and how often it is
wrong about references made by people.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.translation.checks import answer, language, numbers, shape, survivors
from engine.translation.checks.pair import Pair

__all__ = ["CHECKS", "Finding", "Pair", "findings"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that seems wrong: the name of the check, and a sentence for people."""

    check: str
    message: str


CHECKS: dict[str, Callable[[Pair], str | None]] = {
    "numbers": numbers.numbers,
    "dates": numbers.dates,
    "placeholders": survivors.placeholders,
    "tags": survivors.tags,
    "urls": survivors.urls,
    "terms": survivors.terms,
    "script": language.script,
    "language": language.language,
    "length": shape.length,
    "copy": shape.copy,
    "chatter": answer.chatter,
    "control_tokens": answer.control_tokens,
}
"""All checks by name. Each gives a sentence where something is wrong."""


def findings(pair: Pair) -> list[Finding]:
    """What is wrong with a translation; some 30 microseconds for a sentence where nothing is."""
    told = ((name, check(pair)) for name, check in CHECKS.items())
    return [Finding(name, message) for name, message in told if message is not None]
