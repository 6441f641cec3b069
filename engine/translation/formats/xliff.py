"""XLIFF 1.2 and 2: a target that is empty or missing is filled with what its source says.

Targets that have text stay, and so does everything else. Codes of the original format (`ph`, `bpt`
and the like) are kept as they are inside of a sentence.

Sources: http://docs.oasis-open.org/xliff/v1.2/os/xliff-core.html and
http://docs.oasis-open.org/xliff/xliff-core/v2.1/xliff-core-v2.1.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.errors import BadRequest
from engine.translation.formats import markup, xml
from engine.translation.formats.markup import Is, Item
from engine.translation.formats.runs import merged
from engine.translation.formats.tags import names
from engine.translation.parts import Part

_UNITS = names("trans-unit segment")
_CODES = names("bpt ept ph it x bx ex sc ec cp")


def parts(text: str, ignore: frozenset[str] = frozenset()) -> Iterator[Part]:
    """The parts of a file, units without a translation filled with their source.

    Raises BadRequest where it is not well-formed, or no XLIFF.
    """
    items = markup.scan(text)
    root = next((item for item in items if item.kind is Is.START), None)
    if root is None or root.local_name != "xliff":
        raise BadRequest("The text cannot be read as XLIFF: its first element is not 'xliff'.")
    return merged(_parts(items, ignore | _CODES))


def _parts(items: Sequence[Item], ignore: frozenset[str]) -> Iterator[Part]:
    translated = [True]  # whether units are, in each open element
    at = 0
    while at < len(items):
        item = items[at]
        if item.kind is Is.START:
            own = {"no": False, "yes": True}.get(item.attributes.get("translate", ""))
            translated.append(translated[-1] if own is None else own)
            if item.local_name in _UNITS and translated[-1]:
                end = _end(items, at)
                yield from _unit(items[at : end + 1], ignore)
                translated.pop()
                at = end + 1
                continue
        elif item.kind is Is.END:
            translated.pop()
        yield Part(item.raw)
        at += 1


def _unit(items: Sequence[Item], ignore: frozenset[str]) -> Iterator[Part]:
    """The parts of a unit, from its start tag to its end tag."""
    children = _children(items)
    source, target = children.get("source"), children.get("target")
    if source is None or items[source[0]].kind is Is.EMPTY or _has_text(items, target):
        yield from _as_it_is(items)
        return
    says = items[source[0] + 1 : source[1]]
    if target is None:
        begin = children.get("seg-source", source)[1] + 1
        prefix = items[source[0]].name.removesuffix("source")
        yield from _as_it_is(items[:begin])
        yield Part(f"{_indentation(items, source[0])}<{prefix}target>")
        yield from xml.content(says, ignore)
        yield Part(f"</{prefix}target>")
        yield from _as_it_is(items[begin:])
        return
    start, end = target
    name = items[start].name
    yield from _as_it_is(items[:start])
    yield Part(items[start].raw if start < end else f"{items[start].raw[:-2].rstrip()}>")
    yield from xml.content(says, ignore)
    yield Part(items[end].raw if start < end else f"</{name}>")
    yield from _as_it_is(items[end + 1 :])


def _as_it_is(items: Sequence[Item]) -> Iterator[Part]:
    return (Part(item.raw) for item in items)


def _children(items: Sequence[Item]) -> dict[str, tuple[int, int]]:
    """Where the elements directly in a unit begin and end; of several of a name the first."""
    found: dict[str, tuple[int, int]] = {}
    at = 1
    while at < len(items) - 1:
        end = at
        if items[at].kind in (Is.START, Is.EMPTY):
            end = _end(items, at)
            found.setdefault(items[at].local_name, (at, end))
        at = end + 1
    return found


def _end(items: Sequence[Item], start: int) -> int:
    """The place of the end tag of the element at `start`."""
    depth = 0
    for at in range(start, len(items)):
        depth += (items[at].kind is Is.START) - (items[at].kind is Is.END)
        if depth <= 0:
            return at
    return len(items) - 1


def _has_text(items: Sequence[Item], place: tuple[int, int] | None) -> bool:
    if place is None:
        return False
    inside = items[place[0] + 1 : place[1]]
    return any(item.kind is not Is.TEXT or not item.raw.isspace() for item in inside)


def _indentation(items: Sequence[Item], at: int) -> str:
    """The white space before an item."""
    before = items[at - 1]
    return before.raw if before.kind is Is.TEXT and before.raw.isspace() else ""
