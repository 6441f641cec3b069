"""Languages: BCP-47 codes and names, understood by `langcodes`, never pasted from a request."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import langcodes
from langcodes import language_distance

from engine.errors import UnknownLanguage

# What large chat models are offered for: the languages that Gemma 2 and Llama 3.1 handle usefully.
_CODES = """
    en ar bg bn ca cs da de el es et fa fi fil fr he hi hr hu id it ja ko lt lv ms nl no pl pt pt-BR
    ro ru sk sl sr sv sw ta te th tr uk ur vi zh zh-Hant
"""
WIDELY_SPOKEN = tuple(_CODES.split())

_LONGEST = 100  # characters of a code or a name
_CACHED = 1000  # answers that each cache holds
_NO_LANGUAGE = {"und", "mul", "mis", "zxx"}  # undetermined, several, uncoded, no linguistic content
_SAME = 1  # CLDR's distance of two codes for one language: cmn and zh are 0 apart, nb and no are 1


class _Bounded(dict[Any, Any]):
    """A cache that starts over when it is full."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if len(self) >= _CACHED:
            self.clear()
        super().__setitem__(key, value)


# langcodes keeps every tag that it was ever asked for, 1.5 KB each, and a client can think of new
# ones for weeks ("en-x-a1", "en-x-a2").
langcodes.Language._INSTANCES = _Bounded()
langcodes.Language._PARSE_CACHE = _Bounded()
language_distance._DISTANCE_CACHE = _Bounded()


@lru_cache(maxsize=_CACHED)
def canonical(text: str) -> str:
    """The BCP-47 code for a code in any spelling or a name in any language.

    >>> canonical("jpn"), canonical("Japanese"), canonical("日本語"), canonical("pt_br")
    ('ja', 'ja', 'ja', 'pt-BR')

    Raises UnknownLanguage.
    """
    name = text.strip()
    # langcodes stumbles over NUL and half a surrogate pair, and long texts take it long.
    if not name.isprintable() or len(name) > _LONGEST:
        raise _unknown(text)
    language = _by_code(name) or _by_name(name)
    if language is None:
        raise _unknown(text)
    return str(langcodes.standardize_tag(language.to_tag()))


def _unknown(text: str) -> UnknownLanguage:
    return UnknownLanguage(f"'{_presentable(text)}' is not a language that is known here.")


def _by_code(name: str) -> langcodes.Language | None:
    try:
        language = langcodes.Language.get(name)
    except ValueError:
        return None
    return language if language.is_valid() and _has_name(language) else None


def _has_name(language: langcodes.Language) -> bool:
    """False for the codes that stand for no language, and for private ones."""
    known = not str(language.language_name("en")).startswith("Unknown language")
    return known and language.language not in _NO_LANGUAGE


def _by_name(name: str) -> langcodes.Language | None:
    try:
        language = langcodes.find(name)
    except (LookupError, ValueError):
        return None
    return language if _has_name(language) else None


def _presentable(text: str) -> str:
    """Short and printable, for a sentence."""
    shown = text if len(text) <= 40 else text[:40] + "…"
    return "".join(character if character.isprintable() else "\ufffd" for character in shown)


@lru_cache(maxsize=_CACHED)
def match(wanted: str, supported: tuple[str, ...]) -> str | None:
    """The supported code that serves a canonical one: the same language in the same script.

    Of several, the one with the nearest territory.

    >>> match("pt-PT", ("en", "pt")), match("zh-CN", ("zh",)), match("zh-Hant", ("zh",))
    ('pt', 'zh', None)
    """
    if wanted in supported:
        return wanted
    same = [code for code in supported if _distance(_written(wanted), _written(code)) <= _SAME]
    return min(same, key=lambda code: (_distance(wanted, code), len(code)), default=None)


def _distance(wanted: str, offered: str) -> int:
    return int(langcodes.tag_distance(wanted, offered))


@lru_cache(maxsize=_CACHED)
def _written(code: str) -> str:
    """Language and script of a code, without territory: 'zh-TW' -> 'zh-Hant'."""
    full = langcodes.Language.get(code).maximize()
    return str(langcodes.Language.make(full.language, script=full.script).to_tag())


@lru_cache(maxsize=_CACHED)
def generic(code: str) -> str:
    """Without territory, and without a script that goes without saying.

    >>> generic("en-US"), generic("zh-TW"), generic("zh-CN")
    ('en', 'zh-Hant', 'zh')
    """
    language, written = code.split("-")[0], _written(code)
    return language if _written(language) == written else written


def choose(text: str, supported: Sequence[str]) -> str:
    """The supported code for what a request calls a language.

    The names that `english_name` and `native_name` give are understood before all others. Raises
    UnknownLanguage, with the supported codes in its sentence.
    """
    codes = tuple(supported)
    code = _names(codes).get(text.strip().casefold())
    if code is None:
        with suppress(UnknownLanguage):
            code = match(canonical(text), codes)
    if code is None:
        raise UnknownLanguage(
            f"'{_presentable(text)}' is not a language of this model; it has {', '.join(codes)}."
        )
    return code


@lru_cache(maxsize=64)
def _names(codes: tuple[str, ...]) -> dict[str, str]:
    return {name(code).casefold(): code for code in codes for name in (native_name, english_name)}


@lru_cache(maxsize=_CACHED)
def english_name(code: str) -> str:
    """'ja' -> 'Japanese', 'pt-BR' -> 'Portuguese (Brazil)'."""
    return str(langcodes.Language.get(code).display_name("en"))


@lru_cache(maxsize=_CACHED)
def native_name(code: str) -> str:
    """'ja' -> '日本語'."""
    return str(langcodes.Language.get(code).autonym())
