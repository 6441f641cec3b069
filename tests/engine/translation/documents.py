"""A small format of its own for tests: what every format must be able to say with `Part`s.

`&`, `<` and line breaks are escaped, quotation marks become opening and closing ones in turn, and
tags inside a text are kept.
"""

from __future__ import annotations

from itertools import accumulate

from hypothesis import strategies as st

from engine.translation.parts import Encoder, Part

Runs = list[tuple[str, bool]]  # texts, and whether each is a keep


def encoder() -> Encoder:
    """Escapes, with a state that goes on from run to run."""
    quotes = 0

    def encode(text: str) -> str:
        nonlocal quotes
        out = []
        for character in text:
            if character == '"':
                out.append("&open;" if quotes % 2 == 0 else "&close;")
                quotes += 1
            else:
                out.append({"&": "&amp;", "<": "&lt;", "\n": "&#10;"}.get(character, character))
        return "".join(out)

    return encode


def part(runs: Runs) -> Part:
    """A part with text, made of runs and keeps."""
    encode = encoder()
    raw = "".join(text if keep else encode(text) for text, keep in runs)
    ends = list(accumulate(len(text) for text, _ in runs))
    keeps = [
        (end - len(text), end)
        for (text, keep), end in zip(runs, ends, strict=True)
        if keep and text
    ]
    return Part(raw, "".join(text for text, _ in runs), tuple(keeps), encoder)


def raw(text: str) -> Part:
    """A part without text."""
    return Part(text)


KEPT = ["{name}", "https://example.com/a?b&c=(d)", "%s", "`a. B`", "<0>", "me@example.com", "$X"]
_TEXTS = (
    st.text(st.sampled_from('ab.!? \n"<&é\u0301日。1') | st.characters(codec="utf-8"))
    | st.sampled_from(KEPT)
    | st.sampled_from(KEPT).map("See {0}, or. {0} here".format)
)
_KEEPS = st.sampled_from(["<b>", "</b>", "<a href='x. Y!\n'>", "<br/>", "<i\u0301>"])
_RUNS = st.lists(st.tuples(_TEXTS, st.just(False)) | st.tuples(_KEEPS, st.just(True)), max_size=8)
DOCUMENTS = st.lists(_RUNS.map(part) | st.sampled_from(["<p>", "</p>\n", ""]).map(raw), max_size=5)
