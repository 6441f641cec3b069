"""What checks look at: a segment and its translation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Detect = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Pair:
    """`source_lang` and `target_lang` are BCP-47 codes; a source that is not known is None.

    `terms` are pairs of a glossary: where the first stands in the source, the second must stand in
    the translation. `detect` tells the language of a text where that is beyond doubt; None: nobody
    can tell.
    """

    source: str
    translation: str
    source_lang: str | None
    target_lang: str
    terms: tuple[tuple[str, str], ...] = ()
    detect: Detect | None = None
