"""Glossaries that have terms for several pairs of languages and belong to somebody."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engine.errors import BadRequest, TextTooLong
from engine.translation.glossaries import UnknownGlossary
from engine.translation.termstore import TermFile

MOST_TERMS = 1_000  # of a pair
_MOST_PAIRS = 100  # of a glossary
_MOST, _MOST_BYTES = 1_000, 64 * 2**20  # glossaries of one owner, and their terms together

Pair = tuple[str, str]  # base codes of a source and a target: "en", "de"
Terms = dict[str, str]


@dataclass(frozen=True, slots=True)
class Multilingual:
    """What there is to know of one beside its terms, of which `counts` tells the number.

    `created` is a time of ISO 8601.
    """

    id: str
    name: str
    created: str
    counts: Mapping[Pair, int]


class MultilingualGlossaries:
    """All of them by id; only their owner finds them.

    To be used on a thread. Every method raises GlossariesFailed, and UnknownGlossary where the
    owner has no such glossary.
    """

    def __init__(self, path: Path) -> None:
        self._file = TermFile(path)

    def of(self, owner: str) -> list[Multilingual]:
        """All of an owner, the oldest first."""
        with self._file.open() as db:
            rows = db.execute(
                "SELECT id FROM multilingual WHERE owner = ? ORDER BY rowid", (owner,)
            )
            return [_found(db, id, owner) for (id,) in rows.fetchall()]

    def find(self, id: str, owner: str) -> Multilingual:
        """One."""
        with self._file.open() as db:
            return _found(db, id, owner)

    def terms(self, id: str, owner: str, pair: Pair) -> Terms:
        """The terms of a pair of languages. Raises BadRequest where there are none."""
        with self._file.open() as db:
            _found(db, id, owner)
            return _terms(db, id, pair) or _no_terms(pair)

    def add(self, name: str, owner: str, dictionaries: Mapping[Pair, Terms]) -> Multilingual:
        """Make one. Raises TextTooLong."""
        id = str(uuid.uuid4())
        with self._file.open(write=True) as db:
            (number,) = db.execute(
                "SELECT count(*) FROM multilingual WHERE owner = ?", (owner,)
            ).fetchone()
            if number >= _MOST:
                raise TextTooLong(f"There are {_MOST:,} glossaries already. Delete one first.")
            row = (id, owner, name, datetime.now(UTC).isoformat())
            db.execute("INSERT INTO multilingual VALUES (?, ?, ?, ?)", row)
            for pair, terms in dictionaries.items():
                _put(db, id, pair, terms)
            _check_room(db, owner)
            return _found(db, id, owner)

    def merge(
        self, id: str, owner: str, name: str | None, dictionaries: Mapping[Pair, Terms]
    ) -> Multilingual:
        """Another name where there is one; more terms, or others for those that are there.

        Raises TextTooLong.
        """
        with self._file.open(write=True) as db:
            _found(db, id, owner)
            if name is not None:
                db.execute("UPDATE multilingual SET name = ? WHERE id = ?", (name, id))
            for pair, terms in dictionaries.items():
                _put(db, id, pair, _terms(db, id, pair) | terms)
            _check_room(db, owner)
            return _found(db, id, owner)

    def replace(self, id: str, owner: str, pair: Pair, terms: Terms) -> None:
        """Other terms for a pair of languages. Raises TextTooLong."""
        with self._file.open(write=True) as db:
            _found(db, id, owner)
            _put(db, id, pair, terms)
            _check_room(db, owner)

    def remove(self, id: str, owner: str) -> None:
        """Forget one."""
        with self._file.open() as db:
            _found(db, id, owner)
        with self._file.open(write=True) as db:
            _remove(db, id)

    def remove_pair(self, id: str, owner: str, pair: Pair) -> None:
        """Forget the terms of a pair; with the last pair the glossary goes. Raises BadRequest."""
        with self._file.open() as db:
            if not _terms(db, _found(db, id, owner).id, pair):
                _no_terms(pair)
        with self._file.open(write=True) as db:
            db.execute(
                "DELETE FROM dictionaries WHERE glossary = ? AND source_lang = ?"
                " AND target_lang = ?",
                (id, *pair),
            )
            if not _counts(db, id):
                _remove(db, id)


def _found(db: sqlite3.Connection, id: str, owner: str) -> Multilingual:
    row = db.execute(
        "SELECT id, name, created FROM multilingual WHERE id = ? AND owner = ?", (id, owner)
    ).fetchone()
    if row is None:
        raise UnknownGlossary("There is no such glossary.")
    _, name, created = row
    return Multilingual(id, name, created, _counts(db, id))


def _counts(db: sqlite3.Connection, id: str) -> dict[Pair, int]:
    rows = db.execute(
        "SELECT source_lang, target_lang, count FROM dictionaries WHERE glossary = ?"
        " ORDER BY rowid",
        (id,),
    )
    return {(source, target): count for source, target, count in rows}


def _terms(db: sqlite3.Connection, id: str, pair: Pair) -> Terms:
    row = db.execute(
        "SELECT terms FROM dictionaries WHERE glossary = ? AND source_lang = ? AND target_lang = ?",
        (id, *pair),
    ).fetchone()
    return {} if row is None else dict(json.loads(row[0]))


def _no_terms(pair: Pair) -> Terms:
    raise BadRequest(f"The glossary has no dictionary from {pair[0]} to {pair[1]}.")


def _put(db: sqlite3.Connection, id: str, pair: Pair, terms: Terms) -> None:
    if len(terms) > MOST_TERMS:
        raise TextTooLong(f"A dictionary may hold {MOST_TERMS:,} terms.")
    if len(_counts(db, id).keys() | {pair}) > _MOST_PAIRS:
        raise TextTooLong(f"A glossary may hold {_MOST_PAIRS} pairs of languages.")
    text = json.dumps(terms, ensure_ascii=False)
    db.execute(
        "INSERT INTO dictionaries VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET terms = excluded.terms, count = excluded.count",
        (id, *pair, text, len(terms)),
    )


def _check_room(db: sqlite3.Connection, owner: str) -> None:
    """Raises TextTooLong where an owner has too much by now."""
    (size,) = db.execute(
        "SELECT coalesce(sum(length(cast(terms AS BLOB))), 0) FROM dictionaries"
        " WHERE glossary IN (SELECT id FROM multilingual WHERE owner = ?)",
        (owner,),
    ).fetchone()
    if size > _MOST_BYTES:
        raise TextTooLong(f"Your glossaries may hold {_MOST_BYTES:,} bytes. Delete one first.")


def _remove(db: sqlite3.Connection, id: str) -> None:
    db.execute("DELETE FROM multilingual WHERE id = ?", (id,))
    db.execute("DELETE FROM dictionaries WHERE glossary = ?", (id,))
