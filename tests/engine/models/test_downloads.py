"""One download for each file, however many ask."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from engine.models.catalogue import Source
from engine.models.download import DownloadError
from engine.models.downloads import Downloads
from tests.engine.models.hub import STORE_HOSTS, Fault, Hub

CONTENT = os.urandom(1_000_000)
SOURCE = Source(repository="someone/models", file="model.gguf")


class Asker:
    """Somebody who wants the file."""

    def __init__(self, downloads: Downloads, target: Path) -> None:
        self.reports: list[tuple[int, int]] = []
        self.begun = asyncio.Event()
        self.task = asyncio.ensure_future(downloads.get(SOURCE, target, self._report))

    def _report(self, done: int, total: int) -> None:
        self.reports.append((done, total))
        if done >= 600_000:
            self.begun.set()

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


@pytest.fixture
def run(hub: Hub, tmp_path: Path) -> Callable[..., None]:
    """`run(test)` runs `test(ask, target)`, where the file stalls after 600,000 bytes."""
    hub.add(SOURCE.repository, SOURCE.file, CONTENT)
    hub.stalls = [600_000]
    target = tmp_path / "model.gguf"

    def run(test: Callable[..., Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            downloads = Downloads(STORE_HOSTS)
            await test(lambda: Asker(downloads, target), target)

        asyncio.run(asyncio.wait_for(main(), 30))

    return run


def test_all_who_ask_get_progress_of_one_transfer(hub: Hub, run: Callable[..., None]) -> None:
    async def test(ask: Callable[[], Asker], target: Path) -> None:
        first = ask()
        await first.begun.wait()
        second = ask()
        await second.begun.wait()
        hub.go_on.set()
        await asyncio.gather(first.task, second.task)
        assert first.reports[-1] == second.reports[-1] == (1_000_000, 1_000_000)
        assert target.read_bytes() == CONTENT

    run(test)
    assert len(hub.asked("hub HEAD")) == 1


def test_who_leaves_stops_nobody_else(hub: Hub, run: Callable[..., None]) -> None:
    async def test(ask: Callable[[], Asker], target: Path) -> None:
        first, second = ask(), ask()
        await second.begun.wait()
        await first.leave()
        hub.go_on.set()
        await second.task
        assert target.read_bytes() == CONTENT

    run(test)


def test_the_last_who_leaves_stops_it_and_the_next_goes_on(
    hub: Hub, run: Callable[..., None]
) -> None:
    async def test(ask: Callable[[], Asker], target: Path) -> None:
        first = ask()
        await first.begun.wait()
        await first.leave()
        await asyncio.sleep(1.5)  # the stalled thread gives up within the time limit of 1 s
        [part] = target.parent.glob("*.part")
        assert part.stat().st_size == 600_000
        assert not target.exists()
        await ask().task
        assert target.read_bytes() == CONTENT

    run(test)
    assert hub.asked("store GET")[-1]["range"] == "bytes=600000-"


def test_who_comes_while_it_is_being_stopped_gets_the_file(
    hub: Hub, run: Callable[..., None]
) -> None:
    async def test(ask: Callable[[], Asker], target: Path) -> None:
        for _ in range(3):
            asker = ask()
            await asyncio.sleep(0.01)
            await asker.leave()
        await ask().task
        assert target.read_bytes() == CONTENT

    run(test)


def test_a_failure_is_told_to_all_and_the_next_may_try(hub: Hub, run: Callable[..., None]) -> None:
    hub.looks = [Fault(404, "EntryNotFound")]

    async def test(ask: Callable[[], Asker], target: Path) -> None:
        askers = [ask(), ask()]
        for asker in askers:
            with pytest.raises(DownloadError, match="has no file"):
                await asker.task
        hub.go_on.set()
        await ask().task
        assert target.read_bytes() == CONTENT

    run(test)
