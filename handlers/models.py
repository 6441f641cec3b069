"""`GET /models`: which models there are. `POST /models/select`: let another one answer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

from engine.errors import BabelbrookError, BadRequest, UnknownLanguage
from engine.models import sizes
from engine.models.catalogue import EMBEDDED, Catalogue, ModelEntry
from engine.models.pool import Pool
from engine.settings import Settings
from engine.translation import languages
from handlers import sse
from handlers.activity import Activity
from handlers.auth import ADMIN, ANY_KEY
from handlers.base import BodyHandler, GetHandler


class ModelsHandler(GetHandler):
    """The catalogue, exactly one entry of it selected."""

    access = ANY_KEY

    def initialize(self, pool: Pool, catalogue: Catalogue) -> None:
        self.pool, self.catalogue = pool, catalogue

    def get(self) -> None:
        self.write_json({"models": [self._model(entry) for entry in self._entries()]})

    def _entries(self) -> Iterator[ModelEntry]:
        """The catalogue, and the selected model where it is a file that lies elsewhere."""
        selected = self.pool.entry
        there = False
        for entry in self.catalogue:
            there = there or entry.name == selected.name
            yield entry
        if not there:
            yield selected

    def _model(self, entry: ModelEntry) -> dict[str, Any]:
        size = entry.size
        return {
            "name": entry.name,
            "params": sizes.parameters(entry.parameters),
            "size": sizes.size(size),
            "downloaded": entry.downloaded,
            "selected": entry.name == self.pool.entry.name,
            "loaded": self.pool.loaded(entry.name),
            "embedded": entry.name == EMBEDDED.name and entry.file.name == EMBEDDED.file.name,
            "parameters": entry.parameters,
            "size_bytes": size,
            "licence": entry.licence,
            "commercial_use": entry.commercial_use,
            "source_langs": entry.source_langs,
            "target_langs": entry.target_langs,
            "pivot": entry.pivot,
            "repository": entry.source.repository if entry.source else None,
            "pinned": entry.source.pinned if entry.source else None,
        }


class SelectHandler(BodyHandler):
    """Downloads a model where it is not there, loads it, and lets new requests go to it.

    A stream of objects with `status`: "downloading" with `progress` in per cent, "loading", and
    last "ready" or "error" with `message`. A client that leaves stops the download, not the load.
    """

    access = ADMIN

    def initialize(self, pool: Pool, settings: Settings, activity: Activity) -> None:
        self.pool, self.config, self.activity = pool, settings, activity
        self.body_limit = settings.limits.body_bytes
        self._news: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._told = -1  # per cent
        self._work: asyncio.Task[None] | None = None

    def on_connection_close(self) -> None:
        """The client has left: nobody waits for the download any more."""
        super().on_connection_close()
        if self._work is not None:
            self._work.cancel()
        self._news.put_nowait(None)

    async def post(self) -> None:
        self.activity.check()
        name = self.json_object().get("model")
        if not isinstance(name, str) or not name:
            raise BadRequest("'model' is required")
        self.pool.find(name)  # told before the stream
        streams = self.config.streams
        stream = sse.EventStream(
            self, heartbeat=streams.heartbeat, stall_timeout=streams.stall_timeout
        )
        stream.open()
        self._work = asyncio.ensure_future(self._select(name))
        try:
            await self._tell(stream)
        except sse.ReaderGone:
            self.aborted = True
        finally:
            self._work.cancel()
        await self.end_stream(streams.stall_timeout)

    async def _select(self, name: str) -> None:
        try:
            await self.pool.select(
                name, self._on_progress, lambda: self._news.put_nowait({"status": "loading"})
            )
            end: dict[str, Any] = {"status": "ready", "model": name} | self._remark()
        except BabelbrookError as failure:
            self.log_fields["error"] = failure.code
            end = {"status": "error", "message": failure.sentence, "code": failure.code}
        except Exception:
            self.log_exception(*sys.exc_info())
            end = {"status": "error", "message": "The switch failed; the log says why."}
        self._news.put_nowait(end)
        self._news.put_nowait(None)

    def _remark(self) -> dict[str, str]:
        """What to know of a model that cannot do the language that requests may leave out."""
        entry, default = self.pool.entry, self.config.translation.target_lang
        try:
            languages.choose(default, entry.target_langs)
        except UnknownLanguage:
            known = ", ".join(entry.target_langs)
            sentence = f"It does not translate into {default}: name a target_lang of {known}."
            return {"remark": sentence}
        return {}

    def _on_progress(self, done: int, total: int) -> None:
        progress = 100 * done // total if total else 100
        if progress != self._told:
            self._told = progress
            self._news.put_nowait(
                {"status": "downloading", "progress": progress, "bytes": done, "total": total}
            )

    async def _tell(self, stream: sse.EventStream) -> None:
        await stream.send([])  # the headers tell that the request was understood
        while True:
            try:
                news = await asyncio.wait_for(self._news.get(), self.config.streams.heartbeat)
            except TimeoutError:
                await stream.send([sse.PING])
                continue
            if news is None:
                return
            await stream.send([sse.data(news)])
