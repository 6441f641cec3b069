"""Numbers and dates: all of the source's are there, and no others.

Numbers may be written in words on either side, so what words may stand for is no fault: small
numbers, and anything where number words are about.
"""

from __future__ import annotations

import re
import unicodedata

from engine.translation.checks.pair import Pair

_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"\d+(?:[.,'’\u00a0\u202f ]\d{3})*(?:[.,]\d+)?")
_DATE = re.compile(r"(?<!\d)(\d{1,4})[./-](\d{1,2})[./-](\d{1,4})(?!\d)")
_IN_WORDS = 12  # numbers up to it are often written in words
_CJK = re.compile(r"[〇一二三四五六七八九十百千万萬億亿半両两零]")
_WORDS = re.compile(
    r"\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twent\w+|thirt\w+"
    r"|fort(?:y|ies)\w*|fift\w+|sixt\w+|sevent\w+|eight\w+|ninet\w+|hundreds?|thousands?|millions?"
    r"|billions?|dozens?|half|quarter|once|twice|thrice|couple|pair|both|double|triple|first|second"
    r"|third|fourth|\w+th|noon|midnight|january|february|march|april|may|june|july|august|september"
    r"|october|november|december|single)\b",
    re.IGNORECASE,
)
_TOLD = 5  # numbers that a message names


def numbers(pair: Pair) -> str | None:
    """A number of the source is missing, or one that it does not have is there."""
    source, translation = pair.source, pair.translation
    if not _DIGIT.search(source) and not _DIGIT.search(translation):
        return None
    ours, theirs = _values(source), _values(translation)
    lost = [] if _CJK.search(translation) else _missing(ours, theirs, above=_IN_WORDS)
    if lost:
        return f"Missing in the translation: {', '.join(sorted(lost)[:_TOLD])}."
    above = 1 if pair.source_lang == "en" else _IN_WORDS
    invented = [] if _has_words(pair) else _missing(theirs, ours, above=above)
    if invented:
        return f"Not in the source: {', '.join(sorted(invented)[:_TOLD])}."
    return None


def dates(pair: Pair) -> str | None:
    """A date in figures has another day, month or year."""
    ours = _DATE.findall(pair.source)
    if not ours:
        return None
    have = {int(each[:20]) for each in re.findall(r"\d+", pair.translation)}
    for date in ours:
        year = max(date, key=lambda field: (len(field), int(field)))
        day_and_month = list(date)
        day_and_month.remove(year)
        if int(year) not in have or not have.intersection(map(int, day_and_month)):
            return f"The date {'-'.join(date)} is another one in the translation, or missing."
    return None


def _values(text: str) -> set[str]:
    """The numbers of a text as plain digits, without separators; those in figures alone."""
    found = set()
    for number in _NUMBER.findall(text):
        digits = "".join(
            str(unicodedata.decimal(character)) for character in number if character.isdecimal()
        )
        found.add(digits.lstrip("0") or "0")
    return found


def _missing(wanted: set[str], there: set[str], *, above: int) -> set[str]:
    """Those above a number that are wanted and not there, nor inside of what is (20:15, 2015)."""
    everything = " ".join(there)
    return {
        number
        for number in wanted - there
        if int(number[:20]) > above and number not in everything and not _in_parts(number, there)
    }


def _in_parts(number: str, there: set[str]) -> bool:
    """Whether it is there up to a power of ten (5,000 and 5 thousand), or in twelve hours."""
    stem = number.rstrip("0")
    hour = str(int(number) - 12) if len(number) <= 2 and 12 < int(number) <= 24 else None
    return any(each.rstrip("0") == stem for each in there) or hour in there


def _has_words(pair: Pair) -> bool:
    """Whether the source may have numbers in words; where nobody can tell, it may."""
    if pair.source_lang == "en":
        return bool(_WORDS.search(pair.source))
    return bool(_CJK.search(pair.source)) or not _DIGIT.search(pair.source)
