"""What a prompt may tell a model beside the text: tone, context, instructions, examples, terms.

The strings of users are parts of their own: those are tokenised without recognising control tokens,
as the text is, so none of them can close the turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from engine.generation import Hints, PromptPart

_FORMALITY = {
    "more": "Use a formal tone and formal forms of address.\n\n",
    "less": "Use an informal tone and informal forms of address.\n\n",
}


def parts(hints: Hints) -> Iterator[PromptPart]:
    """The hints as paragraphs, each with a blank line behind it; nothing for no hints."""
    if hints.context:
        yield PromptPart(
            "This is the context of the text below. Do not translate it:\n", trusted=True
        )
        yield PromptPart(hints.context)
        yield _own("\n\n")
    if hints.instructions:
        yield _own("Follow these instructions:\n")
        yield PromptPart(hints.instructions)
        yield _own("\n\n")
    if hints.examples:
        yield _own("These sentences were translated before; keep to them as far as they fit:\n")
        yield from _pairs(hints.examples)
    if hints.terms:
        yield from _terms(hints)
    if hints.formality:
        yield _own(_FORMALITY[hints.formality])


def _terms(hints: Hints) -> Iterator[PromptPart]:
    if hints.emphatic:
        yield PromptPart(
            "You must translate these terms exactly like this, letter by letter:\n", trusted=True
        )
    else:
        yield _own("Translate these terms like this:\n")
    yield from _pairs(hints.terms)


def _pairs(pairs: Iterable[tuple[str, str]]) -> Iterator[PromptPart]:
    for source, translation in pairs:
        yield PromptPart(source)
        yield _own(" -> ")
        yield PromptPart(translation)
        yield _own("\n")
    yield _own("\n")


def _own(text: str) -> PromptPart:
    return PromptPart(text, trusted=True)
