"""Stop strings, wherever the text is cut into pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.chat.stops import Stops

LETTERS = st.text("ab\n", max_size=12)


@given(pieces=st.lists(LETTERS, max_size=6), strings=st.lists(LETTERS, max_size=3))
def test_the_text_ends_where_the_first_of_them_begins(
    pieces: list[str], strings: list[str]
) -> None:
    stops = Stops(strings)
    given = ""
    for piece in pieces:
        given += stops.take(piece)
        if stops.found:
            break
    given += stops.rest()
    text = "".join(pieces)
    wanted = [string for string in strings if string]
    places = [place for place in map(text.find, wanted) if place >= 0]
    assert stops.found == bool(places)
    # Pieces are looked at one by one: a longer string that begins earlier may still be incomplete.
    assert text.startswith(given)
    assert not any(string in given for string in wanted)
    if not places:
        assert given == text


@given(pieces=st.lists(LETTERS, max_size=6), string=LETTERS.filter(bool))
def test_one_string_cuts_exactly(pieces: list[str], string: str) -> None:
    stops = Stops([string])
    given = "".join([*map(stops.take, pieces), stops.rest()])
    assert given == "".join(pieces).split(string)[0]


def test_what_cannot_be_a_beginning_does_not_wait() -> None:
    stops = Stops(["###"])
    assert [stops.take(piece) for piece in ("one#", "two", "##", "x#", "##")] == [
        *("one", "#two", "", "##x", ""),
    ]
