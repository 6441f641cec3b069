"""Plain text: nothing of it is lost, and borders of stretches are borders of the text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadRequest
from engine.translation import formats


@given(st.text())
def test_a_short_text_is_one_part(text: str) -> None:
    assert [part.text for part in formats.parts("text", text)] == [text] * bool(text)


@pytest.mark.parametrize("end", ["\n\n", "\n", "! ", "。", " "])
def test_a_long_text_is_cut_at_the_best_border_there_is(end: str) -> None:
    text = ("x y" * 1000 + "x" * 3000 + end) * 5
    if end != " ":
        text += " "
    stretches = [part.raw for part in formats.parts("text", text)]
    assert "".join(stretches) == text
    assert len(stretches) >= 5
    assert all(stretch.endswith(end) for stretch in stretches[:-1])


def test_a_text_without_a_border_is_cut_all_the_same() -> None:
    text = "x" * 100_000
    stretches = [part.raw for part in formats.parts("text", text)]
    assert "".join(stretches) == text
    assert max(map(len, stretches)) <= 8000


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadRequest, match="'format' must be one of text, html"):
        formats.parts("docx", "Hello.")


@pytest.mark.parametrize("end", ["\n", ""])
def test_code_between_fences_is_no_text(end: str) -> None:
    code = f"  ```python\nprint('Hello.')\n\n  ````{end}"
    document = f"See.\n{code}"
    after = "Then go." if end else ""
    found = [(part.raw, part.text is not None) for part in formats.parts("text", document + after)]
    assert found == [("See.\n", True), (code, False), *([(after, True)] if after else [])]


@pytest.mark.parametrize("text", ["```", "```\n", "See.\n```\nand ``` go.\n", "a ```b``` c\n```d"])
def test_a_fence_that_nobody_closes_is_text(text: str) -> None:
    assert [part.text for part in formats.parts("text", text)] == [text]
