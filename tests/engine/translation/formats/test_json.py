"""JSON: values are translated, everything else comes out byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadRequest
from engine.translation import formats
from tests.engine.translation.formats.documents import CUTS, check, hostile, put_together, texts

VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12) | st.sampled_from(["Hello there", 'say "hi"\n', "a\\b/c", "😀 ok"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)  # fmt: skip


@given(VALUES, st.booleans(), st.sampled_from([None, 2, "\t"]), CUTS)
def test_every_document_comes_back_byte_for_byte(
    value: Any, ascii_only: bool, indent: int | str | None, cuts: list[int]
) -> None:
    check("json", json.dumps(value, ensure_ascii=ascii_only, indent=indent), cuts)


@given(VALUES, st.booleans())
def test_only_strings_change_and_stay_strings(value: Any, ascii_only: bool) -> None:
    document = json.dumps(value, ensure_ascii=ascii_only)
    translated = put_together(formats.parts("json", document), hostile)
    assert shape(json.loads(translated)) == shape(value)


def shape(value: Any) -> Any:
    """A value with all strings but keys alike."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return "" if isinstance(value, str) else value


@given(st.text(alphabet=st.sampled_from('{}[],:"\\ntrue0.1-e u00e9\n'), max_size=20))
def test_what_is_accepted_is_json_and_nothing_else(document: str) -> None:
    try:
        json.loads(document)
    except (ValueError, RecursionError):
        with pytest.raises(BadRequest, match="The text cannot be read as JSON: line "):
            formats.parts("json", document)
    else:
        check("json", document)


def test_escapes_are_read_and_come_back() -> None:
    document = r'{"a": "caf\u00e9 \"x\" \/ \ud83d\ude00\n2", "b": ["1", "\ud800 half"]}'
    assert texts("json", document) == ['café "x" / 😀\n2', "\\ud800 half"]
    assert put_together(formats.parts("json", document)) == document
    assert put_together(formats.parts("json", r'"a\/b \u00e9"'), lambda _: '"/é\t') == (
        r'"\"\/\u00e9\t"'
    )


def test_keys_stay_and_so_do_values_of_ignored_ones() -> None:
    document = '{"id": "word", "title": "Text", "meta": {"id": ["word", {"x": "y"}]}, "z": "Last"}'
    parts = formats.parts("json", document, frozenset({"id"}))
    assert [part.text for part in parts if part.text] == ["Text", "Last"]


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ("", "line 1, column 1 should be value"),
        ('{"a": 1,\n  b: 2}', "line 2, column 3 should be key"),
        ('{"a" 1}', "line 1, column 6 should be ':'"),
        ("[1, 2", "line 1, column 6 should be ',' or end"),
        ("[1] 2", "line 1, column 5 should be nothing"),
        ("[01]", "line 1, column 2 should be value or end"),
        ('"line\nbreak"', "line 1, column 1 should be value"),
        ("NaN", "line 1, column 1 should be value"),
        ("[1,]", "line 1, column 4 should be value"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(document: str, place: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        formats.parts("json", document)
    assert refusal.value.sentence == f"The text cannot be read as JSON: {place}."


def test_depth_is_no_matter() -> None:
    document = "[" * 100_000 + '"deep"' + "]" * 100_000
    assert texts("json", document) == ["deep"]
    assert put_together(formats.parts("json", document)) == document
