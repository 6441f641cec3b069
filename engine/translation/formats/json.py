"""JSON: strings that are values are translated; keys, numbers and the rest stay.

One pass over the tokens with a stack instead of a parser, which would lose how things are written
and end at some depth. Source of the grammar: RFC 8259.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from engine.errors import BadRequest
from engine.translation.formats.forms import Writing
from engine.translation.formats.runs import Kind, Run, Token, merged, text_tokens
from engine.translation.parts import Part

_TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+")"""
    r"|(?P<word>-?(?:0|[1-9]\d*+)(?:\.\d++)?(?:[eE][+-]?\d++)?(?![\w.])|(?:true|false|null)\b)"
    r"|(?P<mark>[{}\[\],:])",
    re.ASCII,
)
_BLANK = re.compile(r"[ \t\n\r]*+")
_ESCAPE = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u.{4}|\\.")
_MEANING = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_CONTROL = {chr(code): f"\\u{code:04x}" for code in range(32)}
WRITING = Writing(
    _CONTROL
    | {meaning: f"\\{letter}" for letter, meaning in _MEANING.items()}
    | {'"': '\\"', "\\": "\\\\"}
)


@dataclass(frozen=True, slots=True)
class _Value:
    """A string that is a value: where it stands, without its quotes."""

    start: int
    end: int


def parts(text: str, ignore: frozenset[str] = frozenset()) -> Iterator[Part]:
    """The parts of a document; values of keys named in `ignore` stay as they are.

    Raises BadRequest with line and column where it is no JSON.
    """
    return merged(_parts(text, list(_values(text, ignore))))


def _parts(text: str, values: list[_Value]) -> Iterator[Part]:
    at = 0
    for value in values:
        yield Part(text[at : value.start])
        yield from Run(WRITING).whole(_tokens(text[value.start : value.end]))
        at = value.end
    yield Part(text[at:])


def _tokens(raw: str) -> Iterator[Token]:
    return text_tokens(raw, _ESCAPE, _read_escape)


def _read_escape(found: re.Match[str]) -> Iterator[Token]:
    raw = found[0]
    if raw[1] != "u":
        yield Token(Kind.TEXT, raw, _MEANING.get(raw[1], raw[1]))
        return
    units = bytes.fromhex(raw.replace("\\u", ""))
    character = units.decode("utf-16-be", errors="replace")
    # Half of a pair is no character, and nothing that a model should be given.
    yield Token(Kind.ATOM if character == "\ufffd" else Kind.TEXT, raw, character)


def _values(text: str, ignore: frozenset[str]) -> Iterator[_Value]:
    """The strings to translate. Raises BadRequest."""
    grammar = _Grammar(text, ignore)
    at = 1 if text.startswith("\ufeff") else 0
    at = grammar.blank(at)
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            grammar.refuse(at)
        if grammar.take(found):
            yield _Value(found.start() + 1, found.end() - 1)
        at = grammar.blank(found.end())
    grammar.end()


class _Grammar:
    """What may come next: the state of a JSON document that is read token by token."""

    def __init__(self, text: str, ignore: frozenset[str]) -> None:
        self._text, self._ignore = text, ignore
        self._open: list[str] = []  # brackets
        self._kept = 0  # how many of the innermost brackets stay as they are
        self._key: str | None = None  # the last one of the innermost object
        self._expected = "value"

    def blank(self, at: int) -> int:
        """The end of the white space at a place."""
        found = _BLANK.match(self._text, at)
        return found.end() if found else at

    def take(self, found: re.Match[str]) -> bool:
        """Go on by a token; whether it is a string to translate. Raises BadRequest."""
        expected, token = self._expected, found[0]
        if found["mark"]:
            self._mark(token, found.start())
            return False
        if expected.startswith("key") and found["string"]:
            self._key, self._expected = token[1:-1], "colon"
            return False
        if not expected.startswith("value"):
            self.refuse(found.start())
        kept = self._kept or self._key in self._ignore
        self._value_ended()
        return bool(found["string"]) and not kept

    def _mark(self, mark: str, at: int) -> None:
        expected = self._expected
        if mark in "{[" and expected.startswith("value"):
            self._kept += bool(self._kept or self._key in self._ignore)
            self._open.append(mark)
            self._key = None
            self._expected = "key or end" if mark == "{" else "value or end"
        elif mark in "}]" and self._closes(mark):
            self._open.pop()
            self._kept = max(0, self._kept - 1)
            self._value_ended()
        elif mark == ":" and expected == "colon":
            self._expected = "value"
        elif mark == "," and expected == "comma or end" and self._open:
            self._expected = "key" if self._open[-1] == "{" else "value"
        else:
            self.refuse(at)

    def _closes(self, mark: str) -> bool:
        """Whether a closing bracket may stand here."""
        opened = {"}": "{", "]": "["}[mark]
        return self._open[-1:] == [opened] and self._expected.endswith("or end")

    def _value_ended(self) -> None:
        self._key = None
        self._expected = "comma or end" if self._open else "nothing"

    def end(self) -> None:
        """The text is over. Raises BadRequest where the document is not."""
        if self._expected != "nothing":
            self.refuse(len(self._text))

    def refuse(self, at: int) -> NoReturn:
        """Raises BadRequest for what stands at a place."""
        line = self._text.count("\n", 0, at) + 1
        column = at - (self._text.rfind("\n", 0, at) + 1) + 1
        wanted = self._expected.replace("colon", "':'").replace("comma", "','")
        raise BadRequest(
            f"The text cannot be read as JSON: line {line}, column {column} should be {wanted}."
        )
