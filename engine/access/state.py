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
from typing import NoReturn, Protocol

from engine.access.keys import AccessError

logger = logging.getLogger("babelbrook.access")

DAY = 86_400  # seconds; days are those of UTC
SESSION_SECONDS = 90 * DAY  # dashboards stay connected for weeks, and come back after a restart
KEPT_DAYS = 400  # of usage, for bills
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

Usage = Counter[tuple[str, int]]  # tokens by key and day


def today() -> int:
    """The number of the day."""
    return int(time.time()) // DAY


def seconds_to_midnight() -> float:
    """Until quotas begin anew."""
    return DAY - time.time() % DAY


def new_token() -> str:
    """What the cookie of a session holds."""
    return secrets.token_urlsafe(24)


def token_hash(token: str) -> bytes:
    """192 random bits need no slow hash, as with keys. The time of looking a hash up tells nothing:
    nobody can choose a token whose hash begins as that of another."""
    return hashlib.sha256(token.encode()).digest()


class Accounts(Protocol):
    """Usage and sessions, wherever they are kept. Keys are named by their ids."""

    def open(self) -> None:
        """Read what there is. Raises AccessError."""

    def add(self, key: str, tokens: int) -> None:
        """Count tokens."""

    async def used(self, key: str) -> int:
        """Tokens that the key has used today."""

    async def save(self) -> None:
        """Write down what was counted; what cannot be written is kept for the next time."""

    async def log_in(self, key: str) -> str:
        """Begin a session of a key; returns the token that its cookie holds."""

    async def session(self, token: str) -> str | None:
        """The id of the key whose session that is, None where there is none (any more)."""

    async def log_out(self, token: str) -> None:
        """End a session. Raises NotReady where that cannot be done now."""


async def keep_saving(accounts: Accounts) -> NoReturn:
    """Save once in a while, for ever."""
    while True:
        await asyncio.sleep(_SAVE_SECONDS)
        await accounts.save()


class State:
    """`Accounts` in a file.

    Usage is counted in memory and saved later, on another thread: a disk may take its time.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._day = today()
        self._used: Counter[str] = Counter()  # tokens of today, those of other processes included
        self._unsaved: Usage = Counter()

    def open(self) -> None:
        """Make the file where it is missing, and read what was used today. Raises AccessError."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.touch(mode=0o600)
            with closing(self._connect()) as database, database:
                database.execute("PRAGMA journal_mode = WAL")
                database.executescript(_SCHEMA)
                database.execute("DELETE FROM usage WHERE day < ?", (self._day - KEPT_DAYS,))
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
        """See `Accounts`."""
        self._turn_day()
        self._used[key] += tokens
        self._unsaved[key, self._day] += tokens

    async def used(self, key: str) -> int:
        """See `Accounts`."""
        return self.used_here(key)

    def used_here(self, key: str) -> int:
        """The same, at once."""
        self._turn_day()
        return self._used[key]

    def all_used(self) -> Counter[str]:
        """Tokens of today by key."""
        self._turn_day()
        return self._used

    def _turn_day(self) -> None:
        if (now := today()) != self._day:
            self._day = now
            self._used.clear()

    async def save(self) -> None:
        """See `Accounts`."""
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

    def _write(self, usage: Usage, day: int) -> Counter[str]:
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

    async def log_in(self, key: str) -> str:
        """See `Accounts`."""
        token = new_token()
        expires = int(time.time()) + SESSION_SECONDS
        row = (token_hash(token), key, expires)
        with closing(self._connect()) as database, database:
            database.execute("INSERT INTO sessions VALUES (?, ?, ?)", row)
        return token

    async def session(self, token: str) -> str | None:
        """See `Accounts`."""
        with closing(self._connect()) as database:
            row = database.execute(
                "SELECT key FROM sessions WHERE sha256 = ? AND expires > ?",
                (token_hash(token), int(time.time())),
            ).fetchone()
        return str(row[0]) if row else None

    async def log_out(self, token: str) -> None:
        """See `Accounts`."""
        with closing(self._connect()) as database, database:
            database.execute("DELETE FROM sessions WHERE sha256 = ?", (token_hash(token),))


def _read_usage(database: sqlite3.Connection, day: int) -> Counter[str]:
    rows = database.execute("SELECT key, tokens FROM usage WHERE day = ?", (day,))
    return Counter(dict(rows.fetchall()))
