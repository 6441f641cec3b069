"""XML cut into elements, text and the rest, with the places where each stands in the source.

Expat reads, so what is not well-formed is refused. No entity is ever expanded: a document that
declares one is refused too (billion laughs), and what lies outside of it is never fetched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NoReturn
from xml.parsers import expat

from engine.defused import MOST_ATTRIBUTES
from engine.errors import BadRequest

_ROOT, _ROOT_END = (
    b"<_>",
    b"</_>",
)  # around what is no whole document: it may have text and several elements on top


_Mark = tuple[int, "Is", str, dict[str, str]]


class Is(Enum):
    """What an item of a document is."""

    START = auto()
    END = auto()
    EMPTY = auto()  # <br/>
    TEXT = auto()
    CDATA = auto()  # what stands between <![CDATA[ and ]]>
    OTHER = auto()  # comments, instructions, the document type


@dataclass(slots=True)
class Item:
    """A piece of a document as it stands there; the `raw` of all items, joined, is the document."""

    kind: Is
    raw: str
    name: str = ""
    attributes: dict[str, str] = field(default_factory=dict)

    @property
    def local_name(self) -> str:
        """The name without its prefix."""
        return self.name.rpartition(":")[2]


def scan(text: str) -> list[Item]:
    """All items of a document or a fragment of one. Raises BadRequest with line and column."""
    before, text = ("\ufeff", text[1:]) if text.startswith("\ufeff") else ("", text)
    whole = "<?xml" in text or "<!DOCTYPE" in text
    data = text.encode() if whole else _ROOT + text.encode() + _ROOT_END
    marks = _Marks(whole)
    marks.read(data)
    items = list(_items(data, marks.found))
    items = items if whole else items[1:-1]
    return [Item(Is.OTHER, before), *items] if before else items


class _Marks:
    """Where expat sees what in a document: (offset in bytes, kind, name, attributes)."""

    def __init__(self, whole: bool) -> None:
        self.found: list[_Mark] = []
        self._whole = whole
        self._in_cdata = False
        self._declared = 0  # attributes

    def read(self, data: bytes) -> None:
        """Collect the marks. Raises BadRequest."""
        self._parser = parser = expat.ParserCreate("utf-8")
        parser.specified_attributes = True  # see `engine.defused`
        parser.AttlistDeclHandler = self._count_attribute
        parser.StartElementHandler = lambda name, given: self._mark(Is.START, name, given)
        parser.EndElementHandler = lambda name: self._mark(Is.END, name)
        parser.CharacterDataHandler = lambda _: self._mark(Is.CDATA if self._in_cdata else Is.TEXT)
        parser.StartCdataSectionHandler = self._begin_cdata
        parser.EndCdataSectionHandler = self._end_cdata
        parser.EntityDeclHandler = self._refuse_entity
        parser.CommentHandler = lambda _: self._mark(Is.OTHER)
        parser.ProcessingInstructionHandler = lambda *_: self._mark(Is.OTHER)
        parser.DefaultHandler = lambda _: self._mark(Is.OTHER)
        try:
            parser.Parse(data, True)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            if not self._whole and parser.ErrorByteIndex >= len(data) - len(_ROOT_END):
                reason = "an element is not closed"
            self._refuse(reason, error.lineno, error.offset)

    def _mark(self, kind: Is, name: str = "", given: dict[str, str] | None = None) -> None:
        self.found.append((self._parser.CurrentByteIndex, kind, name, given or {}))

    def _begin_cdata(self) -> None:
        self._mark(Is.OTHER)
        self._in_cdata = True

    def _end_cdata(self) -> None:
        self._in_cdata = False
        self._mark(Is.OTHER)

    def _refuse_entity(self, *_: object) -> None:
        self._refuse_here("entity declarations are not accepted")

    def _count_attribute(self, *_: object) -> None:
        self._declared += 1
        if self._declared > MOST_ATTRIBUTES:
            self._refuse_here(f"more than {MOST_ATTRIBUTES:,} attributes are declared")

    def _refuse_here(self, reason: str) -> NoReturn:
        self._refuse(reason, self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber)

    def _refuse(self, reason: str, line: int, column: int) -> NoReturn:
        if line == 1 and not self._whole:
            column -= len(_ROOT)
        raise BadRequest(
            f"The text cannot be read as XML: {reason}, line {line}, column {max(column, 0) + 1}."
        )


def _items(data: bytes, marks: Sequence[_Mark]) -> Iterator[Item]:
    """Cut the document at the marks; text that expat tells in pieces is one item."""
    pieces = [
        mark
        for before, mark in zip([None, *marks], marks, strict=False)
        if before is None or mark[1] not in (Is.TEXT, Is.CDATA) or mark[1] is not before[1]
    ]
    ends = [start for start, *_ in pieces[1:]] + [len(data)]
    for (start, kind, name, given), end in zip(pieces, ends, strict=True):
        raw = data[start:end].decode()
        if kind is Is.START and raw.endswith("/>"):
            yield Item(Is.EMPTY, raw, name, given)
        elif raw:  # the end of an empty element is none of its own
            yield Item(kind, raw, name, given)
