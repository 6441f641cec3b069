"""Documents that are kept until they are fetched: many of one client leave room for others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from engine.errors import Overloaded
from handlers.base import NotFound
from handlers.documents import Document, Documents

MOST = 100  # that are kept


def ready(owner: str, size: int = 1) -> Document:
    return Document("a.txt", size, owner, status="done")


def run(test: Callable[[Documents], None]) -> None:
    async def main() -> None:
        test(Documents())

    asyncio.run(main())


def test_who_fills_the_room_loses_the_oldest_that_is_ready_to_others() -> None:
    def test(documents: Documents) -> None:
        running = Document("a.txt", 1, "many", status="translating")
        many = [running, *(ready("many") for _ in range(MOST - 1))]
        for document in many:
            documents.add(document)
        with pytest.raises(Overloaded):
            documents.add(ready("many"))
        one = ready("one")
        documents.add(one)
        assert documents.find(one.id, one.key) is one
        assert documents.find(running.id, running.key) is running
        with pytest.raises(NotFound):
            documents.find(many[1].id, many[1].key)
        assert documents.find(many[2].id, many[2].key) is many[2]

    run(test)


def test_room_in_bytes_is_shared_in_the_same_way() -> None:
    def test(documents: Documents) -> None:
        large = [ready("many", 16 * 2**20) for _ in range(4)]
        for document in large:
            documents.add(document)
        documents.add(ready("one", 2**20))
        with pytest.raises(NotFound):
            documents.find(large[0].id, large[0].key)

    run(test)


def test_nobody_is_pushed_out_by_one_who_keeps_as_much() -> None:
    def test(documents: Documents) -> None:
        for number in range(MOST):
            documents.add(ready("abcd"[number % 4]))
        with pytest.raises(Overloaded):
            documents.add(ready("a"))

    run(test)
