"""What models say beside a translation: chatter, and tokens of their own."""

from __future__ import annotations

import re

from engine.translation.checks.pair import Pair

_OPENINGS = re.compile(
    r"""\W*(?:
        (?:sure|certainly|of\ course|okay|ok)\b[^\n.:]{0,20}[,!.:]\s*here\b
      | here(?:\ is|'s|\ are)\b[^\n:]{0,60}\btranslat
      | (?:the\ )?translat(?:ion|ed\ text)\b[^\n:]{0,40}(?::|\bis\b)
      | (?:hier\ ist\ )?(?:die\ )?übersetzung\b[^\n:]{0,40}:
      | (?:voici\ )?(?:la\ )?traduction\b[^\n:]{0,40}:
      | (?:aquí\ (?:está|tienes)\ )?(?:la\ )?traducción\b[^\n:]{0,40}:
      | (?:以下は|以下が|こちらが)[^\n。：:]{0,20}(?:翻訳|訳)
      | (?:翻訳|訳文|日本語訳)\s*[:：]
      | (?:以下是|这是)[^\n。：:]{0,20}(?:翻译|译文)
      | (?:翻译|译文|翻譯)\s*[:：]
      | (?:as\ an\ ai|i(?:'m|\ am)\ sorry,?\ but\ i\ can|i\ cannot\ translate)
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_CLOSINGS = re.compile(
    r"""\n\s*\W{0,3}
        (?:note|please\ note|explanation|let\ me\ know|anmerkung|hinweis|remarque|nota|注|注意|備考)
        \b[^\n]{0,20}(?::|：|\bif\b)""",
    re.IGNORECASE | re.VERBOSE,
)
_CONTROL = re.compile(
    r"<\|[^|<>\n]{1,40}\|>|</?s>|<(?:bos|eos|pad|unk|sep|mask|start_of_turn|end_of_turn)>"
    r"|<2[a-z]{2,3}>|\[/?INST\]|<</?SYS>>|<0x[0-9A-F]{2}>|</?think>|\u2581|\ufffd"
)


def chatter(pair: Pair) -> str | None:
    """The model speaks to its user instead of translating only."""
    for pattern in (_OPENINGS.match, _CLOSINGS.search):
        found = pattern(pair.translation)
        if found and not pattern(pair.source):
            return f"The model speaks of its answer: {found[0].strip()[:80]}"
    return None


def control_tokens(pair: Pair) -> str | None:
    """Tokens that no reader should see, and bytes that were no character."""
    for token in _CONTROL.findall(pair.translation):
        if token not in pair.source:
            return f"A control token is left: {token}"
    return None
