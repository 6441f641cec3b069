"""Frames of event streams: whatever is sent, a reader that follows the specification gets it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers import sse
from tests.clients.awkward import TEXTS

# No lone surrogates: JSON with those is refused when it comes in.
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
# What matters to parsers comes often.
AWKWARD = st.lists(
    st.sampled_from([*'\r\n\0: \ufeff\u2028\u2029\x85"\\{}', "data", "[DONE]", "\n\n"])
)
SOME_TEXT = st.one_of(ANY_TEXT, AWKWARD.map("".join))


def read(stream: bytes) -> list[tuple[str, str]]:
    """Event names and data, by the algorithm of the HTML standard, section 9.2.6."""
    text = stream.decode("utf-8").removeprefix("\ufeff")
    events = []
    name, data = "", ""
    for line in re.split("\r\n|\r|\n", text):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                events.append((name or "message", data.removesuffix("\n")))
            name, data = "", ""
        elif field == "event":
            name = value
        elif field == "data":
            data += f"{value}\n"
        else:
            assert field == "", f"a line that is no field of ours: {line!r}"
    assert not data, "the last frame has no end"
    return events


@given(st.lists(SOME_TEXT, max_size=5))
def test_texts_come_out_as_they_went_in(texts: list[str]) -> None:
    stream = "".join(map(sse.data, texts)) + sse.DONE
    *events, end = read(stream.encode())
    assert [(name, json.loads(data)) for name, data in events] == [("message", t) for t in texts]
    assert end == ("message", "[DONE]")


@given(st.sampled_from(["usage", "checks", "segment"]), st.dictionaries(SOME_TEXT, SOME_TEXT))
def test_objects_come_out_under_their_name(name: str, value: dict[str, Any]) -> None:
    ((got, data),) = read(sse.event(name, value).encode())
    assert (got, json.loads(data)) == (name, value)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_frame_is_one_line_to_everybody(text: str) -> None:
    frame = sse.data(text)
    assert frame.endswith("\n\n")
    assert len(frame.splitlines()) == 2  # the second is empty
    assert json.loads(frame.removeprefix("data: ")) == text


def test_other_characters_stand_for_themselves() -> None:
    assert sse.data("去年の/春 🌸") == 'data: "去年の/春 🌸"\n\n'
