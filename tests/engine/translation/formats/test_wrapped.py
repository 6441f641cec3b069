"""Plain text whose sentences go over its lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.translation.formats import wrapped
from tests.engine.translation.formats.documents import CUTS, put_together

TEXTS = st.text(st.sampled_from(list("ab. \n\r\t`~é")), max_size=60)


@given(TEXTS, CUTS)
def test_a_text_comes_back_byte_for_byte(text: str, cuts: list[int]) -> None:
    parts = list(wrapped.parts(text))
    assert "".join(part.raw for part in parts) == text
    assert put_together(parts, cuts=cuts) == text


def test_a_paragraph_is_one_text_and_breaks_behind_as_many_words() -> None:
    document = "One two\nthree.\r\n  Four.\n \n\tFive.\n```\nx = 1\n\ny\n```\nSix.\n"
    parts = list(wrapped.parts(document))
    assert [part.text for part in parts if part.text is not None] == [
        "One two three. Four.",
        "Five.",
        "Six.",
    ]
    longer = put_together(parts, lambda text: text.replace("One", "Un deux"))
    assert longer.startswith("Un deux\ntwo\r\n  three. Four.\n \n\tFive.\n```\nx = 1")
