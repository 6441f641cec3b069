"""Sentence pairs in files: one pair a line, `lang <TAB> English <TAB> other`, UTF-8."""

from __future__ import annotations

import lzma
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from training.languages import OTHERS

# What manythings.org/anki calls its files, and what we call the languages.
ANKI_FILES = {"jpn": "ja", "deu": "de", "fra": "fr", "spa": "es", "cmn": "zh"}


class CorpusError(ValueError):
    """A corpus that cannot be read; the message names file, line and what to mend."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One English sentence and its translation into `lang`."""

    lang: str
    english: str
    other: str


def open_text(path: Path) -> TextIO:
    """Open `path` as UTF-8 text, through xz where its name ends in `.xz`."""
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8", newline="\n")
    return path.open(encoding="utf-8", newline="\n")


def parse_line(line: str, where: str) -> Pair:
    """Parse one line; raise `CorpusError` naming `where` when it is not three known fields."""
    fields = line.rstrip("\n").split("\t")
    if len(fields) != 3:
        raise CorpusError(f"{where}: {len(fields)} fields; expected lang, English, other")
    if fields[0] not in OTHERS:
        raise CorpusError(f"{where}: language {fields[0]!r}; expected one of {', '.join(OTHERS)}")
    return Pair(*fields)


def read_pairs(path: Path) -> Iterator[Pair]:
    """Yield the pairs of a TSV file (plain or `.xz`), or of a folder of the source's own files.

    Raises `CorpusError`, `OSError`.
    """
    if path.is_dir():
        yield from read_folder(path)
        return
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield parse_line(line, f"{path}:{number}")


def read_folder(folder: Path) -> Iterator[Pair]:
    """Yield the pairs of `deu.txt`, `jpn.txt` ... as manythings.org/anki packs them.

    Their lines are `English <TAB> other <TAB> attribution`, older ones without the last. Raises
    `CorpusError` where the folder holds none of them.
    """
    files = {folder / f"{stem}.txt": lang for stem, lang in ANKI_FILES.items()}
    present = {path: lang for path, lang in files.items() if path.exists()}
    if not present:
        raise CorpusError(f"{folder}: none of {', '.join(path.name for path in files)} is there")
    for path, lang in present.items():
        with open_text(path) as lines:
            for number, line in enumerate(lines, 1):
                fields = "\t".join(line.rstrip("\n").split("\t")[:2])
                yield parse_line(f"{lang}\t{fields}", f"{path}:{number}")


def write_pairs(path: Path, pairs: Iterable[Pair]) -> None:
    """Write pairs as plain TSV, whole or not at all."""
    unfinished = path.with_name(path.name + ".part")
    with unfinished.open("w", encoding="utf-8", newline="\n") as out:
        for pair in pairs:
            out.write(f"{pair.lang}\t{pair.english}\t{pair.other}\n")
    unfinished.replace(path)
