"""What a translation must not change: placeholders, tags, addresses, and a glossary's terms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from engine.translation import keeps
from engine.translation.checks.pair import Pair
from engine.translation.glossary import stands_in


def placeholders(pair: Pair) -> str | None:
    """`{name}`, `%s`, `$VAR` and code, all of them unchanged and equally often."""
    return _changed(pair, lambda keep: not _is_tag(keep) and not _is_address(keep))


def tags(pair: Pair) -> str | None:
    """`<b>`, `<0>`."""
    return _changed(pair, _is_tag)


def urls(pair: Pair) -> str | None:
    """Addresses of pages and of people."""
    return _changed(pair, _is_address)


def terms(pair: Pair) -> str | None:
    """The glossary's word for each of its terms that the source has."""
    translation = pair.translation.casefold()
    for term, wanted in pair.terms:
        if wanted.casefold() not in translation and stands_in(term, pair.source):
            return f"The glossary has '{wanted}' for '{term}'."
    return None


def _changed(pair: Pair, kind: Callable[[str], bool]) -> str | None:
    ours, theirs = _found(pair.source, kind), _found(pair.translation, kind)
    if ours == theirs:
        return None
    if lost := ours - theirs:
        return f"Missing in the translation: {', '.join(lost)[:200]}"
    return f"Not in the source: {', '.join(theirs - ours)[:200]}"


def _found(text: str, kind: Callable[[str], bool]) -> Counter[str]:
    spans = keeps.find(text)
    return Counter(keep for start, end in spans if kind(keep := text[start:end]))


def _is_tag(keep: str) -> bool:
    return keep.startswith("<")


def _is_address(keep: str) -> bool:
    return keep[0].isalnum()
