"""White space around and inside a model's answer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.translation.answer import Answer


def taken(*pieces: str) -> list[str]:
    answer = Answer()
    return [answer.take(piece) for piece in pieces]


def test_white_space_around_the_answer_is_dropped() -> None:
    assert taken(" ", "\n", " Ja", ".", "\n", "\n") == ["", "", "Ja", ".", "", ""]


def test_white_space_inside_the_answer_is_kept() -> None:
    assert taken("Ja.", "\n", "  ", "Nein.") == ["Ja.", "", "", "\n  Nein."]


@pytest.mark.parametrize("blank", ["\t", "\r\n", "\xa0", "\u3000", "\u2028"])
def test_white_space_of_every_kind_counts(blank: str) -> None:
    assert taken(f"{blank}a{blank}b{blank}", blank) == [f"a{blank}b", ""]


def test_an_answer_of_white_space_is_empty() -> None:
    answer = Answer()
    assert [answer.take(piece) for piece in (" ", "\n", "")] == ["", "", ""]
    assert answer.empty


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from("ab \n\u3000"), max_size=4)))
def test_pieces_join_to_the_stripped_answer(pieces: list[str]) -> None:
    assert "".join(taken(*pieces)) == "".join(pieces).strip()
