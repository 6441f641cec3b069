"""The SQLite file of all stored glossaries."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from engine.errors import BabelbrookError

_BUSY_SECONDS = 2  # to wait for another process that writes

_SCHEMA = """
CREATE TABLE IF NOT EXISTS glossaries (
    name TEXT PRIMARY KEY,
    source_lang TEXT,
    target_lang TEXT,
    terms TEXT NOT NULL,
    count INTEGER NOT NULL,
    changed INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS multilingual (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    created TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS dictionaries (
    glossary TEXT NOT NULL,
    source_lang TEXT NOT NULL,
    target_lang TEXT NOT NULL,
    terms TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (glossary, source_lang, target_lang)
);
"""


class GlossariesFailed(BabelbrookError):
    """Their file cannot be used."""

    status = 503
    code = "glossaries_failed"


class TermFile:
    """Opened anew for each use, on whatever thread that is."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def open(self, *, write: bool = False) -> Iterator[sqlite3.Connection]:
        """The file, made where there is none and something is to be written.

        With `write` all that is done is one transaction, which an exception undoes. Raises
        GlossariesFailed.
        """
        try:
            if write:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            there = write or self._path.exists()
            path = self._path if there else ":memory:"
            with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)) as db:
                db.executescript(_SCHEMA)
                if not write:
                    yield db
                    return
                db.execute("BEGIN IMMEDIATE")
                with db:
                    yield db
        except (sqlite3.Error, OSError) as error:
            raise GlossariesFailed(f"The file {self._path} cannot be used: {error}.") from None
