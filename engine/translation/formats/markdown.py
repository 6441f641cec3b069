"""Markdown: paragraphs, headings, list items, table cells and the like are translated.

pulldown-cmark reads (CommonMark with tables, footnotes, task lists, strikethrough, front matter and
mathematics) and tells where everything stands; what lies between two of its events is markup.
Code, front matter, link targets and definitions of links stay. HTML is read as such.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator
from typing import Any

import pyromark

from engine.errors import BadRequest
from engine.translation.formats import html
from engine.translation.formats.forms import Source, SourceEncoder, Writing
from engine.translation.formats.runs import Kind, Run, Token, merged, text_tokens
from engine.translation.formats.tags import Tag, scan
from engine.translation.formats.text import LONGEST
from engine.translation.parts import Part
from engine.translation.parts import Run as PartRun

_OPTIONS = (
    pyromark.Options.ENABLE_TABLES
    | pyromark.Options.ENABLE_FOOTNOTES
    | pyromark.Options.ENABLE_STRIKETHROUGH
    | pyromark.Options.ENABLE_TASKLISTS
    | pyromark.Options.ENABLE_MATH
    | pyromark.Options.ENABLE_GFM
    | pyromark.Options.ENABLE_HEADING_ATTRIBUTES
    | pyromark.Options.ENABLE_YAML_STYLE_METADATA_BLOCKS
    | pyromark.Options.ENABLE_PLUSES_DELIMITED_METADATA_BLOCKS
)
_INLINE = frozenset(("Emphasis", "Strong", "Strikethrough", "Link", "Image"))
_OPAQUE = frozenset(("CodeBlock", "MetadataBlock", "HtmlBlock"))
_CONTAINERS = frozenset(("BlockQuote", "Item", "FootnoteDefinition"))
# Links whose text is also what they are found by.
_NAMED_BY_TEXT = frozenset(("Shortcut", "Collapsed", "Autolink", "Email"))
_SPECIAL = re.compile(
    r"[ \t]{2,}|\t|(?<![^ \t]) | (?![^ \t])"
    r"|(?:https?://|www\.)[^\s<>]*[\w/#=&%+-]"  # becomes a link, which an escape would break
    r"|<(?:&#?\w*;?|[^<])?",
    re.DOTALL,
)
# Quotations in each other. The ends of a million would hold everybody else up for seconds, as there
# is nothing between them; those of so many take 0.2 s.
_DEEPEST = 50_000
_NUMBER = re.compile(r"\d{1,9}")
_AT_LINE_START = frozenset("#+-=>:|")  # begin a block there; what else might is always escaped
_LINE_START = 10  # characters of a line that tell whether it begins a block
_PUNCTUATION = frozenset(string.punctuation)
_NO_MARKUP = {ord(mark): "." for mark in _PUNCTUATION} | {ord(blank): " " for blank in "\t\n\r\f\v"}


def parts(text: str, ignore: frozenset[str] = frozenset()) -> Iterator[Part]:
    """The parts of a document; HTML elements named in `ignore` stay as they are."""
    return merged(_Reader(text, ignore).parts())


class _Writing(Writing):
    def encoder(self, source: Source) -> SourceEncoder:
        return _Encoder(self, source)


def _reading(runs: Iterable[PartRun]) -> list[Any]:
    """The inline markup that begins and ends in one line; punctuation in its text is a full stop.

    Whether `*` begins or ends anything depends on the characters beside it (CommonMark 0.31, 6.2).
    """
    line = "".join(run if markup else run.translate(_NO_MARKUP) for run, markup in runs)
    events = pyromark.events(f"a {line}", options=_OPTIONS)  # the letter: no block begins here
    return [event for event in events if isinstance(event, dict) and "Text" not in event]


_TEXT = _Writing({**{mark: f"\\{mark}" for mark in "\\`*_[]~<"}, "&": "&amp;"}, _reading)
_CELL = _Writing({**_TEXT.escapes, "|": "\\|"}, _reading)


class _Encoder(SourceEncoder):
    """Escapes also what would begin a block at the start of a line, or end a heading."""

    _line = ""  # how the present line begins
    _after_blank = False

    def begin_new(self) -> None:
        before = self.so_far()
        self._line = re.split(r"[\n\r]", before)[-1].lstrip("> \t")[:_LINE_START]
        self._after_blank = before[-1:].isspace()

    def written(self, character: str) -> str:
        if character in " \t\n\r\f\v":
            return self._blank()
        written = super().written(character)
        if written == character and self._begins_block(character):
            written = f"\\{character}"
        self._line = (self._line + character)[:_LINE_START]
        self._after_blank = False
        return written

    def _blank(self) -> str:
        """One blank, as the source writes its next; two line breaks would end the paragraph."""
        written = super().written(" ")
        breaks = "\n" in written or "\r" in written
        if breaks and (self._after_blank or not self._line):
            written, breaks = " ", False
        self._line = "" if breaks else f"{self._line} "[:_LINE_START]
        self._after_blank = True
        return written

    def _begins_block(self, character: str) -> bool:
        if character in ".)":
            return _NUMBER.fullmatch(self._line) is not None
        starts = not self._line.strip() or (character == "#" and self._after_blank)
        return starts and character in _AT_LINE_START


class _Reader:
    """One pass over the events. All offsets are in bytes, as pulldown-cmark tells them."""

    def __init__(self, text: str, ignore: frozenset[str]) -> None:
        self._text, self._data = text, text.encode()
        self._ignore = frozenset(name.lower() for name in ignore)
        self._run = Run(_TEXT)
        self._at = 0  # up to here everything is in a part, in the run or in one of the next three
        self._plain: list[str] = []  # text that is written as itself
        self._blank: str | None = None  # a line break in a paragraph, with what surrounds it
        self._opening: str | None = None  # inline markup whose beginning the next event tells
        self._escape = ""  # the backslash before the text that comes
        self._depth = 0  # elements that are open inside of one that stays as it is
        self._containers = 0
        self._kept: tuple[str, int] | None = None  # an HTML element that stays, and its start

    def parts(self) -> Iterator[Part]:
        """All parts of the document."""
        for event, place in pyromark.events_with_range(self._text, options=_OPTIONS):
            kind, value = next(iter(event.items())) if isinstance(event, dict) else (event, None)
            yield from self._event(kind, value, place["start"], place["end"])
        yield from self._end_run(len(self._data))

    def _event(self, kind: str, value: Any, start: int, end: int) -> Iterator[Part]:
        if self._depth:
            self._depth += (kind == "Start") - (kind == "End")
            if not self._depth:
                name = next(iter(value)) if isinstance(value, dict) else value
                yield from self._stays(name, start, end)
        elif kind in ("Start", "End"):
            name, details = next(iter(value.items())) if isinstance(value, dict) else (value, None)
            yield from (self._start if kind == "Start" else self._end)(name, details, start, end)
        elif self._kept:
            yield from self._in_kept(kind, start, end)
        else:
            yield from self._leaf(kind, value, start, end)

    def _raw(self, start: int, end: int) -> str:
        return self._data[start:end].decode()

    def _start(self, name: str, details: Any, start: int, end: int) -> Iterator[Part]:
        if name in _INLINE:
            if self._kept:
                return
            yield from self._gap(start)
            if isinstance(details, dict) and details["link_type"] in _NAMED_BY_TEXT:
                self._depth = 1
            else:
                self._opening = name
            return
        yield from self._end_run(start)
        self._containers += name in _CONTAINERS
        if self._containers > _DEEPEST:
            raise BadRequest(f"The Markdown is nested more than {_DEEPEST:,} deep.")
        if name in _OPAQUE:
            self._depth = 1
        elif name == "Table":
            self._run = Run(_CELL)

    def _end(self, name: str, details: Any, start: int, end: int) -> Iterator[Part]:
        if name in _INLINE:
            if not self._kept:
                yield from self._flush()
                yield from self._run.add([Token(Kind.CLOSE, self._raw(self._at, end), name)])
                self._at, self._opening = end, None
            return
        yield from self._end_run(end)
        self._containers -= name in _CONTAINERS
        if name == "Table":
            self._run = Run(_TEXT)

    def _stays(self, name: Any, start: int, end: int) -> Iterator[Part]:
        """The end of an element that stays as it is, if it is no HTML."""
        raw, self._at = self._raw(self._at, end), end
        if name in ("Link", "Image"):
            yield from self._flush()
            yield from self._run.add([Token(Kind.ATOM, raw)])
        elif name == "HtmlBlock" and not self._containers:
            yield from html.parts(raw, self._ignore)
        else:
            yield Part(raw)

    def _leaf(self, kind: str, value: str, start: int, end: int) -> Iterator[Part]:
        if start < self._at or kind == "TaskListMarker":
            return  # told behind the paragraph that it precedes; it is taken as what lies between
        yield from self._gap(start, before=value if kind == "Text" else "")
        raw = self._raw(start, end)
        if kind == "SoftBreak":
            self._blank = (self._blank or "") + raw
        elif kind == "Text" and raw == value and not self._escape and self._blank is None:
            self._plain.append(raw)
        else:
            yield from self._flush()
            yield from self._token(kind, value, raw, start)
        self._at = end

    def _token(self, kind: str, value: str, raw: str, start: int) -> Iterator[Part]:
        if kind == "Text":
            yield from self._run.add(self._unusual(raw, value))
        elif kind == "InlineHtml":
            yield from self._inline_html(raw, start)
        elif kind == "HardBreak":
            yield from self._run.end()
            yield Part(raw)
            self._blank = ""  # what the next line begins with is no text
        elif kind == "Rule":
            yield from self._run.add([Token(Kind.VOID, raw)])
        else:  # code, mathematics, references of footnotes
            yield from self._run.add([Token(Kind.ATOM, raw)])

    def _gap(self, start: int, before: str = "") -> Iterator[Part]:
        """Take what lies before an event, which may be the text `before`: markup of some kind."""
        raw, self._at = self._raw(self._at, start), max(self._at, start)
        if raw.endswith("\\") and before[:1] in _PUNCTUATION:
            raw, self._escape = raw[:-1], "\\"
        if not raw:
            return
        if self._opening:
            yield from self._flush()
            yield from self._run.add([Token(Kind.OPEN, raw, self._opening)])
            self._opening = None
        elif self._blank is not None or raw.isspace():
            self._blank = (self._blank or "") + raw
        else:
            yield from self._flush()
            yield from self._run.add([Token(Kind.VOID, raw)])

    def _flush(self) -> Iterator[Part]:
        """Put the text and the blank that wait into the run."""
        plain, self._plain = "".join(self._plain), []
        yield from self._run.add(_tokens(plain))
        blank, self._blank = self._blank, None
        if blank:
            yield from self._run.add([Token(Kind.TEXT, blank, " ")])

    def _end_run(self, end: int) -> Iterator[Part]:
        yield from self._leave(self._at)
        yield from self._gap(end)
        yield from self._flush()
        yield from self._run.end()

    def _unusual(self, raw: str, text: str) -> Iterator[Token]:
        """Text that is escaped, an entity, or the first of a line."""
        if raw == text and self._escape:
            yield Token(Kind.TEXT, self._escape + text[0], text[0])
            yield from _tokens(text[1:])
        elif raw == text:
            yield from _tokens(text)
        elif len(text) == 1:
            yield Token(Kind.TEXT, self._escape + raw, text)
        else:
            yield Token(Kind.ATOM, self._escape + raw)
        self._escape = ""

    def _inline_html(self, raw: str, start: int) -> Iterator[Part]:
        tag = next(iter(scan(raw)), None)
        if not isinstance(tag, Tag):
            yield from self._run.add([Token(Kind.VOID, raw)])
        elif not tag.closing and not html.translated(tag, self._ignore, around=True)[0]:
            self._kept = (tag.name, start)
        elif html.ends_sentence(tag):
            yield from self._run.end()
            yield from html.parts(raw, self._ignore)
        elif tag.name in html.VOID:
            yield from self._run.add([Token(Kind.VOID, raw)])
        else:
            kind = Kind.CLOSE if tag.closing else Kind.OPEN
            yield from self._run.add([Token(kind, raw, f"<{tag.name}>")])

    def _in_kept(self, kind: str, start: int, end: int) -> Iterator[Part]:
        """An event inside of an HTML element that stays as it is."""
        self._at = end
        if self._kept and end - self._kept[1] >= LONGEST:  # a step over all may take seconds
            yield from self._run.end()
            yield Part(self._raw(self._kept[1], start))
            self._kept = (self._kept[0], start)
        if kind == "InlineHtml" and self._kept:
            tag = next(iter(scan(self._raw(start, end))), None)
            if isinstance(tag, Tag) and tag.closing and tag.name == self._kept[0]:
                yield from self._leave(end)

    def _leave(self, end: int) -> Iterator[Part]:
        if self._kept:
            start, self._kept = self._kept[1], None
            yield from self._run.add([Token(Kind.ATOM, self._raw(start, end))])


def _tokens(text: str) -> Iterator[Token]:
    return text_tokens(text, _SPECIAL, _read_special)


def _read_special(found: re.Match[str]) -> Iterator[Token]:
    raw = found[0]
    yield Token(Kind.TEXT, raw, " ") if raw.isspace() else Token(Kind.ATOM, raw)
