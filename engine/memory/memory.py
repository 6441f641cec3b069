"""The translation memory as the event loop sees it: never in the way, whatever its file does."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sqlite3
import time
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path
from typing import TypeVar
from weakref import WeakKeyDictionary

from engine.generation import Generation, Job
from engine.interface import Engine
from engine.memory.places import Place
from engine.memory.store import Entry, Store, StoreFull
from engine.models.catalogue import ModelEntry

logger = logging.getLogger("babelbrook.memory")
T = TypeVar("T")

_PATIENCE = 0.05  # seconds that a request waits for the memory: then it is translated
_TELL = 60.0  # seconds between two warnings
_BACKLOG = 1000  # segments that may wait to be written; further ones are forgotten


class Memory:
    """Keeps translations under all that they depend on.

    Their place is used by a thread of its own. Where that fails or is slow, there is a warning once
    a minute at most, and nothing is found or kept meanwhile.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self.similar = place.similar()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="memory")
        self._store: Store | None = None
        self._resting_until = 0.0  # monotonic seconds
        self._told_at = -_TELL  # the same
        self._closed = False
        self._waiting = 0  # segments that are to be written
        # Of each engine, None while its files are read.
        self._identities: WeakKeyDictionary[Engine, str | None] = WeakKeyDictionary()
        self.hits = self.misses = 0

    async def get(self, job: Job, engine: Engine) -> list[str] | None:
        """The pieces of an answer to this very job by this model, or else what people made."""
        if self._is_away() or (identity := self._identity(engine)) is None:
            return None
        keys = [_key(job, identity)]
        if job.source_lang is not None and not job.hints:
            keys.append(key_of_people(job.text, job.source_lang, job.target_lang))
        loop = asyncio.get_running_loop()
        asked = loop.run_in_executor(self._thread, self._try, lambda store: store.get(keys))
        await asyncio.wait({asked}, timeout=_PATIENCE)
        found = asked.result() if asked.done() else None
        self.hits += found is not None
        self.misses += found is None
        return found

    def put(self, generation: Generation, engine: Engine) -> None:
        """Keep an answer that is complete, some time soon; not one that began in another."""
        job = generation.job
        if job.answer or generation.finish != "stop" or not generation.output_tokens:
            return
        identity = self._identities.get(engine)
        if self._is_away() or self._waiting >= _BACKLOG or identity is None:
            return
        self._waiting += 1
        entry = Entry(
            _key(job, identity),
            job.source_lang,
            job.target_lang,
            engine.entry.name,
            job.text,
            generation.pieces,
        )
        self._thread.submit(self._write, entry)

    def _identity(self, engine: Engine) -> str | None:
        """What tells a loaded model and its prompt from all others; None while that is found out.

        The file of a large model is read for seconds, and nobody waits for that.
        """
        if engine not in self._identities:
            if self._place.shared:
                self._identities[engine] = None
                reading = asyncio.get_running_loop().run_in_executor(None, _contents, engine.entry)
                reading.add_done_callback(lambda read: self._learn(engine, read.result()))
            else:
                self._learn(engine, _status(engine.entry))
        return self._identities[engine]

    def _learn(self, engine: Engine, file: Sequence[str | int]) -> None:
        entry = engine.entry
        self._identities[engine] = json.dumps([entry.name, file, entry.prompt.model_dump()])

    def _write(self, entry: Entry) -> None:
        self._waiting -= 1
        self._try(lambda store: store.put(entry))

    def _try(self, work: Callable[[Store], T]) -> T | None:
        """On the thread: do it, or warn and rest."""
        if self._rests():
            return None
        try:
            if self._store is None:
                self._store = self._place.open()
            return work(self._store)
        except StoreFull as error:
            self._tell(f"keeps nothing new: {error}")
        except (sqlite3.Error, OSError, ValueError) as error:
            rest = self._place.rest
            self._resting_until = time.monotonic() + rest
            self._tell(f"cannot be used, and is tried again every {rest:g} s: {error}")
            self._close_store()
        return None

    def _tell(self, what: str) -> None:
        if time.monotonic() - self._told_at >= _TELL:
            self._told_at = time.monotonic()
            logger.warning("The translation memory %s %s.", self._place.name, what)

    def _is_away(self) -> bool:
        return self._closed or self._rests()

    def _rests(self) -> bool:
        return time.monotonic() < self._resting_until

    def _close_store(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            try:
                store.close()
            except sqlite3.Error as error:
                logger.debug("The translation memory could not be closed: %s.", error)

    def close(self) -> None:
        """Write what waits and let go of the place; returns at once. Nothing is kept any more."""
        if self._closed:
            return
        self._closed = True
        if self.similar is not None:
            self.similar.close()
        self._thread.submit(self._close_store)
        self._thread.shutdown(wait=False)


def _status(entry: ModelEntry) -> Sequence[int]:
    """Size and time of a model's file on this machine."""
    try:
        status = entry.file.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def _contents(entry: ModelEntry) -> Sequence[str]:
    """What its files hold, as hashes: the same on every machine."""
    try:
        return [_sha256(file) for file in entry.files if file.is_file()]
    except OSError:
        return []


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _key(job: Job, model: str) -> bytes:
    """Stands for all that the answer of a model with this identity depends on."""
    asked = [
        model,
        _normal(job.text),
        job.source_lang,
        job.target_lang,
        astuple(job.hints),
        astuple(job.sampling),
        job.max_tokens,
    ]
    return hashlib.sha256(json.dumps(asked).encode()).digest()


def key_of_people(text: str, source_lang: str, target_lang: str) -> bytes:
    """The key of a translation that people made, for whatever model."""
    return hashlib.sha256(json.dumps([_normal(text), source_lang, target_lang]).encode()).digest()


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)
