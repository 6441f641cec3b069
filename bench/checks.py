"""How good the checks are: false alarms on translations made by people, and planted faults seen.

    python -m bench.checks FILE.tsv

FILE holds rows of language, English sentence and its translation into that language; each is read
in both directions. Writes a table in Markdown. Needs no server.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from engine.translation.checks import CHECKS, Pair, findings
from engine.translation.detect import SURE, detect

_SEED = 5
_LANGUAGES = ("en", "de", "fr", "es", "ja", "zh")
_STRANGE = "Это предложение написано совсем на другом языке."
_GERMAN = "Das hier ist ein langer Satz, der ganz sicher in einer anderen Sprache geschrieben ist."
_ENGLISH = "This is a long sentence that has been written in quite another language than the rest."

Plant = Callable[[Pair, random.Random], Pair | None]


def pairs(file: Path) -> Iterator[Pair]:
    """All rows in both directions. Raises ValueError for a row that has not three columns."""
    for row in file.read_text("utf-8").splitlines():
        lang, english, other = row.split("\t")
        yield Pair(english, other, "en", lang, detect=_detect)
        yield Pair(other, english, lang, "en", detect=_detect)


def _detect(text: str) -> str | None:
    guesses = detect(text, _LANGUAGES)
    return guesses[0].language if guesses and guesses[0].confidence >= SURE else None


def _with(source: str, translation: str) -> Plant:
    """Words added behind the source and behind the translation."""
    return lambda pair, _: replace(
        pair, source=pair.source + source, translation=pair.translation + translation
    )


def _all(translation: str) -> Plant:
    """Another translation altogether."""
    return lambda pair, _: replace(pair, translation=translation)


def _another_number(pair: Pair, chance: random.Random) -> Pair:
    number = chance.randrange(100, 10_000)
    return replace(
        pair,
        source=f"{pair.source} ({number})",
        translation=f"{pair.translation} ({number + chance.randrange(1, 50)})",
    )


def _another_date(pair: Pair, chance: random.Random) -> Pair:
    day, year = chance.randrange(13, 29), chance.randrange(1950, 2030)
    return replace(
        pair,
        source=f"{pair.source} {day}.10.{year}",
        translation=f"{pair.translation} {day}.10.{year + 1}",
    )


def _in_another_language(pair: Pair, _: random.Random) -> Pair | None:
    if pair.target_lang in ("ja", "zh"):  # their scripts tell
        return None
    return replace(pair, translation=_ENGLISH if pair.target_lang == "de" else _GERMAN)


def _cut_off(pair: Pair, _: random.Random) -> Pair | None:
    """The first letter alone, of what is long enough for that to show."""
    return replace(pair, translation=pair.translation[:1]) if len(pair.source) > 30 else None


def _copied(pair: Pair, _: random.Random) -> Pair | None:
    """The source, where it has some words."""
    return replace(pair, translation=pair.source) if len(pair.source) > 30 else None


FAULTS: dict[str, tuple[str, Plant]] = {
    "numbers": ("another number", _another_number),
    "dates": ("another year", _another_date),
    "placeholders": ("`{name}` became `{Name}`", _with(" {name}", " {Name}")),
    "tags": ("`</b>` is missing", _with(" <b>X</b>", " <b>X")),
    "urls": ("a letter of the URL", _with(" https://example.com/a", " https://example.com/b")),
    "terms": ("another word than the glossary's", _with("", "")),
    "script": ("Russian", _all(_STRANGE)),
    "language": ("German or English", _in_another_language),
    "length": ("the first letter alone", _cut_off),
    "copy": ("the source", _copied),
    "chatter": (
        '"Here is the translation:"',
        lambda pair, _: replace(pair, translation=f"Here is the translation: {pair.translation}"),
    ),
    "control_tokens": ("`<|im_end|>`", _with("", "<|im_end|>")),
}


def _term(pair: Pair) -> Pair:
    """With a glossary of one term that the translation lacks."""
    return replace(pair, terms=((pair.source.split()[0].strip(".,!?¿¡"), "Xyzzy"),))


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("file", type=Path, help="TSV of language, English, other")
    options.add_argument("--show", metavar="CHECK", help="print the false alarms of a check")
    args = options.parse_args()
    rows = list(pairs(args.file))
    begun = time.perf_counter()
    alarms: Counter[str] = Counter()
    for pair in rows:
        for finding in findings(pair):
            alarms[finding.check] += 1
            if finding.check == args.show:
                print(pair.source, "|", pair.translation, "|", finding.message, file=sys.stderr)
    seconds = time.perf_counter() - begun
    print(f"{len(rows):,} translations, {seconds / len(rows) * 1e6:.0f} microseconds for each\n")
    print("| check | false alarms | planted fault | seen |\n|---|---|---|---|")
    for name, (fault, plant) in FAULTS.items():
        seen, planted = _seen(name, plant, rows)
        share = alarms[name] / len(rows)
        print(f"| `{name}` | {alarms[name]} ({share:.2%}) | {fault} | {seen / planted:.1%} |")


def _seen(name: str, plant: Plant, rows: list[Pair]) -> tuple[int, int]:
    """How many of the planted faults a check sees, and how many there are."""
    chance = random.Random(_SEED)
    planted = [faulty for pair in rows if (faulty := plant(pair, chance)) is not None]
    if name == "terms":
        planted = [_term(pair) for pair in planted]
    return sum(CHECKS[name](pair) is not None for pair in planted), len(planted)


if __name__ == "__main__":
    main()
