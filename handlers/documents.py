"""Documents that are translated in the background, and kept until they are fetched."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.errors import Overloaded
from handlers.base import NotFound

_MOST = 100  # documents
_MOST_BYTES = 64 * 2**20  # of all of them
_KEPT = 3600.0  # seconds


@dataclass
class Document:
    """`id` is public, `key` is not; without the key nobody gets it."""

    name: str
    size: int  # bytes that it takes at most
    id: str = field(default_factory=lambda: secrets.token_hex(16).upper())
    key: str = field(default_factory=lambda: secrets.token_hex(32).upper())
    status: Literal["queued", "translating", "done", "error"] = "queued"
    characters: int = 0
    content: bytes = b""
    untranslated: int = 0  # segments that came back as their source
    error: str = ""


class Documents:
    """All of them, by id; each is forgotten after an hour."""

    def __init__(self) -> None:
        self._documents: dict[str, Document] = {}
        self._tasks: set[asyncio.Task[None]] = set()  # asyncio itself holds them weakly

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Translate in the background."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def add(self, document: Document) -> None:
        """Keep one from now on. Raises Overloaded where there are too many."""
        bytes_kept = sum(each.size for each in self._documents.values())
        if len(self._documents) >= _MOST or bytes_kept + document.size > _MOST_BYTES:
            raise Overloaded("Too many documents are kept already.", 60.0)
        self._documents[document.id] = document
        asyncio.get_running_loop().call_later(_KEPT, self.forget, document)

    def find(self, document_id: str, key: object) -> Document:
        """Raises NotFound, also for a wrong key."""
        document = self._documents.get(document_id.upper())
        given = key.upper() if isinstance(key, str) else ""
        if document is None or not secrets.compare_digest(document.key.encode(), given.encode()):
            raise NotFound("There is no such document, or it is not kept any more.")
        return document

    def forget(self, document: Document) -> None:
        """Keep it no longer."""
        self._documents.pop(document.id, None)
