"""Whether a translation is in the target language, as far as its letters tell."""

from __future__ import annotations

from functools import lru_cache

import langcodes
import regex

from engine.translation.checks.pair import Pair
from engine.translation.languages import english_name, match

_LETTER = regex.compile(r"\p{L}")
_WORD = regex.compile(r"\p{L}+")
_LEAST = 3  # letters that tell something
_SHARE = 0.3  # of the letters that must be of the target's script; names stay as they are
_SHARED = {"Latn", "Cyrl", "Arab", "Deva"}  # scripts of many languages
_SURE = 40  # characters from which on a guess at the language is to be trusted
_KANA = regex.compile(r"[\p{Hiragana}\p{Katakana}]")
_WITHOUT_KANA = 15  # letters of Japanese that hardly ever go without
# ISO 15924's codes for several scripts at once, as Unicode names what they consist of.
_SCRIPTS = {
    "Jpan": r"\p{Han}\p{Hiragana}\p{Katakana}ー",
    "Kore": r"\p{Hangul}\p{Han}",
    "Hans": r"\p{Han}\p{Bopomofo}",
    "Hant": r"\p{Han}\p{Bopomofo}",
}


def script(pair: Pair) -> str | None:
    """Most letters are of another script than the target language's; Chinese with kana."""
    own = _script(pair.target_lang)
    if own is None:
        return None
    given = set(_WORD.findall(pair.source))
    text = "".join(word for word in _WORD.findall(pair.translation) if word not in given)
    letters = len(_LETTER.findall(text))
    if letters >= _LEAST and len(own.findall(text)) < _SHARE * letters:
        return f"Hardly any letter is of the script of {english_name(pair.target_lang)}."
    kana = bool(_KANA.search(text))
    if pair.target_lang.startswith("zh") and kana and not _KANA.search(pair.source):
        return "There is Japanese in the Chinese."
    if pair.target_lang == "ja" and not kana and letters >= _WITHOUT_KANA:
        return "There is no kana in the Japanese."
    return None


def language(pair: Pair) -> str | None:
    """The translation is in another language of its script, beyond doubt."""
    if pair.detect is None or len(pair.translation) < _SURE:
        return None
    if langcodes.get(pair.target_lang).maximize().script not in _SHARED:
        return None  # its script tells as much, and costs less
    found = pair.detect(pair.translation)
    if found is None or match(found, (pair.target_lang,)) is not None:
        return None
    return f"The translation seems to be {english_name(found)}."


@lru_cache(maxsize=200)
def _script(code: str) -> regex.Pattern[str] | None:
    """What finds a letter of a language's script; None for scripts that Unicode does not name."""
    script = langcodes.get(code).maximize().script or "Zyyy"
    letters = _SCRIPTS.get(script, rf"\p{{Script={script}}}")
    try:
        return regex.compile(f"[{letters}]")
    except regex.error:
        return None
