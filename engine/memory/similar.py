"""Segments in the translation memory that are like another one, as CAT tools show them.

An index of trigrams (https://www.sqlite.org/fts5.html#the_trigram_tokenizer) gives candidates,
rapidfuzz their similarity. They are looked for on a thread of their own, so that exact hits never
wait, and within bounds of time.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rapidfuzz import fuzz

logger = logging.getLogger("babelbrook.memory")

Which = Literal["off", "imported", "all"]

LEAST = 0.7  # similarity of a match; below it they help nobody
_PATIENCE = 0.5  # seconds that a translation waits for its matches
_TIME_LIMIT = 0.2  # seconds of a look into the file
_BETWEEN = 1000  # instructions of SQLite between two looks at the clock
_RAREST = 10  # trigrams of a text that are looked up, of those that the memory has at all
_CANDIDATES = 100
_LONGEST = 1000  # characters of a text; longer ones have no matches

# https://www.sqlite.org/fts5.html#external_content_tables
_SCHEMA = """
BEGIN;
CREATE VIRTUAL TABLE similar USING fts5(
    source, content = 'segments', content_rowid = 'rowid', tokenize = 'trigram', detail = 'none'
);
CREATE VIRTUAL TABLE similar_trigrams USING fts5vocab('similar', 'row');
CREATE TRIGGER similar_new AFTER INSERT ON segments BEGIN
    INSERT INTO similar (rowid, source) VALUES (new.rowid, new.source);
END;
CREATE TRIGGER similar_old AFTER DELETE ON segments BEGIN
    INSERT INTO similar (similar, rowid, source) VALUES ('delete', old.rowid, old.source);
END;
CREATE TRIGGER similar_other AFTER UPDATE OF source ON segments BEGIN
    INSERT INTO similar (similar, rowid, source) VALUES ('delete', old.rowid, old.source);
    INSERT INTO similar (rowid, source) VALUES (new.rowid, new.source);
END;
INSERT INTO similar (similar) VALUES ('rebuild');
COMMIT;
"""


def index(db: sqlite3.Connection) -> None:
    """Make the index where there is none, of all segments; from then on it follows them by itself.

    Takes about a second for 100,000 segments. Where this SQLite has no trigrams (before 3.34) there
    is a warning, and no index.
    """
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'similar'").fetchone():
        return
    try:
        db.executescript(_SCHEMA)
    except sqlite3.OperationalError as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        logger.warning("Similar segments will not be found: %s.", error)


@dataclass(frozen=True, slots=True)
class Match:
    """A segment of the memory, its translation, and how like the source is: 0.7 to 1."""

    source: str
    translation: str
    score: float


class Similar:
    """Looks for matches in the memory's file; `which` says among whose translations."""

    def __init__(self, path: str, which: Which) -> None:
        self._path, self._imported = path, which == "imported"
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="similar")

    async def find(self, text: str, source_lang: str, target_lang: str, most: int) -> list[Match]:
        """The likest segments first; none where that takes too long or the file cannot be used."""
        if len(text) > _LONGEST:
            return []
        loop = asyncio.get_running_loop()
        try:
            asked = loop.run_in_executor(
                self._thread, self._try, text, source_lang, target_lang, most
            )
        except RuntimeError:  # it is closed
            return []
        await asyncio.wait({asked}, timeout=_PATIENCE)
        return asked.result() if asked.done() and not asked.cancelled() else []

    def _try(self, text: str, source_lang: str, target_lang: str, most: int) -> list[Match]:
        if not Path(self._path).is_file():
            return []
        deadline = time.monotonic() + _TIME_LIMIT
        try:
            address = f"{Path(self._path).absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(address, uri=True, timeout=0)) as db:
                db.set_progress_handler(lambda: time.monotonic() > deadline, _BETWEEN)
                return self._look(db, text, source_lang, target_lang, most)
        except (sqlite3.Error, ValueError) as error:  # among them: no index, too late, locked
            logger.debug("No similar segments: %s.", error)
            return []

    def _look(
        self, db: sqlite3.Connection, text: str, source_lang: str, target_lang: str, most: int
    ) -> list[Match]:
        wanted = _rarest(db, text)
        if not wanted:
            return []
        whose = "AND s.model IS NULL" if self._imported else ""
        rows = db.execute(
            "SELECT s.source, s.pieces FROM similar JOIN segments AS s ON s.rowid = similar.rowid"
            f" WHERE similar MATCH ? AND s.source_lang = ? AND s.target_lang = ? {whose}"
            " ORDER BY similar.rank LIMIT ?",
            (" OR ".join(map(_quoted, wanted)), source_lang, target_lang, _CANDIDATES),
        )
        found = {}
        for source, pieces in rows:
            score = fuzz.ratio(text, source, score_cutoff=100 * LEAST) / 100
            if score:
                translation = "".join(json.loads(pieces))
                found[source, translation] = Match(source, translation, round(score, 3))
        return sorted(found.values(), key=lambda match: -match.score)[:most]

    def close(self) -> None:
        """Returns at once; nothing is found any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _rarest(db: sqlite3.Connection, text: str) -> list[str]:
    """Those of a text's trigrams that tell most of it: common ones are in every second segment."""
    plain = text.casefold()
    trigrams = list({plain[at : at + 3] for at in range(len(plain) - 2)})
    known = db.execute(
        f"SELECT term FROM similar_trigrams WHERE term IN ({','.join('?' * len(trigrams))})"
        " ORDER BY doc LIMIT ?",
        (*trigrams, _RAREST),
    )
    return [term for (term,) in known]


def _quoted(term: str) -> str:
    return '"' + term.replace('"', '""') + '"'
