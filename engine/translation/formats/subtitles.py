"""SubRip and WebVTT: what is spoken is translated; numbers, times and settings stay.

The lines of a cue are one text where a sentence goes over them; a line that begins with a dash
(somebody else speaks) or follows the end of a sentence is one of its own.

Sources: https://www.w3.org/TR/webvtt1/ and, as SubRip has no standard, its files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.translation.formats import html
from engine.translation.formats.forms import Writing
from engine.translation.formats.runs import Kind, Run, Token, merged, text_tokens
from engine.translation.parts import Part

_MOST_LINES = 100  # of one text; no cue has as many, but a bomb may
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|\Z)")
_TIMES = re.compile(
    r"\s*(?:\d+:)?\d{1,2}:\d{1,2}[.,]\d{1,3}\s*-->\s*(?:\d+:)?\d{1,2}:\d{1,2}[.,]\d{1,3}"
)
_OWN_LINE = re.compile(r"\s*(?:<[^>]*>\s*)*[-–—‐]")
_SENTENCE_END = frozenset(".!?…。！？♪:;")
_CLOSING = frozenset("\"'”’»)]")  # may stand behind it
_BREAK = r"[ \t]*(?:\r\n|\n|\r)[ \t]*"
_BLANKS = rf"{_BREAK}|[ \t]{{2,}}|\t|(?<![^ \t]) | (?![^ \t])"
_TAG = r"</?[A-Za-z][^<>]*>|<\d[\d:.]*>"
_SRT = re.compile(rf"{_BLANKS}|{_TAG}|\{{\\[^{{}}]*\}}")
_VTT = re.compile(rf"{_BLANKS}|{_TAG}|</?[^<>]*>|&(?:#\w+|\w+);")
_ONE_LINE = {"\n": " ", "\r": " "}
_SRT_WRITING = Writing(_ONE_LINE)
_VTT_WRITING = Writing({**_ONE_LINE, "&": "&amp;", "<": "&lt;", ">": "&gt;"})


def srt(text: str, ignore: frozenset[str] = frozenset()) -> Iterator[Part]:
    """The parts of a SubRip file."""
    return merged(_parts(text, _SRT, _SRT_WRITING))


def vtt(text: str, ignore: frozenset[str] = frozenset()) -> Iterator[Part]:
    """The parts of a WebVTT file."""
    return merged(_parts(text, _VTT, _VTT_WRITING))


def _parts(text: str, pattern: re.Pattern[str], writing: Writing) -> Iterator[Part]:
    """Everything up to the times of a cue stays, then come its lines up to an empty one."""
    spoken: list[str] = []
    in_cue = False
    for line in _lines(text):
        times = _TIMES.match(line) is not None
        if in_cue and line.strip() and not times:
            if spoken and (_ends_before(spoken[-1], line) or len(spoken) >= _MOST_LINES):
                yield from _speech(spoken, pattern, writing)
                spoken = []
            spoken.append(line)
            continue
        yield from _speech(spoken, pattern, writing)
        spoken, in_cue = [], times
        yield Part(line)
    yield from _speech(spoken, pattern, writing)


def _lines(text: str) -> Iterator[str]:
    return (found[0] for found in _LINE.finditer(text) if found[0])


def _ends_before(line: str, following: str) -> bool:
    return _ends_sentence(line) or _OWN_LINE.match(following) is not None


def _ends_sentence(line: str) -> bool:
    """Whether a line ends with a sentence, whatever tags follow.

    From behind and in linear time: no pattern does that for a line of nothing but `.<`.
    """
    end = _without_blanks(line, len(line))
    while line[end - 1 : end] == ">":
        start = line.rfind("<", 0, end)
        if start < 0 or line.find(">", start) < end - 1:
            break
        end = _without_blanks(line, start)
    while end and line[end - 1] in _CLOSING:
        end -= 1
    return end > 0 and line[end - 1] in _SENTENCE_END


def _without_blanks(line: str, end: int) -> int:
    while end and line[end - 1].isspace():
        end -= 1
    return end


def _speech(lines: list[str], pattern: re.Pattern[str], writing: Writing) -> Iterator[Part]:
    return Run(writing).whole(text_tokens("".join(lines), pattern, _read_special))


def _read_special(found: re.Match[str]) -> Iterator[Token]:
    raw = found[0]
    if raw.isspace():
        yield Token(Kind.TEXT, raw, " ")
    elif raw.startswith("&"):
        yield from html.tokens(raw)
    elif raw.startswith("<") and raw[1:2].isalpha():
        yield Token(Kind.OPEN, raw, re.split(r"[\s.>]", raw[1:])[0].lower())
    elif raw.startswith("</"):
        yield Token(Kind.CLOSE, raw, raw[2:-1].strip().lower())
    else:
        yield Token(Kind.VOID, raw)
