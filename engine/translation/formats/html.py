"""HTML: tags, comments, code, scripts and styles stay, text and some attributes are translated.

Which attributes is as in https://html.spec.whatwg.org/multipage/dom.html#the-translate-attribute.
Those of a tag in the middle of a sentence stay: there the tag is a keep of the sentence.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from html import unescape

from engine.translation.formats.forms import Writing
from engine.translation.formats.runs import Kind, Run, Token, merged, plain, text_tokens
from engine.translation.formats.tags import RAW_TEXT, Stretch, Tag, names, scan
from engine.translation.formats.text import LONGEST
from engine.translation.parts import Part

WRITING = Writing({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\n": " ", "\r": " "})
_QUOTED = {
    '"': Writing({**WRITING.escapes, '"': "&quot;"}),
    "'": Writing({**WRITING.escapes, "'": "&#39;"}),
}

BLOCKS = names(
    """
    address area article aside audio base blockquote body br button canvas caption center col
    colgroup dd details dialog dir div dl dt fieldset figcaption figure footer form frame frameset
    h1 h2 h3 h4 h5 h6 head header hgroup hr html iframe input legend li link main map menu meta nav
    noembed noframes noscript object ol optgroup option p param picture plaintext pre progress
    script search section select source style summary table tbody td template textarea tfoot th
    thead title tr track ul video xmp
    """
)
"""Elements that end a sentence; all others may stand in the middle of one."""
VOID = names("area base br col embed frame hr img input link meta param source track wbr")
_OPAQUE = names("code kbd samp var tt pre math svg textarea") | (RAW_TEXT - {"title"})
_END_A_PARAGRAPH = names(
    """
    address article aside blockquote center details dialog dir div dl fieldset figcaption figure
    footer form h1 h2 h3 h4 h5 h6 header hgroup hr main menu nav ol p pre search section table ul
    """
)
_ENDED_BY: dict[str, frozenset[str]] = {
    "li": names("li"),
    "tr": names("td th tr"),
    **dict.fromkeys(names("dt dd"), names("dt dd")),
    **dict.fromkeys(names("td th"), names("td th")),
    **dict.fromkeys(names("option optgroup"), names("option")),
    **dict.fromkeys(_END_A_PARAGRAPH, names("p")),
}
"""Open elements that a start tag ends, as browsers do it."""

_LOOK_BACK = 32  # open elements that are looked at for one that a start tag ends

_GLOBAL = names(
    "aria-description aria-label aria-placeholder aria-roledescription aria-valuetext title"
)
_ATTRIBUTES = {
    "abbr": names("th"),
    "alt": names("area img input"),
    "label": names("optgroup option track"),
    "placeholder": names("input textarea"),
}
_META = names(
    """
    description keywords title og:title og:description og:image:alt og:site_name twitter:title
    twitter:description twitter:image:alt
    """
)
_SPECIAL = re.compile(
    r"[ \t\n\f\r]{2,}|[\t\n\f\r]"
    r"|(?<![^ \t\n\f\r]) | (?![^ \t\n\f\r])"
    r"|&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[A-Za-z][A-Za-z0-9]{0,31};?)"
    r"|<(?:&#?\w*;?|[^<])?",
    re.DOTALL,
)
_IN_ATTRIBUTE = re.compile(_SPECIAL.pattern.rpartition("|<")[0].replace(";?", ";"))


def parts(text: str, ignore: frozenset[str] = frozenset()) -> Iterator[Part]:
    """The parts of an HTML document or fragment; elements named in `ignore` stay as they are."""
    return merged(_Reader(text, ignore).parts())


def tokens(raw: str) -> Iterator[Token]:
    """The tokens of text between tags."""
    return text_tokens(raw, _SPECIAL, _read_special)


def _read_special(found: re.Match[str]) -> Iterator[Token]:
    raw = found[0]
    if raw.startswith("<"):  # with what follows it, or that might become a tag with it
        yield Token(Kind.ATOM, raw)
    elif raw.startswith("&"):
        yield from _reference(raw)
    else:
        yield Token(Kind.TEXT, raw, " ")


def _reference(raw: str) -> Iterator[Token]:
    """A character reference; one without semicolon may end before its name does."""
    read = unescape(raw)
    if read == raw:
        yield plain(raw)
        return
    rest, blank = read[1:], read[:1] in ("\t", "\n", "\f", "\r")
    unseen = not read or (unicodedata.category(read[0]) == "Cc" and not blank)
    if unseen or not raw.endswith(rest):  # or two characters at once
        yield Token(Kind.ATOM, raw)
        return
    yield Token(Kind.TEXT, raw.removesuffix(rest), " " if blank else read[0])
    if rest:
        yield plain(rest)


class _Reader:
    """One pass over a document; `_run` is the sentence that is being collected."""

    def __init__(self, text: str, ignore: frozenset[str]) -> None:
        self._text = text
        self._ignore = {name.lower() for name in ignore}
        self._run = Run(WRITING)
        self._open: list[tuple[str, bool]] = []  # names, and whether what is inside is translated
        self._count: dict[str, int] = {}  # how many of a name are open
        self._kept_from: int | None = None  # where what stays as it is began
        self._kept_inline = False

    def parts(self) -> Iterator[Part]:
        """All parts of the document."""
        for item in scan(self._text):
            if isinstance(item, Stretch):
                yield from self._stretch(item)
            elif item.closing:
                yield from self._end_tag(item)
            else:
                yield from self._start_tag(item)
            if self._kept_from is not None and item.end - self._kept_from >= LONGEST:
                yield from self._spill(item.end)
        yield from self._leave(len(self._text))
        yield from self._run.end()

    @property
    def _translating(self) -> bool:
        return not self._open or self._open[-1][1]

    def _stretch(self, item: Stretch) -> Iterator[Part]:
        if self._kept_from is None:
            raw = self._text[item.start : item.end]
            yield from self._run.add([Token(Kind.VOID, raw)] if item.markup else tokens(raw))

    def _start_tag(self, tag: Tag) -> Iterator[Part]:
        self._end_before(tag.name)
        if self._translating:
            yield from self._leave(tag.start)
        inside, attributes = translated(tag, self._ignore, around=self._translating)
        if tag.name not in VOID:
            self._open.append((tag.name, inside))
            self._count[tag.name] = self._count.get(tag.name, 0) + 1
        if self._kept_from is not None and not inside:
            return
        yield from self._leave(tag.start)
        inline = not ends_sentence(tag)
        if not inline:
            yield from self._run.end()
            yield from self._block_tag(tag, attributes)
        elif inside:
            yield from self._mark(Kind.VOID if tag.name in VOID else Kind.OPEN, tag)
        if not inside:
            self._keep(tag.start if inline else tag.end, inline)

    def _end_before(self, name: str) -> None:
        """Pop what the start tag of a `name` ends, with what is left open inside of it."""
        ended = _ENDED_BY.get(name)
        if ended is None:
            return
        for depth, (opened, _) in enumerate(reversed(self._open[-_LOOK_BACK:]), 1):
            if opened in ended:
                for _ in range(depth):
                    self._pop()
                return
            if opened in BLOCKS:
                return

    def _end_tag(self, tag: Tag) -> Iterator[Part]:
        inside = True
        if self._count.get(tag.name):
            while (popped := self._pop())[0] != tag.name:
                pass
            inside = popped[1]
        if self._kept_from is not None:
            if not self._translating:
                return
            own = not inside and tag.name not in BLOCKS  # the end tag of what stays as it is
            yield from self._leave(tag.end if own else tag.start)
            if own:
                return
        if tag.name in BLOCKS:
            yield from self._run.end()
            yield Part(self._text[tag.start : tag.end])
        else:
            yield from self._mark(Kind.CLOSE, tag)
        if not self._translating:
            self._keep(tag.end, tag.name not in BLOCKS)

    def _pop(self) -> tuple[str, bool]:
        name, inside = self._open.pop()
        self._count[name] -= 1
        return name, inside

    def _mark(self, kind: Kind, tag: Tag) -> Iterator[Part]:
        return self._run.add([Token(kind, self._text[tag.start : tag.end], tag.name)])

    def _keep(self, start: int, inline: bool) -> None:
        self._kept_from, self._kept_inline = start, inline

    def _spill(self, end: int) -> Iterator[Part]:
        """Let go of what stays as it is so far: a step over all of it may take seconds."""
        yield from self._run.end()
        yield Part(self._text[self._kept_from : end])
        self._kept_from = end

    def _leave(self, end: int) -> Iterator[Part]:
        """End what stays as it is, if anything does."""
        start, self._kept_from = self._kept_from, None
        if start is None:
            return
        if self._kept_inline:
            yield from self._run.add([Token(Kind.ATOM, self._text[start:end])])
        else:
            yield from self._run.end()
            yield Part(self._text[start:end])

    def _block_tag(self, tag: Tag, translated: bool) -> Iterator[Part]:
        at = tag.start
        for name, (start, end) in tag.values.items() if translated else ():
            quote = self._text[start - 1]
            if quote in _QUOTED and _translatable(tag, name):
                yield Part(self._text[at:start])
                value = text_tokens(self._text[start:end], _IN_ATTRIBUTE, _read_special)
                yield from Run(_QUOTED[quote]).whole(value)
                at = end
        yield Part(self._text[at : tag.end])


def translated(tag: Tag, ignore: Collection[str], *, around: bool) -> tuple[bool, bool]:
    """Whether what is inside an element is translated, and whether its attributes are.

    `around` says it of the element around, `ignore` names what stays, in lower case.
    """
    wanted = {"no": False, "yes": True, "": True}.get(
        tag.attributes.get("translate", "unsaid").lower(), around
    )
    if tag.name in ignore or "notranslate" in tag.attributes.get("class", "").split():
        wanted = False
    if tag.name in VOID:
        return around, wanted
    return wanted and (tag.name not in _OPAQUE or "translate" in tag.attributes), wanted


def ends_sentence(tag: Tag) -> bool:
    """Whether a tag cannot stand in the middle of a sentence."""
    return tag.name in BLOCKS or (tag.name == "img" and bool(tag.attributes.get("alt")))


def _translatable(tag: Tag, attribute: str) -> bool:
    if attribute == "value" and tag.name == "input":
        return tag.attributes.get("type", "").lower() in ("button", "reset", "submit")
    if attribute == "content" and tag.name == "meta":
        about = tag.attributes.get("name") or tag.attributes.get("property") or ""
        return about.lower() in _META
    return tag.name in _ATTRIBUTES.get(attribute, (tag.name,) if attribute in _GLOBAL else ())
