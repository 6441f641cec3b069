"""Glossaries with names, kept in SQLite beside the translation memory."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from engine.errors import BabelbrookError, BadRequest
from engine.translation.glossary import Glossary, Term
from engine.translation.languages import english_name, generic
from engine.translation.termstore import GlossariesFailed, TermFile

MOST_TERMS, MOST_GLOSSARIES = 20_000, 1_000


class UnknownGlossary(BabelbrookError):
    """No glossary of that name."""

    status = 404
    code = "unknown_glossary"


@dataclass(frozen=True, slots=True)
class About:
    """What there is to know of a glossary beside its terms; languages are BCP-47 codes or None."""

    name: str
    source_lang: str | None
    target_lang: str | None
    count: int


class Glossaries:
    """To be used on a thread: each method opens the file, and raises GlossariesFailed."""

    def __init__(self, path: Path) -> None:
        self._file = TermFile(path)
        self._made: dict[str, tuple[int, Glossary]] = {}  # by name, with the time of the change

    def all(self) -> list[About]:
        """All glossaries by name."""
        with self._file.open() as db:
            rows = db.execute(
                "SELECT name, source_lang, target_lang, count FROM glossaries ORDER BY name"
            )
            return [About(*row) for row in rows]

    def terms(self, name: str) -> tuple[About, list[Term]]:
        """One with its terms. Raises UnknownGlossary."""
        with self._file.open() as db:
            row = db.execute(
                "SELECT name, source_lang, target_lang, count, terms FROM glossaries"
                " WHERE name = ?",
                (name,),
            ).fetchone()
        if row is None:
            raise _unknown(name)
        return About(*row[:4]), [(source, target) for source, target in json.loads(row[4])]

    def glossary(self, name: str, source_lang: str | None, target_lang: str) -> Glossary:
        """One to be used between these languages; it is made once for each change.

        Raises UnknownGlossary, and BadRequest where it is for other languages. A source that is
        not known may be any.
        """
        with self._file.open() as db:
            row = db.execute(
                "SELECT changed, source_lang, target_lang FROM glossaries WHERE name = ?", (name,)
            ).fetchone()
        if row is None:
            raise _unknown(name)
        _require(name, "from", row[1], source_lang)
        _require(name, "into", row[2], target_lang)
        known = self._made.get(name)
        if known is None or known[0] != row[0]:
            known = self._made[name] = row[0], Glossary(self.terms(name)[1])
        return known[1]

    def put(self, about: About, terms: list[Term]) -> bool:
        """Make or replace one; whether it is new. Fails where there are too many, too."""
        with self._file.open(write=True) as db:
            known = db.execute("SELECT 1 FROM glossaries WHERE name = ?", (about.name,)).fetchone()
            (number,) = db.execute("SELECT count(*) FROM glossaries").fetchone()
            if known is None and number >= MOST_GLOSSARIES:
                raise GlossariesFailed(f"There are {number:,} glossaries already; remove some.")
            db.execute(
                "INSERT OR REPLACE INTO glossaries VALUES (?, ?, ?, ?, ?, ?)",
                (
                    about.name,
                    about.source_lang,
                    about.target_lang,
                    json.dumps(terms, ensure_ascii=False),
                    len(terms),
                    time.time_ns(),
                ),
            )
        return known is None

    def remove(self, name: str) -> None:
        """Raises UnknownGlossary."""
        with self._file.open() as db:
            removed = db.execute("DELETE FROM glossaries WHERE name = ?", (name,)).rowcount
        self._made.pop(name, None)
        if not removed:
            raise _unknown(name)


def _require(name: str, direction: str, own: str | None, wanted: str | None) -> None:
    """That a glossary's language is one that is asked for, whatever the territory."""
    if own and wanted and generic(own) != generic(wanted):
        names = english_name(generic(own)), english_name(generic(wanted))
        raise BadRequest(
            f"The glossary '{name}' is for translations {direction} {names[0]}, not {names[1]}.",
            "glossary",
        )


def _unknown(name: str) -> UnknownGlossary:
    return UnknownGlossary(f"There is no glossary '{name[:64]}' here; GET /glossaries lists them.")
