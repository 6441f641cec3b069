"""What outlives a restart, in SQLite: tokens that keys have used today, and sessions of the pages.

Several processes may share the file: usage is added up in it, not overwritten.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import NoReturn

from engine.access.keys import AccessError

logger = logging.getLogger("babelbrook.access")

DAY = 86_400  # seconds; days are those of UTC
SESSION_SECONDS = 90 * DAY  # dashboards stay connected for weeks, and come back after a restart
_KEPT_DAYS = 400  # of usage, for bills
_SAVE_SECONDS = 1.0  # of usage that a crash may lose
_BUSY_SECONDS = 5  # to wait for another process that writes

_SCHEMA = """
CREATE TABLE IF NOT EXISTS usage (
    key TEXT, day INTEGER, tokens INTEGER NOT NULL, PRIMARY KEY (key, day)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sessions (
    sha256 BLOB PRIMARY KEY, key TEXT NOT NULL, expires INTEGER NOT NULL
) WITHOUT ROWID;
"""

_Usage = Counter[tuple[str, int]]  # tokens by key and day


def _today() -> int:
    return int(time.time()) // DAY


def seconds_to_midnight() -> float:
    """Until quotas begin anew."""
    return DAY - time.time() % DAY


class State:
    """The file. Keys are named by their ids.

    Usage is counted in memory and saved later, on another thread: a disk may take its time.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._day = _today()
        self._used: Counter[str] = Counter()  # tokens of today, those of other processes included
        self._unsaved: _Usage = Counter()

    def open(self) -> None:
        """Make the file where it is missing, and read what was used today. Raises AccessError."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.touch(mode=0o600)
            with closing(self._connect()) as database, database:
                database.execute("PRAGMA journal_mode = WAL")
                database.executescript(_SCHEMA)
                database.execute("DELETE FROM usage WHERE day < ?", (self._day - _KEPT_DAYS,))
                database.execute("DELETE FROM sessions WHERE expires < ?", (int(time.time()),))
                self._merge(_read_usage(database, self._day))
        except (OSError, sqlite3.Error) as error:
            raise AccessError(f"The state in {self._file} cannot be used: {error}.") from None

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._file, timeout=_BUSY_SECONDS)
        database.execute("PRAGMA synchronous = NORMAL")  # whole after a crash, in WAL mode
        return database

    # Usage

    def add(self, key: str, tokens: int) -> None:
        """Count tokens."""
        self._turn_day()
        self._used[key] += tokens
        self._unsaved[key, self._day] += tokens

    def used(self, key: str) -> int:
        """Tokens that the key has used today."""
        self._turn_day()
        return self._used[key]

    def _turn_day(self) -> None:
        if (today := _today()) != self._day:
            self._day = today
            self._used.clear()

    async def keep_saving(self) -> NoReturn:
        """Save once in a while, for ever."""
        while True:
            await asyncio.sleep(_SAVE_SECONDS)
            await self.save()

    async def save(self) -> None:
        """Add what was counted to the file; what cannot be written is kept for the next time."""
        if not self._unsaved:
            return
        unsaved, self._unsaved = self._unsaved, Counter()
        try:
            used = await asyncio.to_thread(self._write, unsaved, self._day)
        except sqlite3.Error as error:
            self._unsaved.update(unsaved)
            logger.warning("Used tokens cannot be saved in %s: %s.", self._file, error)
        else:
            self._merge(used)

    def _write(self, usage: _Usage, day: int) -> Counter[str]:
        """Add to the file; returns all usage of the day."""
        with closing(self._connect()) as database, database:
            database.executemany(
                "INSERT INTO usage VALUES (?, ?, ?)"
                " ON CONFLICT DO UPDATE SET tokens = tokens + excluded.tokens",
                [(key, day, tokens) for (key, day), tokens in usage.items()],
            )
            return _read_usage(database, day)

    def _merge(self, used: Counter[str]) -> None:
        """Go on from what the file says, and what has come since."""
        for (key, day), tokens in self._unsaved.items():
            used[key] += tokens if day == self._day else 0
        self._used = used

    # Sessions

    def log_in(self, key: str) -> str:
        """Begin a session of a key; returns the token that its cookie holds."""
        token = secrets.token_urlsafe(24)
        expires = int(time.time()) + SESSION_SECONDS
        with closing(self._connect()) as database, database:
            database.execute("INSERT INTO sessions VALUES (?, ?, ?)", (_hash(token), key, expires))
        return token

    def session(self, token: str) -> str | None:
        """The id of the key whose session that is, None where there is none (any more)."""
        with closing(self._connect()) as database:
            row = database.execute(
                "SELECT key FROM sessions WHERE sha256 = ? AND expires > ?",
                (_hash(token), int(time.time())),
            ).fetchone()
        return str(row[0]) if row else None

    def log_out(self, token: str) -> None:
        """End a session."""
        with closing(self._connect()) as database, database:
            database.execute("DELETE FROM sessions WHERE sha256 = ?", (_hash(token),))


def _read_usage(database: sqlite3.Connection, day: int) -> Counter[str]:
    rows = database.execute("SELECT key, tokens FROM usage WHERE day = ?", (day,))
    return Counter(dict(rows.fetchall()))


def _hash(token: str) -> bytes:
    """192 random bits need no slow hash, as with keys. The time of looking a hash up tells nothing:
    nobody can choose a token whose hash begins as that of another."""
    return hashlib.sha256(token.encode()).digest()
