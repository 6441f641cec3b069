"""Languages: BCP-47 codes and English names, understood by `langcodes`, never pasted from a request."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import langcodes

from engine.errors import UnknownLanguage

# What large chat models are offered for: the languages that Gemma 2 and Llama 3.1 handle usefully.
WIDELY_SPOKEN = tuple(
    "en ar bg bn ca cs da de el es et fa fi fr he hi hr hu id it ja ko lt lv ms nl no pl pt pt-BR"
    " ro ru sk sl sr sv sw ta te th tl tr uk ur vi zh zh-Hant".split()
)


@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """The BCP-47 code for a code in any spelling or an English or native name.

    >>> canonical("jpn"), canonical("Japanese"), canonical("EN-gb"), canonical("pt_BR")
    ('ja', 'ja', 'en-GB', 'pt-BR')

    Raises UnknownLanguage.
    """
    try:
        language = langcodes.Language.get(text.strip())
        if not language.is_valid() or language.language in (None, "und"):
            raise LookupError
    except LookupError:  # LanguageTagError is a ValueError and a LookupError from version to version
        language = _by_name(text)
    except ValueError:
        language = _by_name(text)
    return str(langcodes.standardize_tag(language.to_tag()))


def _by_name(text: str) -> langcodes.Language:
    try:
        return langcodes.find(text.strip())
    except LookupError:
        raise UnknownLanguage(f"'{_shortened(text)}' is not a language that is known here.") from None


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "…"


@lru_cache(maxsize=4096)
def match(wanted: str, supported: tuple[str, ...]) -> str | None:
    """The supported code that serves a canonical one: itself, or the same language and script.

    >>> match("pt-PT", ("en", "pt")), match("zh-CN", ("zh",)), match("zh-Hant", ("zh",))
    ('pt', 'zh', None)
    """
    if wanted in supported:
        return wanted
    key = _language_and_script(wanted)
    return next((code for code in supported if _language_and_script(code) == key), None)


@lru_cache(maxsize=4096)
def _language_and_script(code: str) -> tuple[str | None, str | None]:
    full = langcodes.Language.get(code).maximize()
    return full.language, full.script


def choose(text: str, supported: Sequence[str]) -> str:
    """The supported code for what a request calls a language.

    Raises UnknownLanguage, with the supported ones in its sentence.
    """
    code = None
    try:
        code = match(canonical(text), tuple(supported))
    except UnknownLanguage:
        pass
    if code is None:
        known = ", ".join(supported)
        raise UnknownLanguage(f"'{_shortened(text)}' is not a language of this model; it has {known}.")
    return code


@lru_cache(maxsize=512)
def english_name(code: str) -> str:
    """'ja' -> 'Japanese', 'pt-BR' -> 'Portuguese (Brazil)'."""
    return str(langcodes.Language.get(code).display_name("en"))


@lru_cache(maxsize=512)
def native_name(code: str) -> str:
    """'ja' -> '日本語'."""
    return str(langcodes.Language.get(code).autonym())
