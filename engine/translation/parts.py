"""What a document is made of, whatever its format: text to translate, and what is given back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

Encoder = Callable[[str], str]
Run = tuple[str, bool]  # a run of text, and whether it is markup
Reading = Callable[[Iterable[Run]], object]


def plain() -> Encoder:
    """The encoder of plain text: every character as itself."""
    return str


@dataclass(frozen=True, slots=True)
class Part:
    """A run of a document. The `raw` of all parts, joined, is the document.

    Where a format has places for translations (`po`, `xliff`) it is the document with the source in
    those that are empty.

    `text` is what a reader sees of it, escapes and entities decoded; None where nothing is to be
    translated and `raw` goes out as it is. `keeps` are spans of `text` in characters, ascending and
    apart, that come out as they are and equally often: markup in a sentence, code, placeholders.

    `encoder` makes the function that brings translated text back into the format. That function is
    called with one run after the other, in order, and never with a keep; it may carry state from
    run to run (the form of the third quotation mark), and wherever a text is cut into runs, the
    joined result is the same. Encoding `text` itself, keeps aside, gives `raw` back.

    `reading` says what runs of text and markup mean, as something to compare, where that depends on
    what stands beside the markup; None where it does not.
    """

    raw: str
    text: str | None = None
    keeps: tuple[tuple[int, int], ...] = ()
    encoder: Callable[[], Encoder] = plain
    reading: Reading | None = None
