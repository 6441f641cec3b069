"""What survives a translation unchanged wherever it stands: addresses, placeholders, code.

Found in the text of every format, beside what the format itself keeps.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from engine.translation.parts import Run
from engine.translation.segments import Span, masked

# Letters and signs that URLs hold (RFC 3986), less what rather belongs to the sentence around.
_IN_URL = r"[A-Za-z0-9._~:/?#@!$&*+,;=%\[\]'-]"
_ENDS_URL = r"[A-Za-z0-9_~/#@$&*+=%-]"
_NAME = r"[A-Za-z_][\w.-]*"
_VALUE = r"""(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>]+)"""
_KINDS = (
    r"``(?:[^`\n]|`(?!`))+``|`[^`\n]+`",  # code in backticks
    rf"(?:\b[A-Za-z][A-Za-z0-9+.-]{{1,15}}://|\bwww\.)(?:{_IN_URL}|\({_IN_URL}*\))*"
    rf"(?:{_ENDS_URL}|\({_IN_URL}*\))",
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}",
    r"\{\{[^{}\n]{0,100}\}\}|\{%[^{}\n]{0,100}%\}",  # {{ x }}, {% if %}
    r"[$#%]?\{(?:[\w][\w.\[\]]*)?(?:![rsa])?(?::[^{}\s]{0,20})?\}",  # {name}, {0:.2f}, ${x}, %{x}
    r"%\(\w+\)[-+#0]*\d*(?:\.\d+)?[A-Za-z]",  # %(x)d
    r"(?<![\d%])%(?:\d+\$)?[-+#0]*\d*(?:\.\d+)?(?:hh?|ll?|[qjzt])?[sdifuxXoeEgGcpn@](?![A-Za-z])",
    r"%[A-Z_][A-Z0-9_]+%",  # %PATH%
    r"(?<![\w$])\$[A-Za-z_]\w*",  # $VAR
    rf"</?{_NAME}(?:\s+[\w:@.-]+(?:={_VALUE})?)*\s*/?>|</?\d\w*\s*/?>"  # <b>, <0>
    r"|<\|[^|<>\n]{1,40}\|>",  # <|im_end|>, as people write of models
)
_KEEP = re.compile("|".join(_KINDS))
_WORD = re.compile("[A-Za-z0-9_]")
_MAYBE = re.compile(r"[`{<$%@]|://|www\.")  # most texts hold none: spares the search


def find(text: str, taken: Sequence[Span] = ()) -> list[Span]:
    """Where keeps stand in a text, ascending and apart from each other and from those `taken`.

    >>> text = "Dear {name}, see https://example.com/a_(b)."
    >>> [text[start:end] for start, end in find(text)]
    ['{name}', 'https://example.com/a_(b)']
    """
    if not _MAYBE.search(text):
        return []
    # In what is taken stands a character that no keep of ours holds but code.
    seen = masked(text, taken, "\n") if taken else text
    return [found.span() for found in _KEEP.finditer(seen) if "\n" not in found[0]]


class Kept:
    """The keeps of one segment, to be looked for in its translation.

    `markup` must come out in its order, `others` in any; all of them equally often. One that ends
    like a word has no letter of the translation beside it: `$VAR` would become another.
    """

    def __init__(self, markup: Sequence[str], others: Sequence[str]) -> None:
        self._markup = list(markup)
        self._wanted = Counter((*markup, *others))
        longest_first = sorted(self._wanted, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_apart, longest_first)))
        self._is_markup = set(markup)

    def survived(self, translation: str) -> bool:
        """Whether every keep stands in the translation as it should, and none beside them."""
        found = self._pattern.findall(translation)
        rest = self._pattern.sub("\n", translation)
        return (
            Counter(found) == self._wanted
            and [keep for keep in found if keep in self._is_markup] == self._markup
            and not find(rest)
        )

    def split(self, translation: str) -> list[Run]:
        """The translation's runs; the first and the last are text, empty ones too."""
        runs: list[Run] = []
        done = 0
        for found in self._pattern.finditer(translation):
            if found[0] in self._is_markup:
                runs += [(translation[done : found.start()], False), (found[0], True)]
                done = found.end()
        return [*runs, (translation[done:], False)]


def _apart(keep: str) -> str:
    """What finds a keep that nothing is glued to which would change what it means."""
    before = r"(?<![A-Za-z0-9_])" if _WORD.match(keep[0]) else ""
    behind = r"(?![A-Za-z0-9_])" if _WORD.match(keep[-1]) else ""
    return before + re.escape(keep) + behind
