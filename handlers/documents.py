"""Documents that are translated in the background, and kept until they are fetched."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
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
    owner: str  # the client that it is kept for
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
        """Keep one from now on. Raises Overloaded where there are too many.

        Nobody fills the room for others: where it is full, whoever keeps more than the newcomer's
        owner would loses the oldest that is ready.
        """
        while self._full_for(document):
            crowding = self._of_who_keeps_most(document.owner)
            if crowding is None:
                raise Overloaded("Too many documents are kept already.", 60.0)
            self.forget(crowding)
        self._documents[document.id] = document
        asyncio.get_running_loop().call_later(_KEPT, self.forget, document)

    def _full_for(self, document: Document) -> bool:
        kept = sum(each.size for each in self._documents.values())
        return len(self._documents) >= _MOST or kept + document.size > _MOST_BYTES

    def _of_who_keeps_most(self, newcomer: str) -> Document | None:
        """The oldest that is ready of the owner with most of them; None where it is `newcomer`."""
        counts = Counter(each.owner for each in self._documents.values())
        ready = [each for each in self._documents.values() if each.status in ("done", "error")]
        ready = [each for each in ready if counts[each.owner] > counts[newcomer] + 1]
        return max(ready, key=lambda each: counts[each.owner], default=None)

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
