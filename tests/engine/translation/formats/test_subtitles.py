"""Subtitles: what is spoken is translated, times and settings come out byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.translation import formats
from tests.engine.translation.formats.documents import CUTS, check, hostile, put_together, texts

SRT = """\
1
00:00:01,000 --> 00:00:04,000 X1:40 X2:600
<i>I had a great time
visiting Tokyo.</i>
- Really?
- {\\an8}Yes.

2
00:00:05,500 --> 00:00:07,000

3
00:00:08,000 --> 00:00:09,000
1984
was a year
"""
VTT = """\
WEBVTT - A title that stays

NOTE
This note stays

STYLE
::cue { color: red }

intro
00:01.000 --> 00:04.000 align:start position:10%
<v Mary>Tom &amp; I <c.loud>really</c> like
it <00:02.000>here.

01:00:05.000 --> 01:00:07.000
5 &lt; 6, said nobody
"""
LINES = st.sampled_from(
    ["1", "", "00:00:01,000 --> 00:00:02,000", "00:01.000 --> 00:02.000 line:0", "WEBVTT", "NOTE x",
     "Hello there.", "go on", "- Who?", "<i>It", "is</i>", "<v Tom>", "{\\an8}", "&amp; &lrm;", "<",
     "  two  blanks ", "a --> b", "日本語。", "<00:01.000>x", "\t", "&foo;"]
)  # fmt: skip
DOCUMENTS = st.lists(
    st.tuples(LINES, st.sampled_from(["\n", "\r\n", "\r", ""])).map("".join), max_size=20
).map("".join)


@pytest.mark.parametrize("format_", ["srt", "vtt"])
@given(document=DOCUMENTS, cuts=CUTS)
def test_every_document_comes_back_byte_for_byte(
    format_: str, document: str, cuts: list[int]
) -> None:
    check(format_, document, cuts)


def test_a_sentence_over_lines_is_one_text_and_speakers_are_apart() -> None:
    assert texts("srt", SRT) == [
        "I had a great time visiting Tokyo.",
        "- Really?",
        "- {\\an8}Yes.",
        "1984 was a year",
    ]
    assert texts("vtt", VTT) == [
        "Tom & I <c.loud>really</c> like it <00:02.000>here.",
        "5 < 6, said nobody",
    ]


@pytest.mark.parametrize(("format_", "document"), [("srt", SRT), ("vtt", VTT)])
def test_no_translation_ends_a_cue_or_begins_one(format_: str, document: str) -> None:
    translated = put_together(formats.parts(format_, document), hostile)
    assert frame(translated) == frame(document)
    assert len(translated.splitlines()) <= len(document.splitlines())


def frame(document: str) -> list[str]:
    """The lines of times with what stands directly around them, and empty lines."""
    return [line for line in document.splitlines() if not line or (line[:1].isdigit()
            and line.endswith(("000", "X2:600", "10%")))]  # fmt: skip


def test_lines_break_where_the_source_did() -> None:
    document = "1\r\n00:00:01,000 --> 00:00:02,000\r\nOne two\r\nthree four\r\n"
    changed = put_together(formats.parts("srt", document), lambda _: "Eins zwei drei vier.")
    assert changed.endswith(",000\r\nEins zwei\r\ndrei vier.\r\n")
