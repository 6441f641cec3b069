"""The translation memory as the event loop sees it: never in the way, whatever its file does."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sqlite3
import time
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from typing import TypeVar
from weakref import WeakKeyDictionary

from engine.generation import Generation, Job
from engine.interface import Engine
from engine.memory.similar import Similar, Which
from engine.memory.store import Entry, Store
from engine.models.catalogue import ModelEntry

logger = logging.getLogger("babelbrook.memory")
T = TypeVar("T")

_PATIENCE = 0.05  # seconds that a request waits for the memory: then it is translated
_REST = 60.0  # seconds without the memory after its file has failed
_BACKLOG = 1000  # segments that may wait to be written; further ones are forgotten


class Memory:
    """Keeps translations under all that they depend on, in a file or in this process.

    The file is used by a thread of its own. Where it is corrupt, locked, full or slow, there is a
    warning once a minute at most, and nothing is found or kept meanwhile.
    """

    def __init__(self, path: str, room: int, similar: Which = "off") -> None:
        self._path, self._room = path, room
        wanted = similar != "off" and path != ":memory:"  # which no second thread can read
        self.similar = Similar(path, similar) if wanted else None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="memory")
        self._store: Store | None = None
        self._resting_until = 0.0  # monotonic seconds
        self._closed = False
        self._waiting = 0  # segments that are to be written
        self._identities: WeakKeyDictionary[Engine, str] = WeakKeyDictionary()
        self.hits = self.misses = 0

    async def get(self, job: Job, engine: Engine) -> list[str] | None:
        """The pieces of an answer to this very job by this model, or else what people made."""
        if self._is_away():
            return None
        keys = [_key(job, self._identity(engine))]
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
        if self._is_away() or self._waiting >= _BACKLOG:
            return
        self._waiting += 1
        entry = Entry(
            _key(job, self._identity(engine)),
            job.source_lang,
            job.target_lang,
            engine.entry.name,
            job.text,
            generation.pieces,
        )
        self._thread.submit(self._write, entry)

    def _identity(self, engine: Engine) -> str:
        """What tells a loaded model and its prompt from all others."""
        if engine not in self._identities:
            self._identities[engine] = _identity(engine.entry)
        return self._identities[engine]

    def _write(self, entry: Entry) -> None:
        self._waiting -= 1
        self._try(lambda store: store.put(entry))

    def _try(self, work: Callable[[Store], T]) -> T | None:
        """On the thread: do it, or warn and rest."""
        if self._rests():
            return None
        try:
            if self._store is None:
                self._store = Store(self._path, self._room, similar=self.similar is not None)
            return work(self._store)
        except (sqlite3.Error, OSError, ValueError) as error:
            self._resting_until = time.monotonic() + _REST
            logger.warning(
                "The translation memory %s cannot be used for the next minute: %s.",
                self._path,
                error,
            )
            self._close_store()
            return None

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
        """Write what waits and let go of the file; returns at once. Nothing is kept any more."""
        if self._closed:
            return
        self._closed = True
        if self.similar is not None:
            self.similar.close()
        self._thread.submit(self._close_store)
        self._thread.shutdown(wait=False)


def _identity(entry: ModelEntry) -> str:
    """Name, size and time of the file, and the form of the prompt."""
    try:
        status = entry.file.stat()
        file: tuple[int, ...] = (status.st_size, status.st_mtime_ns)
    except OSError:
        file = ()
    return json.dumps([entry.name, file, entry.prompt.model_dump()])


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
