"""Bringing translated text back into a format, the source's own way of writing first.

As long as what comes is the source's text itself, it is written as the source wrote it: so an
identity translation gives the document back byte for byte, whatever is unusual in it. From the
first other character on, text is new: what could be taken for markup is escaped, and the nth blank
or entity of a kind takes the form that the source's nth had. New text can never become markup.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from engine.translation.parts import Reading

_AMPERSAND = "amp;"  # makes an entity of an ampersand that is out already


@dataclass(frozen=True, slots=True)
class Source:
    """The text of a part without its keeps, and how single characters of it were written.

    `forms` are the source's for the characters of `text` at `places` (ascending offsets); all
    others were written as themselves.
    """

    text: str
    places: Sequence[int] = ()
    forms: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Writing:
    """What of new text a format cannot write as itself, and what it writes instead.

    `reading` is that of the parts (see `engine.translation.parts`).
    """

    escapes: Mapping[str, str] = field(default_factory=dict)
    reading: Reading | None = None

    def encoder(self, source: Source) -> SourceEncoder:
        """The encoder of one part."""
        return SourceEncoder(self, source)


class SourceEncoder:
    """The encoder of a part (see `engine.translation.parts`): called with one run after another."""

    def __init__(self, writing: Writing, source: Source) -> None:
        self._escapes = writing.escapes
        self._source = source
        self._at = 0  # characters of the source that came so far
        self._form = 0  # the next of the source's forms
        self._left: dict[str, deque[str]] | None = None  # forms for new text, once there is some

    def __call__(self, text: str) -> str:
        if self._left is not None:
            return self.new(text)
        source = self._source.text
        if source.startswith(text, self._at):
            return self._as_written(len(text))
        pairs = zip(source[self._at : self._at + len(text)], text, strict=False)
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        written = self._as_written(same)
        self._left = self._forms_left()
        self.begin_new()
        return written + self._bridge(text[same]) + self.new(text[same:])

    def begin_new(self) -> None:
        """Called once, before the first new character."""

    def new(self, text: str) -> str:
        """Text that is not the source's."""
        return "".join(map(self.written, text))

    def written(self, character: str) -> str:
        """One character of new text."""
        escape = self._escapes.get(character, character)
        left = (self._left or {}).get(character)
        form = left.popleft() if left else escape
        return escape if form == character else form

    def so_far(self) -> str:
        """What was written of the source before the first new character."""
        return SourceEncoder(Writing(), self._source)(self._source.text[: self._at])

    def _as_written(self, length: int) -> str:
        """The next characters of the source, as they stand there."""
        source, end = self._source, self._at + length
        pieces: list[str] = []
        while self._form < len(source.places) and (place := source.places[self._form]) < end:
            pieces += source.text[self._at : place], source.forms[self._form]
            self._at, self._form = place + 1, self._form + 1
        pieces.append(source.text[self._at : end])
        self._at = end
        return "".join(pieces)

    def _forms_left(self) -> dict[str, deque[str]]:
        """How the rest of the source writes the characters that it does not always write alike."""
        text = self._source.text
        own = {
            place: form
            for place, form in zip(self._source.places, self._source.forms, strict=True)
            if place >= self._at
        }
        left: dict[str, deque[str]] = {text[place]: deque() for place in own}
        if left:
            for place in range(self._at, len(text)):
                if (character := text[place]) in left:
                    left[character].append(own.get(place, character))
        return left

    def _bridge(self, follows: str) -> str:
        """What keeps the end of the source's text and the first new character apart."""
        bare = self._at and self._source.text[self._at - 1] == "&" and "&" in self._escapes
        if not bare or not (follows == "#" or follows.isalnum()):
            return ""
        bare = not self._form or self._source.places[self._form - 1] != self._at - 1
        return _AMPERSAND if bare else ""
