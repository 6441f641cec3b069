"""Cutting a text into segments that a model can translate, and keeping what lies between them.

Concatenating `gap + text` of all segments gives the input back, character for character. Segments
come lazily, and no step looks at more than a window of the text: the first sentence of a book is
ready as soon as a single one's, and the event loop is never held up.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import regex
import sentencex

logger = logging.getLogger("babelbrook.translation")

Unit = Literal["sentence", "paragraph"]
Fits = Callable[[str], bool]
Span = tuple[int, int]

# Characters that are looked at together, and the most in one segment. Bounds the time of a step:
# sentencex takes 2 to 4 ms for 1,500 characters of nothing but sentences of one Chinese letter and
# more than three times as long for twice as many; everything else here takes less.
_WINDOW = 1500

_SMALLEST = 16  # characters of a segment that is worth being halved

_LETTER = re.compile(r"[^\W\d_]")
_WORD_START = regex.compile(r"[\w¿¡]")
_TO_LAST_WORD = regex.compile(r"(?s:.*)[\w\p{M}]")
_TO_LAST_SENTENCE = regex.compile(r"(?s:.*)[\w\p{M}][.!?…。！？]*")
_SPACE = re.compile(r"\s")
_LINE_BREAKS = r"\n\r\v\f\x1c-\x1e\x85\u2028\u2029"  # those of str.splitlines
_LINE_BREAK = re.compile(rf"[{_LINE_BREAKS}]")
_UP_TO_LAST_LINE_BREAK = re.compile(rf"(?s:.*)[{_LINE_BREAKS}]")
# A blank line, or a character that ends more than a line. The atomic group keeps CR LF one break.
_PARAGRAPH_BREAK = re.compile(
    rf"(?>\r\n|[{_LINE_BREAKS}])[^\S{_LINE_BREAKS}]*[{_LINE_BREAKS}]|[\f\x1c\x1d\u2029]"
)
_UNIT_BREAK = {"sentence": _LINE_BREAK, "paragraph": _PARAGRAPH_BREAK}
_GRAPHEME = regex.compile(r"\X")
# What stands for a keep while borders are looked for: no letter, no blank, and for all its length
# one character as people see them, because the second one joins whatever it follows.
_KEEP, _KEEP_ON = "\ufffc", "\u034f"
_REST_OF_KEEP = re.compile(f"{_KEEP_ON}*")
_KEEPS_BEFORE_BLANK = re.compile(rf"(?:{_KEEP}{_KEEP_ON}*)+(?=\s|\Z)")
# White space, control characters and blanks without width, a byte order mark among them: where they
# surround a sentence they are no part of it, and small models are easily confused by them.
_UNSEEN = "\u200b\u2060\ufeff" + "".join(
    character
    for character in map(chr, range(0x3001))
    if character.isspace() or unicodedata.category(character) == "Cc"
)


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of text without surrounding white space, and what lies between it and the last one.

    The gap is given back as it is: white space and the like, and whatever holds no letter (numbers,
    punctuation, emoji). `start` is the text's offset in characters. Where the text is empty nothing
    is to be translated: so at the end of the input, and in gaps longer than a window.
    """

    gap: str
    text: str
    start: int


def segments(
    text: str, language: str | None, unit: Unit, fits: Fits, keeps: Sequence[Span] = ()
) -> Iterator[Segment]:
    """Cut `text` into segments of a unit, none longer than what `fits` accepts.

    Only a single character that does not fit comes all the same. `language` is a BCP-47 code whose
    abbreviations are known not to end a sentence; None is treated as English. No border falls into
    one of `keeps`, which are ascending and apart, and letters in them do not count as text.
    """
    seen = masked(text, keeps) if keeps else text
    done = 0
    for start, end in _spans(text, seen, (language or "en").split("-")[0], unit, fits):
        if _LETTER.search(seen, start, end):
            yield Segment(text[done:start], text[start:end], start)
        elif end - done >= _WINDOW:
            yield Segment(text[done:end], "", end)
        else:
            continue
        done = end
    if done < len(text):
        yield Segment(text[done:], "", len(text))


def around(segment: Segment, keeps: Iterable[Span], *, to_words: bool = True) -> Iterator[Segment]:
    """The same, with every one of `keeps` in a gap; the offsets are those of the whole text.

    With `to_words`, what stands between a keep and the next word stays there: a model that lost a
    comma would make one word of a placeholder and its neighbour.

    >>> list(around(Segment(" ", "see <b>, this", 1), [(5, 8)]))
    [Segment(gap=' ', text='see', start=1), Segment(gap=' <b>, ', text='this', start=10)]
    """
    text, first = segment.text, segment.start
    gap, done = segment.gap, 0
    for start, end in [*keeps, (first + len(text), first + len(text))]:
        run, keep = text[done : start - first], text[start - first : end - first]
        after_keep, before = (done > 0, keep) if to_words else (False, "")
        from_word, to_word = _body(run, after_keep=after_keep, keep=before)
        if from_word < to_word:
            body = run[from_word:to_word]
            yield Segment(gap + run[:from_word], body, first + done + from_word)
            gap = run[to_word:]
        else:
            gap += run
        gap += keep
        done = end - first
    if gap:
        yield Segment(gap, "", first + len(text))


def _body(run: str, *, after_keep: bool, keep: str) -> Span:
    """What of a run is to be translated: from its first word on where it comes after a keep.

    Before one it ends with its last word, or the full stop behind that, but not where the keep
    itself begins like a word.
    """
    if not _LETTER.search(run):
        return 0, 0
    start = len(run) - len(run.lstrip(_UNSEEN))
    end = len(run.rstrip(_UNSEEN))
    if after_keep and (word := _WORD_START.search(run)):
        start = word.start()
    if keep:
        like_a_word = keep[0].isalnum() or keep[0] == "$"
        if found := (_TO_LAST_WORD if like_a_word else _TO_LAST_SENTENCE).match(run):
            end = found.end()
    return start, end


def halves(segment: Segment, language: str | None) -> list[Segment]:
    """The same in two, cut at the best border near the middle; fewer where there is nothing to cut.

    A border between sentences is the best one.
    """
    text = segment.text
    if len(text) < _SMALLEST:
        return []
    ends = _sentence_ends(text, 0, len(text), (language or "en").split("-")[0])
    place = segment.start + _cut(text, 0, len(text), ends, near=len(text) // 2)
    return list(around(segment, [(place, place)]))


def masked(text: str, keeps: Iterable[Span], first: str = _KEEP) -> str:
    """The text with other characters in the place of keeps, as many as these have."""
    pieces: list[str] = []
    done = 0
    for start, end in keeps:
        pieces += text[done:start], first, _KEEP_ON * (end - start - 1)
        done = end
    return "".join([*pieces, text[done:]])


def _spans(text: str, seen: str, language: str, unit: Unit, fits: Fits) -> Iterator[Span]:
    """Spans of the segments' texts and, at least once a window, of what holds no letter."""
    at = 0
    while at < len(text):
        letter = _LETTER.search(seen, at, at + _WINDOW)
        if letter is None:
            end = min(at + _WINDOW, len(text))
            if rest := _REST_OF_KEEP.match(seen, end):
                end = rest.end()
            yield at, end
            at = end
            continue
        # Lines without a letter are left out at once: each by itself would take long.
        before = _UP_TO_LAST_LINE_BREAK.match(seen, at, letter.start())
        start = before.end() if before else at
        at, ends = _block(seen, start, language, unit)
        for piece in pairwise((start, *ends)) if unit == "sentence" else ((start, at),):
            if _LETTER.search(seen, *piece):
                yield from _parts(text, seen, *piece, ends, fits)
            else:
                yield piece


def _block(text: str, start: int, language: str, unit: Unit) -> tuple[int, list[int]]:
    """The end of the line or paragraph at `start`, and the ends of its sentences.

    One that is longer than a window ends at the window's last sentence border: the last sentence
    may go on behind the window, so the next block begins with it.
    """
    limit = min(start + _WINDOW, len(text))
    found = _UNIT_BREAK[unit].search(text, start, limit)
    end = found.start() if found else limit
    ends = _sentence_ends(text, start, end, language)
    if found is None and limit < len(text):
        if len(ends) == 1:
            ends = [_cut(text, start, limit, (), near=limit)]
        else:
            ends.pop()
    return ends[-1], ends


def _sentence_ends(text: str, start: int, end: int, language: str) -> list[int]:
    """Where the sentences of text[start:end] end, the last of them at `end`."""
    # Every blank as a plain one: sentencex 1.0 panics where white space of more than one byte
    # stands between an initial and a full stop ("A\u00a0.").
    window = _SPACE.sub(" ", text[start:end])
    try:
        found = sentencex.get_sentence_boundaries(language, window)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # Rust's; no Exception, and not to be imported
            raise
        logger.warning("sentencex failed on %d characters of '%s'.", len(window), language)
        return [end]
    ends = (_behind_keeps(text, start + sentence["end_index"], end) for sentence in found)
    return [place for place in ends if place < end and _between_characters(text, place)] + [end]


def _behind_keeps(text: str, place: int, end: int) -> int:
    """A sentence's end, or that of what closes behind it (`</b>`): what a blank follows."""
    found = _KEEPS_BEFORE_BLANK.match(text, place, end)
    return found.end() if found else place


def _parts(
    text: str, seen: str, start: int, end: int, borders: Iterable[int], fits: Fits
) -> Iterator[Span]:
    """The span without surrounding white space where it fits, else its halves, halved in turn.

    Halves rather than a full part and a rest: both are long enough to make sense.
    """
    body = seen[start:end]
    start, end = end - len(body.lstrip(_UNSEEN)), start + len(body.rstrip(_UNSEEN))
    if end - start <= 1 or not _LETTER.search(seen, start, end) or fits(text[start:end]):
        if start < end:
            yield start, end
        return
    cut = _cut(seen, start, end, borders, near=(start + end) // 2)
    yield from _parts(text, seen, start, cut, borders, fits)
    yield from _parts(text, seen, cut, end, borders, fits)


def _cut(text: str, start: int, end: int, borders: Iterable[int], *, near: int) -> int:
    """The best place strictly inside a span, as near to `near` as can be.

    The best is one of `borders`, then a line's end, a blank, a border between characters as people
    see them, and any place at last.
    """
    line_ends = (found.end() for found in _LINE_BREAK.finditer(text, start, end))
    blanks = (found.end() for found in _SPACE.finditer(text, start, end))
    graphemes = (found.end() for found in _GRAPHEME.finditer(text, start, end))
    for places in (borders, line_ends, blanks, graphemes):
        inside = sorted((p for p in places if start < p < end), key=lambda p: abs(p - near))
        for place in inside:
            if places is graphemes or _between_characters(text, place):
                return place
    return min(near, end - 1)


def _between_characters(text: str, place: int) -> bool:
    """False before a combining mark, a variation selector or the like: parts of what precedes."""
    found = _GRAPHEME.match(text, place - 1, place + 1)
    return found is None or found.end() == place
