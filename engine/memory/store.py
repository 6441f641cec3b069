"""The file of the translation memory, SQLite, and what any place of it can do.

https://www.sqlite.org/wal.html: readers wait for no writer, and several servers may share a file.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from engine.memory.similar import index

_VERSION = 1
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS segments (
    key BLOB PRIMARY KEY,
    source_lang TEXT,
    target_lang TEXT NOT NULL,
    model TEXT,
    source TEXT NOT NULL,
    pieces TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    used INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS segments_by_use ON segments (used);
PRAGMA user_version = {_VERSION};
"""
_ROW = 200  # bytes of a row beside its texts, about
_FRESH = 3600  # seconds in which a use is not written down again
_LEFT = 0.9  # share of the room that is filled after old segments have gone


@dataclass(frozen=True, slots=True)
class Entry:
    """A segment, and its translation in the pieces in which it was told.

    `model` is None for one that people made. `key` stands for all that the translation depends on.
    """

    key: bytes
    source_lang: str | None
    target_lang: str
    model: str | None
    source: str
    pieces: list[str]


class StoreFull(OSError):
    """Nothing new can be kept, but what is there can be found."""


class Store(Protocol):
    """Segments by key, used by one thread. All methods raise sqlite3.Error or OSError."""

    def get(self, keys: Sequence[bytes]) -> list[str] | None:
        """The pieces under the first of the keys that is there."""

    def put(self, entry: Entry) -> None:
        """Keep a segment; where there is no room, those that were not used for longest go."""

    def entries(self) -> Iterator[Entry]:
        """All segments."""

    def stats(self) -> tuple[int, int]:
        """How many segments there are, and how many bytes they take."""

    def clear(self) -> None:
        """Forget everything."""

    def close(self) -> None:
        """Let go of it."""


class FileStore:
    """A `Store` in a file that several servers may share."""

    def __init__(self, path: str, room: int, *, similar: bool = False) -> None:
        """Open the file, making it where there is none; `room` is how many bytes may be kept.

        With `similar` it gets an index by which segments are found that are like another one.
        """
        if path != ":memory:":
            Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._room = room
        # Whoever waits for an answer waits for no lock: that is an error, and a miss.
        self._db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version > _VERSION:
                raise sqlite3.DatabaseError("it was made by a newer server")
            if version < _VERSION:
                self._db.executescript(_SCHEMA)
            if similar:
                index(self._db)
            self._bytes = self._sum()
        except BaseException:
            self._db.close()
            raise

    def _sum(self) -> int:
        return int(self._db.execute("SELECT coalesce(sum(bytes), 0) FROM segments").fetchone()[0])

    def get(self, keys: Sequence[bytes]) -> list[str] | None:
        """See `Store`."""
        for key in keys:
            row = self._db.execute("SELECT pieces, used FROM segments WHERE key = ?", (key,))
            if (found := row.fetchone()) is None:
                continue
            now = int(time.time())
            if now - found[1] > _FRESH:
                self._db.execute("UPDATE segments SET used = ? WHERE key = ?", (now, key))
            return [str(piece) for piece in json.loads(found[0])]
        return None

    def put(self, entry: Entry) -> None:
        """See `Store`."""
        pieces = json.dumps(entry.pieces, ensure_ascii=False)
        size = _ROW + len(entry.source.encode()) + len(pieces.encode())
        if size > self._room:
            return
        self._db.execute(
            # Not OR REPLACE: that would not tell an index of the old row.
            "INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
            " source_lang = excluded.source_lang, target_lang = excluded.target_lang,"
            " model = excluded.model, source = excluded.source, pieces = excluded.pieces,"
            " bytes = excluded.bytes, used = excluded.used",
            (
                entry.key,
                entry.source_lang,
                entry.target_lang,
                entry.model,
                entry.source,
                pieces,
                size,
                int(time.time()),
            ),
        )
        self._bytes += size  # a little too much where one was replaced
        if self._bytes > self._room:
            self._make_room()

    def _make_room(self) -> None:
        self._bytes = self._sum()
        while self._bytes > _LEFT * self._room:
            self._db.execute(
                "DELETE FROM segments WHERE rowid IN"
                " (SELECT rowid FROM segments ORDER BY used, rowid"
                " LIMIT 1 + (SELECT count(*) / 10 FROM segments))"
            )
            self._bytes = self._sum()

    def entries(self) -> Iterator[Entry]:
        """All segments, in the order in which they came."""
        rows = self._db.execute(
            "SELECT key, source_lang, target_lang, model, source, pieces FROM segments"
            " ORDER BY rowid"
        )
        for key, source_lang, target_lang, model, source, pieces in rows:
            yield Entry(key, source_lang, target_lang, model, source, json.loads(pieces))

    def stats(self) -> tuple[int, int]:
        """See `Store`."""
        count = self._db.execute("SELECT count(*) FROM segments").fetchone()[0]
        return int(count), self._sum()

    def clear(self) -> None:
        """Forget everything, and give the disk its room back."""
        self._db.execute("DELETE FROM segments")
        self._db.execute("VACUUM")
        self._bytes = 0

    def close(self) -> None:
        """Write what is left in the log into the file."""
        self._db.close()
