"""Glossaries with names, kept in SQLite beside the translation memory."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.errors import BabelbrookError
from engine.translation.glossary import Glossary, Term

MOST_TERMS, MOST_GLOSSARIES = 20_000, 1_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS glossaries (
    name TEXT PRIMARY KEY,
    source_lang TEXT,
    target_lang TEXT,
    terms TEXT NOT NULL,
    count INTEGER NOT NULL,
    changed INTEGER NOT NULL
)
"""


class UnknownGlossary(BabelbrookError):
    """No glossary of that name."""

    status = 404
    code = "unknown_glossary"


class GlossariesFailed(BabelbrookError):
    """Their file cannot be used."""

    status = 503
    code = "glossaries_failed"


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
        self._path = path
        self._made: dict[str, tuple[int, Glossary]] = {}  # by name, with the time of the change

    @contextmanager
    def _open(self, *, write: bool = False) -> Iterator[sqlite3.Connection]:
        """The file, made where there is none and something is to be written."""
        try:
            if write:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            there = write or self._path.exists()
            path = self._path if there else ":memory:"
            with closing(sqlite3.connect(path, timeout=2, isolation_level=None)) as db:
                db.execute(_SCHEMA)
                yield db
        except (sqlite3.Error, OSError) as error:
            raise GlossariesFailed(f"The file {self._path} cannot be used: {error}.") from None

    def all(self) -> list[About]:
        """All glossaries by name."""
        with self._open() as db:
            rows = db.execute(
                "SELECT name, source_lang, target_lang, count FROM glossaries ORDER BY name"
            )
            return [About(*row) for row in rows]

    def terms(self, name: str) -> tuple[About, list[Term]]:
        """One with its terms. Raises UnknownGlossary."""
        with self._open() as db:
            row = db.execute(
                "SELECT name, source_lang, target_lang, count, terms FROM glossaries"
                " WHERE name = ?",
                (name,),
            ).fetchone()
        if row is None:
            raise _unknown(name)
        return About(*row[:4]), [(source, target) for source, target in json.loads(row[4])]

    def glossary(self, name: str) -> Glossary:
        """One to be used; it is made once for each change. Raises UnknownGlossary."""
        with self._open() as db:
            row = db.execute("SELECT changed FROM glossaries WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise _unknown(name)
        known = self._made.get(name)
        if known is None or known[0] != row[0]:
            known = self._made[name] = row[0], Glossary(self.terms(name)[1])
        return known[1]

    def put(self, about: About, terms: list[Term]) -> bool:
        """Make or replace one; whether it is new. Fails where there are too many, too."""
        with self._open(write=True) as db:
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
        with self._open() as db:
            removed = db.execute("DELETE FROM glossaries WHERE name = ?", (name,)).rowcount
        self._made.pop(name, None)
        if not removed:
            raise _unknown(name)


def _unknown(name: str) -> UnknownGlossary:
    return UnknownGlossary(f"There is no glossary '{name[:64]}' here; GET /glossaries lists them.")
