"""Message catalogues of gettext: an empty `msgstr` is filled with what its `msgid` says.

What is translated already stays, fuzzy or not, and so does everything else. `polib`, which reads
such files well, writes them its own way, so this is one pass over the lines that keeps theirs.

Source: https://www.gnu.org/software/gettext/manual/html_node/PO-Files.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.errors import BadRequest
from engine.translation.formats.forms import Writing
from engine.translation.formats.runs import Kind, Run, Token, merged, text_tokens
from engine.translation.parts import Part

_STRING = r'"(?:[^"\\\n]|\\.)*+"'
_FIELD = re.compile(
    rf"(?P<word>msgctxt|msgid_plural|msgid|msgstr(?:\[(?P<number>\d+)\])?)[ \t]*"
    rf"(?P<value>{_STRING}(?:[ \t]*\r?\n[ \t]*{_STRING})*+)[ \t]*(?:\r?\n|\Z)"
)
_OTHER_LINE = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\r?\n|\Z)")
_SPECIAL = re.compile(r'(\\.|[^\\"])?(?:"[ \t]*\r?\n[ \t]*")+|(\\.)')
_MEANING = {"n": "\n", "t": "\t", "r": "\r"}
WRITING = Writing({"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"})


@dataclass(slots=True)
class _Message:
    """The strings of a message as they are written, quotes and line breaks included."""

    one: str = '""'
    many: str = '""'


def parts(text: str, ignore: frozenset[str] = frozenset()) -> Iterator[Part]:
    """The parts of a catalogue, messages without a translation filled with their source.

    Raises BadRequest with the line that is none of a catalogue.
    """
    return merged(_parts(text, list(_fields(text))))


def _fields(text: str) -> Iterator[re.Match[str]]:
    """Where `msgid` and the like stand. Raises BadRequest."""
    at = 0
    while at < len(text):
        found = _FIELD.match(text, at)
        if found is not None:
            yield found
        elif (found := _OTHER_LINE.match(text, at)) is None:
            number = text.count("\n", 0, at) + 1
            raise BadRequest(f"The text cannot be read as a PO file: line {number}.")
        at = found.end()


def _parts(text: str, fields: Sequence[re.Match[str]]) -> Iterator[Part]:
    message = _Message()
    at = 0
    for found in fields:
        yield Part(text[at : found.start("value")])
        yield from _value(found, message)
        at = found.end("value")
    yield Part(text[at:])


def _value(found: re.Match[str], message: _Message) -> Iterator[Part]:
    """The strings of a field; of an empty translation, those that it translates."""
    word, value = found["word"], found["value"]
    if word == "msgid":
        message.one = message.many = value
    elif word == "msgid_plural":
        message.many = value
    if word.startswith("msgstr") and not _says_anything(value):
        source = message.many if int(found["number"] or 0) else message.one
        if _says_anything(source):
            yield from Run(WRITING).whole(_tokens(source))
            return
    yield Part(value)


def _says_anything(value: str) -> bool:
    return re.search(r'[^"\s]', value) is not None


def _tokens(value: str) -> Iterator[Token]:
    """The tokens of strings that are written one behind the other."""
    yield Token(Kind.VOID, '"')
    yield from text_tokens(value[1:-1], _SPECIAL, _read_special)
    yield Token(Kind.VOID, '"')


def _read_special(found: re.Match[str]) -> Iterator[Token]:
    """An escape, or the character behind which the next string begins."""
    written = found[1] or found[2]
    if not written:
        yield Token(Kind.VOID, found[0])
    elif written.startswith("\\"):
        yield Token(Kind.TEXT, found[0], _MEANING.get(written[1], written[1]))
    else:
        yield Token(Kind.TEXT, found[0], written)
