"""TMX, the format in which translation memories are exchanged (version 1.4b).

https://www.gala-global.org/tmx-14b
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape, quoteattr

from engine import defused
from engine.errors import BabelbrookError, UnknownLanguage
from engine.memory.memory import key_of_people
from engine.memory.store import Entry
from engine.translation.languages import canonical, generic

_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_UNKNOWN = "und"  # BCP 47 for a language that is not known


class UnreadableTmx(BabelbrookError):
    """A file that is no TMX, or a dangerous one."""

    status = 400
    code = "unreadable_tmx"


_HEAD = """\
<?xml version="1.0" encoding="utf-8"?>
<tmx version="1.4">
<header creationtool="Babelbrook" creationtoolversion="1" segtype="sentence" o-tmf="Babelbrook" \
adminlang="en" srclang="*all*" datatype="plaintext"/>
<body>
"""


def write(entries: Iterable[Entry], file: IO[str]) -> int:
    """Write segments as TMX; returns how many."""
    count = 0
    file.write(_HEAD)
    for entry in entries:
        source_lang = entry.source_lang or _UNKNOWN
        file.write(f"<tu srclang={quoteattr(source_lang)}>")
        file.write(_variant(source_lang, entry.source))
        file.write(_variant(entry.target_lang, "".join(entry.pieces)) + "</tu>\n")
        count += 1
    file.write("</body>\n</tmx>\n")
    return count


def _variant(language: str, text: str) -> str:
    allowed = escape("".join(filter(_is_allowed, text)), {"\r": "&#13;"})
    return f"<tuv xml:lang={quoteattr(language)}><seg>{allowed}</seg></tuv>"


def _is_allowed(character: str) -> bool:
    """Whether XML 1.0 can have a character at all."""
    return character in "\t\n\r" or (character >= " " and character not in "\ufffe\uffff")


def read(path: Path) -> Iterator[Entry]:
    """The translations in a TMX file, as they come; text of inline elements is kept.

    Units without a source and in languages that nobody knows are left out. Raises UnreadableTmx,
    also for a file that declares entities.
    """
    source_lang = "*all*"
    try:
        for element in defused.iterate(path):
            if element.tag == "header":
                source_lang = element.get("srclang", "*all*")
            elif element.tag == "tu":
                yield from _unit(element, element.get("srclang", source_lang))
                element.clear()
    except (ParseError, ValueError) as error:  # what is dangerous
        raise UnreadableTmx(f"{path} is not a TMX file that can be read: {error}.") from None


def _unit(unit: Element, source_lang: str) -> Iterator[Entry]:
    variants = [(_language(each), _text(each)) for each in unit.iter("tuv")]
    known = [(code, text) for code, text in variants if code is not None and text.strip()]
    wanted = source_lang.lower()
    source = next((v for v in known if v[0].lower() == wanted), known[0] if known else None)
    for target in known:
        if source is not None and target[0] != source[0]:
            yield from _entries(source, target)


def _entries(source: tuple[str, str], target: tuple[str, str]) -> Iterator[Entry]:
    """One for the codes as they are, and one for those that a model without territories has."""
    for source_code in {source[0], generic(source[0])}:
        for target_code in {target[0], generic(target[0])}:
            key = key_of_people(source[1], source_code, target_code)
            yield Entry(key, source_code, target_code, None, source[1], [target[1]])


def _language(variant: Element) -> str | None:
    try:
        return canonical(variant.get(_LANG) or variant.get("lang") or "")
    except UnknownLanguage:
        return None


def _text(variant: Element) -> str:
    return "".join(text for segment in variant.iter("seg") for text in segment.itertext())
