"""From the tokens of a format to parts: what lies between two blocks becomes one text.

Markup inside a sentence becomes a keep of the part's text. Blanks and markup around the whole are
no part of it, so that a model sees `Hello` of `<b>Hello</b>`, and tags stay in pairs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial

from engine.translation.formats.forms import Source, Writing
from engine.translation.formats.text import LONGEST, stretches
from engine.translation.parts import Part

# What is given back as it is, together: a step over more would hold everybody else up.
_MOST_TOGETHER = 1000  # pieces
_LONGEST_TOGETHER = LONGEST  # characters
_LETTER = re.compile(r"[^\W\d_]")


class Kind(Enum):
    """What a token of a run is."""

    TEXT = auto()  # what a reader sees as `text`; one character where that is not `raw`
    OPEN = auto()  # markup that begins something, `text` is its name
    CLOSE = auto()  # markup that ends it
    VOID = auto()  # markup that stands for itself; dispensable at either end
    ATOM = auto()  # what stays as it is and belongs to the sentence, such as code


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a run; the `raw` of all tokens, joined, is the run."""

    kind: Kind
    raw: str
    text: str = ""

    @property
    def blank(self) -> bool:
        """White space that stands as one blank in the text."""
        return self.kind is Kind.TEXT and self.text == " "


def plain(text: str) -> Token:
    """Text that is written as itself."""
    return Token(Kind.TEXT, text, text)


class Run:
    """The sentence, or several, that a reader is collecting.

    What becomes longer than a stretch of plain text may be is cut at a blank, as plain text is.
    """

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._tokens: list[Token] = []
        self._size = 0  # characters

    def add(self, tokens: Iterable[Token]) -> Iterator[Part]:
        """Take more tokens; yields what became too long to wait for its end."""
        for token in tokens:
            if not token.raw:
                continue
            self._tokens.append(token)
            self._size += len(token.raw)
            if self._size >= LONGEST and (token.blank or self._size >= 2 * LONGEST):
                yield from self.end()

    def end(self) -> Iterator[Part]:
        """The parts of what was collected: its text, and what surrounds it."""
        tokens, self._tokens, self._size = self._tokens, [], 0
        start, end = _core(tokens)
        core = tokens[start:end]
        if not any(token.kind is Kind.TEXT and _LETTER.search(token.text) for token in core):
            start = end = len(tokens)
        if start:
            yield Part(_raw(tokens[:start]))
        if start < end:
            yield _text_part(core, self._writing)
        if end < len(tokens):
            yield Part(_raw(tokens[end:]))

    def whole(self, tokens: Iterable[Token]) -> Iterator[Part]:
        """The parts of a run that has these tokens."""
        yield from self.add(tokens)
        yield from self.end()


def merged(parts: Iterable[Part]) -> Iterator[Part]:
    """The same document, with what is given back as it is in longer pieces."""
    waiting: list[str] = []
    size = 0
    for part in parts:
        if part.text is None and len(waiting) < _MOST_TOGETHER and size < _LONGEST_TOGETHER:
            waiting.append(part.raw)
            size += len(part.raw)
            continue
        if waiting:
            yield Part("".join(waiting))
            waiting.clear()
            size = 0
        yield part
    if waiting:
        yield Part("".join(waiting))


def text_tokens(
    raw: str, pattern: re.Pattern[str], read: Callable[[re.Match[str]], Iterable[Token]]
) -> Iterator[Token]:
    """Text cut where `pattern` finds something that `read` makes tokens of."""
    at = 0
    for found in pattern.finditer(raw):
        yield from map(plain, stretches(raw[at : found.start()]))
        yield from read(found)
        at = found.end()
    yield from map(plain, stretches(raw[at:]))


def _raw(tokens: Iterable[Token]) -> str:
    return "".join(token.raw for token in tokens)


def _core(tokens: Sequence[Token]) -> tuple[int, int]:
    """Where the run without blanks, lone markup and pairs around the whole of it lies."""
    partner = _partners(tokens)
    start, end = 0, len(tokens)

    def loose(at: int) -> bool:
        token = tokens[at]
        if token.kind in (Kind.OPEN, Kind.CLOSE):
            return partner.get(at) is None
        return token.kind is Kind.VOID or token.blank

    while start < end:
        if loose(start):
            start += 1
        elif loose(end - 1):
            end -= 1
        elif partner.get(start) == end - 1:
            start, end = start + 1, end - 1
        else:
            break
    return start, end


def _partners(tokens: Sequence[Token]) -> dict[int, int]:
    """The place of each opening token's end, and the other way round, where there is one."""
    partner: dict[int, int] = {}
    opened: list[int] = []
    waiting: dict[str, int] = {}  # how many of a name are open
    for at, token in enumerate(tokens):
        if token.kind is Kind.OPEN:
            opened.append(at)
            waiting[token.text] = waiting.get(token.text, 0) + 1
        elif token.kind is Kind.CLOSE and waiting.get(token.text):
            while opened:
                last = opened.pop()
                waiting[tokens[last].text] -= 1
                if tokens[last].text == token.text:
                    partner[last], partner[at] = at, last
                    break
    return partner


def _text_part(tokens: Sequence[Token], writing: Writing) -> Part:
    text: list[str] = []
    shown: list[str] = []  # without keeps
    keeps: list[tuple[int, int]] = []
    places: list[int] = []
    forms: list[str] = []
    at = seen = 0
    for token in tokens:
        if token.kind is Kind.TEXT:
            if token.raw != token.text:
                places.append(seen)
                forms.append(token.raw)
            shown.append(token.text)
            seen += len(token.text)
            piece = token.text
        else:
            piece = token.raw
            start = keeps.pop()[0] if keeps and keeps[-1][1] == at else at
            keeps.append((start, at + len(piece)))
        text.append(piece)
        at += len(piece)
    source = Source("".join(shown), places, forms)
    encoder = partial(writing.encoder, source)
    return Part(_raw(tokens), "".join(text), tuple(keeps), encoder, writing.reading)
