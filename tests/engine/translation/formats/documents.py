"""What is done to documents in these tests, and what every format must hold to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

from hypothesis import strategies as st

from engine.translation import formats
from engine.translation.parts import Part

# Text that would be markup in one format or another, if it were not escaped.
HOSTILE = "a <b & <i>c</i> &lt; \"d\" 'e' --> ]]> *f* _g_ `h`\n# i\n\n- j | k\\n [l](m) {n} 1. o"


def put_together(
    parts: Iterable[Part], change: Callable[[str], str] = str, cuts: Iterable[int] = ()
) -> str:
    """The document with its text changed, the runs between keeps cut at `cuts` once more."""
    pieces: list[str] = []
    for part in parts:
        if part.text is None:
            pieces.append(part.raw)
            continue
        encode, done = part.encoder(), 0
        for start, end in (*part.keeps, (len(part.text), len(part.text))):
            if done < start:
                run = change(part.text[done:start])
                places = sorted({0, *(cut for cut in cuts if cut < len(run)), len(run)})
                pieces += [encode(run[slice(*span)]) for span in pairwise(places)]
            pieces.append(part.text[start:end])
            done = end
    return "".join(pieces)


def hostile(text: str) -> str:
    """A translation that looks like markup all over, between blanks that stay."""
    body = text.strip()
    return text.replace(body, HOSTILE) if body else text


def check(format_: str, document: str, cuts: Iterable[int] = ()) -> None:
    """Nothing is lost, keeps lie where they should, and an identity translation gives it back."""
    parts = list(formats.parts(format_, document))
    assert "".join(part.raw for part in parts) == document
    for part in parts:
        ends = [place for keep in part.keeps for place in keep]
        assert ends == sorted(set(ends))
        assert not ends or (ends[0] >= 0 and ends[-1] <= len(part.text or ""))
    assert put_together(parts) == document
    assert put_together(parts, cuts=cuts) == document
    assert put_together(parts, hostile, cuts) == put_together(parts, hostile)


def texts(format_: str, document: str) -> list[str]:
    """What a model would be given to translate, keeps included."""
    return [part.text for part in formats.parts(format_, document) if part.text is not None]


CUTS = st.lists(st.integers(1, 40), max_size=4)
