"""Plain text whose sentences go over its lines: a paragraph is one text.

A translation breaks where it has as many words before it as the source has before a break.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.translation.formats import text as plain_text
from engine.translation.formats.forms import Writing
from engine.translation.formats.runs import Kind, Run, Token, text_tokens
from engine.translation.parts import Part

_BLANKS, _BREAK = r"[ \t]*+", r"(?>\r\n|\n|\r)"
_START = rf"(?<![ \t]){_BLANKS}{_BREAK}"  # not from each of many blanks anew
_LINE_BREAK = re.compile(rf"{_START}{_BLANKS}")
_BLANK_LINES = re.compile(rf"{_START}(?:{_BLANKS}{_BREAK})+{_BLANKS}")
_WRITING = Writing()


def parts(text: str) -> Iterator[Part]:
    """The paragraphs, what lies between them, and code between fences."""
    for part in plain_text.parts(text):
        if part.text is None:
            yield part
            continue
        at = 0
        for found in _BLANK_LINES.finditer(part.raw):
            yield from _paragraph(part.raw[at : found.start()])
            yield Part(found[0])
            at = found.end()
        yield from _paragraph(part.raw[at:])


def _paragraph(raw: str) -> Iterator[Part]:
    return Run(_WRITING).whole(text_tokens(raw, _LINE_BREAK, _one_blank))


def _one_blank(found: re.Match[str]) -> Iterator[Token]:
    yield Token(Kind.TEXT, found[0], " ")
