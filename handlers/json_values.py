"""How many values a text in JSON holds, told before a parser makes objects of them."""

from __future__ import annotations

import re

from engine.errors import BabelbrookError, BadRequest

_SHORT = 64 * 1024  # characters, in which there cannot be too many values
_MOST = 250_000  # and strings among them twice; the largest glossary has 120,000
_LONGEST_NUMBER = 400  # digits; Python takes long to read one
_LONG_NUMBER = re.compile(rf"[0-9]{{{_LONGEST_NUMBER + 1}}}")
_STRING_OR_LONG_NUMBER = re.compile(r'"(?:[^"\\]++|\\.)*+"|' + _LONG_NUMBER.pattern, re.DOTALL)


class ManyValues(BabelbrookError):
    """A body of JSON that would take seconds to read, and hold everybody else up."""

    status = 413
    code = "too_long"


def check_values(text: str) -> None:
    """Raises ManyValues, and BadRequest for a long number. What stands in strings is no value."""
    if len(text) <= _SHORT:
        return
    if text.count(",") + text.count('"') <= _MOST and not _LONG_NUMBER.search(text):
        return
    count = at = 0
    for found in _STRING_OR_LONG_NUMBER.finditer(text):
        if text[found.start()] != '"':
            raise BadRequest(f"Invalid JSON: a number has more than {_LONGEST_NUMBER} digits.")
        count += 1 + text.count(",", at, found.start())
        at = found.end()
        if count > _MOST:
            break
    if count + text.count(",", at) > _MOST:
        raise ManyValues(f"The body holds more than {_MOST:,} values.")
