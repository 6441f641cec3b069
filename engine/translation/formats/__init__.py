"""Formats of documents: each one takes a document apart into the parts of which it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engine.errors import BadRequest
from engine.translation.formats import html, json, markdown, po, subtitles, xliff, xml
from engine.translation.formats import text as plain_text
from engine.translation.parts import Part

Format = Callable[[str, frozenset[str]], Iterator[Part]]

FORMATS: dict[str, Format] = {
    "text": lambda text, _: plain_text.parts(text),
    "html": html.parts,
    "xml": xml.parts,
    "markdown": markdown.parts,
    "srt": subtitles.srt,
    "vtt": subtitles.vtt,
    "json": json.parts,
    "po": po.parts,
    "xliff": xliff.parts,
}
"""For each format's name, what takes a document of that format apart, lazily."""


def named(name: str) -> Format:
    """The format of that name. Raises BadRequest where there is none."""
    if name not in FORMATS:
        raise BadRequest(f"'format' must be one of {', '.join(FORMATS)}.")
    return FORMATS[name]


def parts(name: str, text: str, ignore: frozenset[str] = frozenset()) -> Iterator[Part]:
    """The parts of a document in the format of that name.

    What stands in elements (`html`, `xml`, `markdown`) or under keys (`json`) with a name in
    `ignore` stays as it is. Raises
    BadRequest, also for a document that is not what it is said to be, before the first part.
    """
    return named(name)(text, ignore)
