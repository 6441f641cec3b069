"""XML: elements stay, the text between them is translated.

What ends a sentence cannot be told from the names of a vocabulary that nobody knows. So an element
stands inside a sentence where text stands beside it, or around it in turn; an element that has only
elements beside it is structure. CDATA is text of its own, or HTML where it holds tags.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from html import unescape

from engine.translation.formats import html, markup
from engine.translation.formats.forms import Writing
from engine.translation.formats.markup import Is, Item
from engine.translation.formats.runs import Kind, Run, Token, merged, text_tokens
from engine.translation.formats.tags import names
from engine.translation.parts import Part

WRITING = html.WRITING
_CDATA = Writing({">": "]]><![CDATA[>", "\n": " ", "\r": " "})  # or a new `]]>` would end it
_STRUCTURE = names(
    "p div section para li ul ol dl dt dd table tr td th h1 h2 h3 h4 h5 h6 br hr blockquote pre"
)
"""Names that mean the same in many vocabularies, and never part of a sentence."""
_OPAQUE = names("script style code pre codeblock programlisting screen")
_BLANKS = re.compile(r"[ \t\n\r]{2,}|[\t\n\r]|(?<![^ \t\n\r]) | (?![^ \t\n\r])")
_SPECIAL = re.compile(_BLANKS.pattern + r"|&(?:#[0-9]+|#x[0-9a-fA-F]+|[^\s;&]+);")
_HTML_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_KNOWN = frozenset(("&lt;", "&gt;", "&amp;", "&quot;", "&apos;"))


def parts(text: str, ignore: frozenset[str] = frozenset()) -> Iterator[Part]:
    """The parts of a document or a fragment; elements named in `ignore` stay as they are.

    Raises BadRequest where it is not well-formed.
    """
    return merged(content(markup.scan(text), ignore))


def tokens(raw: str) -> Iterator[Token]:
    """The tokens of text between tags."""
    return text_tokens(raw, _SPECIAL, _read_special)


def _read_special(found: re.Match[str]) -> Iterator[Token]:
    raw = found[0]
    if not raw.startswith("&"):
        yield Token(Kind.TEXT, raw, " ")
    elif (character := _character(raw)) is None:
        yield Token(Kind.ATOM, raw)  # an entity that is declared elsewhere
    else:
        yield Token(Kind.TEXT, raw, character)


def _character(reference: str) -> str | None:
    if reference[1] != "#" and reference not in _KNOWN:
        return None
    character = unescape(reference)
    if character in ("\t", "\n", "\r"):
        return " "
    return character if len(character) == 1 and unicodedata.category(character) != "Cc" else None


def content(items: Sequence[Item], ignore: frozenset[str] = frozenset()) -> Iterator[Part]:
    """The parts of items that are well-formed together."""
    run = Run(WRITING)
    translated = [True]  # what is in each open element
    for item, inline in zip(items, inline_flags(items), strict=True):
        wanted = translated[-1]
        if item.kind in (Is.START, Is.EMPTY):
            wanted = _translates(item, ignore, around=wanted)
        if item.kind is Is.START:
            translated.append(wanted)
        elif item.kind is Is.END:
            translated.pop()
        if wanted and item.kind is Is.TEXT:
            yield from run.add(tokens(item.raw))
        elif inline and not (wanted and item.kind is Is.CDATA):
            yield from run.add([_mark(item) if wanted else Token(Kind.ATOM, item.raw)])
        else:
            yield from run.end()
            yield from _cdata(item.raw) if wanted and item.kind is Is.CDATA else [Part(item.raw)]
    yield from run.end()


def _mark(item: Item) -> Token:
    """What stands inside a sentence and is no text of it."""
    kinds = {Is.START: Kind.OPEN, Is.END: Kind.CLOSE}
    return Token(kinds.get(item.kind, Kind.VOID), item.raw, item.name)


def _cdata(raw: str) -> Iterator[Part]:
    if _HTML_TAG.search(raw):
        return html.parts(raw)
    return Run(_CDATA).whole(text_tokens(raw, _BLANKS, _read_special))


def _translates(item: Item, ignore: frozenset[str], *, around: bool) -> bool:
    if not ignore.isdisjoint((item.name, item.local_name)) or item.local_name.lower() in _OPAQUE:
        return False
    if item.attributes.get("mtype") == "protected":  # XLIFF's word for it
        return False
    own = item.attributes.get("translate", item.attributes.get("its:translate"))
    return {"no": False, "yes": True}.get(own or "", around)


def inline_flags(items: Sequence[Item]) -> list[bool]:
    """For each item whether it stands inside a sentence."""
    mixed = _with_text(items)
    flags: list[bool] = []
    inside, own = [_TOP in mixed], [True]  # of each open element: what is in it, and itself
    for at, item in enumerate(items):
        flag = inside[-1]
        if item.kind in (Is.START, Is.EMPTY):
            flag = flag and item.local_name.lower() not in _STRUCTURE
        if item.kind is Is.START:
            inside.append(flag or at in mixed)
            own.append(flag)
        elif item.kind is Is.END:
            inside.pop()
            flag = own.pop()
        flags.append(flag)
    return flags


_TOP = -1  # where other elements have the place of their start tag


def _with_text(items: Sequence[Item]) -> set[int]:
    """The elements that have text among their children."""
    found: set[int] = set()
    opened = [_TOP]
    for at, item in enumerate(items):
        if item.kind is Is.START:
            opened.append(at)
        elif item.kind is Is.END:
            opened.pop()
        elif item.kind is Is.TEXT and not item.raw.isspace():
            found.add(opened[-1])
    return found
