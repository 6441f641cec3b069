"""The languages of the embedded model, and how each one ends and joins sentences."""

from __future__ import annotations

ENGLISH = "en"
OTHERS = ("ja", "de", "fr", "es", "zh")
LANGUAGES = (ENGLISH, *OTHERS)

# Ids follow the order in which the tokenizer was given these pieces: 3 to 9.
CONTROL_TOKENS = {lang: f"<2{lang}>" for lang in LANGUAGES}
SEPARATOR = "<sep>"

UNSPACED = frozenset({"ja", "zh"})
TERMINALS = ".!?…。！？"
CLOSERS = "\"'”’»」』)）“ "


def joiner(lang: str) -> str:
    """Return what stands between two sentences of `lang`: a space, or nothing."""
    return "" if lang in UNSPACED else " "


def is_sentence(text: str) -> bool:
    """Tell whether `text` ends as a sentence does, closing quotes and brackets aside."""
    return text.rstrip(CLOSERS).endswith(tuple(TERMINALS))
