"""How one model takes another's place, with real models on a real engine."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ModelError, ModelUnloaded, NotReady, ShuttingDown, UnknownModel
from engine.generation import Job
from engine.interface import Engine
from engine.models.catalogue import EMBEDDED, Catalogue
from engine.models.loading import Loader
from engine.models.pool import Pool
from engine.settings import Engine as EngineSettings
from tests.conftest import MODEL
from tests.engine.llama.conftest import job, text_of

SETTINGS = EngineSettings(sequences=2, threads=1, batch=128, self_check=False)
LONG = job(ignore_eos=True, max_tokens=300)
HELLO = " Hallo."  # as its tokens have it
EN_DE = {
    "source_langs": ["en"],
    "target_langs": ["de"],
    "prompt": EMBEDDED.prompt.model_dump(exclude_none=True),
}


class Models:
    """Copies of the embedded model by the names a, b and c, and a file that is none: bad."""

    def __init__(self, folder: Path) -> None:
        for name in ("a", "b", "c"):
            shutil.copy(MODEL, folder / f"{name}.gguf")
        (folder / "bad.gguf").write_bytes(MODEL.read_bytes()[:5_000_000])
        entries = [{"name": n, "file": f"{n}.gguf"} | EN_DE for n in ("a", "b", "c", "bad", "away")]
        self.loader = Loader(Catalogue(folder, entries), SETTINGS)

    @asynccontextmanager
    async def pool(self, **more: Any) -> AsyncIterator[Pool]:
        """A started pool with `a` selected, stopped at the end."""
        pool = Pool(await self.loader.make(self.loader.find("a")), self.loader, **more)
        await pool.start()
        try:
            yield pool
        finally:
            pool.stop()
            while not pool.stopped:
                await asyncio.sleep(0.005)


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path)


Test = Callable[[Pool], Coroutine[Any, Any, None]]


@pytest.fixture
def run(models: Models) -> Callable[..., None]:
    """`run(test, **arguments of the pool)`."""

    def run(test: Test, **more: Any) -> None:
        async def main() -> None:
            async with models.pool(**more) as pool:
                await asyncio.wait_for(test(pool), 60)

        asyncio.run(main())

    return run


async def select(pool: Pool, name: str) -> None:
    await pool.select(name, lambda done, total: None, lambda: None)


async def gone(pool: Pool, count: int = 1) -> None:
    """Wait until no more than `count` engines are there, those that leave counted too."""
    while pool.status().sequences > 2 * count:
        await asyncio.sleep(0.01)


async def answered_by(pool: Pool, name: str | None = None) -> str:
    """The model that answers a request."""
    async with pool.lease(name) as engine:
        assert await text_of(engine.submit(job("Hello."))) == HELLO
        return engine.entry.name


def test_new_requests_go_to_the_new_model(run: Callable[..., None]) -> None:
    async def test(pool: Pool) -> None:
        assert await answered_by(pool) == "a"
        await select(pool, "b")
        assert await answered_by(pool) == "b"
        assert pool.entry.name == "b"
        await gone(pool)
        with pytest.raises(UnknownModel, match="it is 'b' that does"):
            await answered_by(pool, "a")

    run(test)


def test_a_running_request_finishes_on_the_model_it_began_with(run: Callable[..., None]) -> None:
    async def test(pool: Pool) -> None:
        alone = await text_of(pool.submit(LONG))
        async with pool.lease(None) as old:
            running = old.submit(LONG)
            await select(pool, "b")
            assert running.finish is None  # a switch takes less time than this stream
            assert await text_of(running) == alone
            assert running.finish == "length"
            # The next segment of the same text goes there too.
            assert await text_of(old.submit(job("Hello."))) == HELLO
            assert pool.status().sequences == 4
        await gone(pool)

    run(test)


def test_counters_go_on_over_a_switch(run: Callable[..., None]) -> None:
    async def test(pool: Pool) -> None:
        await answered_by(pool)
        before = pool.status()
        await select(pool, "b")
        await gone(pool)
        await answered_by(pool)
        after = pool.status()
        assert after.tokens == 2 * before.tokens
        assert after.prompt_tokens == 2 * before.prompt_tokens
        assert after.sequences == before.sequences

    run(test)


def test_a_failed_load_leaves_the_old_model_serving(run: Callable[..., None]) -> None:
    async def test(pool: Pool) -> None:
        with pytest.raises(ModelError, match="corrupted or incomplete"):
            await select(pool, "bad")
        assert pool.loading is None
        assert await answered_by(pool) == "a"
        with pytest.raises(ModelError, match="no source"):
            await select(pool, "away")
        with pytest.raises(UnknownModel, match="Known are tatoeba-mini, "):
            await select(pool, "nope")

    run(test)


def test_switches_at_once_queue(run: Callable[..., None], models: Models) -> None:
    loading: list[int] = []
    make = models.loader.make

    async def watched(entry: Any) -> Engine:
        loading.append(+1)
        assert sum(loading) == 1
        try:
            return await make(entry)
        finally:
            loading.append(-1)

    models.loader.make = watched  # type: ignore[method-assign]

    async def test(pool: Pool) -> None:
        await asyncio.gather(*(select(pool, name) for name in ("b", "c", "b", "a", "c")))
        assert await answered_by(pool) == "c"
        await gone(pool)

    run(test)


def test_who_asks_for_a_switch_may_leave_once_it_loads(run: Callable[..., None]) -> None:
    async def test(pool: Pool) -> None:
        begun = asyncio.Event()
        asker = asyncio.ensure_future(pool.select("b", lambda done, total: None, begun.set))
        await begun.wait()
        await asyncio.sleep(0)
        asker.cancel()
        while pool.entry.name != "b":
            await asyncio.sleep(0.01)
        assert await answered_by(pool) == "b"

    run(test)


# Without memory for two


@pytest.fixture
def cramped(models: Models) -> Models:
    """A machine with memory for one model."""
    models.loader.fits_beside = lambda entry, loaded: not loaded  # type: ignore[method-assign]
    return models


def test_without_room_the_old_model_drains_first(cramped: Models, run: Callable[..., None]) -> None:
    async def test(pool: Pool) -> None:
        async with pool.lease(None) as old:
            running = old.submit(LONG)
            switch = asyncio.ensure_future(select(pool, "b"))
            while pool.loading is None:
                await asyncio.sleep(0)
            assert not pool.status().ready
            with pytest.raises(NotReady, match="b is being loaded"):
                await answered_by(pool)
            await text_of(running)
            assert running.finish == "length"
            assert pool.status().sequences == 2  # the new one is not there yet
        await switch
        assert await answered_by(pool) == "b"
        assert pool.status().sequences == 2

    run(test)


def test_without_room_a_failed_load_brings_the_old_model_back(
    cramped: Models, run: Callable[..., None]
) -> None:
    async def test(pool: Pool) -> None:
        with pytest.raises(ModelError, match="corrupted or incomplete"):
            await select(pool, "bad")
        assert await answered_by(pool) == "a"

    run(test)


def test_without_room_requests_that_take_too_long_are_ended(
    cramped: Models, run: Callable[..., None]
) -> None:
    async def test(pool: Pool) -> None:
        async with pool.lease(None) as old:
            running = old.submit(LONG)
            await select(pool, "b")
            with pytest.raises(ModelUnloaded, match="make room for another one"):
                await text_of(running)
        assert await answered_by(pool) == "b"

    run(test, patience=0.01)


@pytest.mark.parametrize("way", ["select", "lease"])
def test_a_pool_that_stops_waits_for_no_load_and_brings_nothing_back(
    cramped: Models, run: Callable[..., None], way: str
) -> None:
    """What is told then is that the server stops, and not that a model is missing."""
    made: list[str] = []

    async def never(entry: Any) -> Engine:
        made.append(entry.name)
        await asyncio.Event().wait()
        raise AssertionError

    async def test(pool: Pool) -> None:
        cramped.loader.make = never  # type: ignore[method-assign]
        cramped.loader.fits_beside = lambda entry, loaded: way == "lease" or not loaded  # type: ignore[method-assign]
        asked = asyncio.ensure_future(
            select(pool, "b") if way == "select" else answered_by(pool, "b")
        )
        while pool.loading != "b" or not made:
            await asyncio.sleep(0)
        pool.stop()
        with pytest.raises(ShuttingDown):
            await asked
        assert made == ["b"]

    run(test, most=1 if way == "select" else 2)


# Several at once


def test_a_request_may_name_a_model_and_the_least_used_one_goes(run: Callable[..., None]) -> None:
    async def test(pool: Pool) -> None:
        assert [await answered_by(pool, name) for name in ("b", None, "b", "a")] == list("baba")
        assert pool.loaded("b")
        assert await answered_by(pool, "c") == "c"
        assert [pool.loaded(name) for name in ("a", "b", "c")] == [True, False, True]
        assert pool.entry.name == "a"  # naming a model selects nothing
        with pytest.raises(UnknownModel, match="away is not here yet"):
            await answered_by(pool, "away")
        with pytest.raises(ModelError, match="corrupted or incomplete"):
            await answered_by(pool, "bad")

    run(test, most=2)


def test_many_who_name_one_model_wait_for_one_load(run: Callable[..., None]) -> None:
    async def test(pool: Pool) -> None:
        names = await asyncio.gather(*(answered_by(pool, "b") for _ in range(5)))
        assert names == ["b"] * 5
        assert pool.status().sequences == 4

    run(test, most=2)


def test_a_model_that_does_not_fit_beside_the_selected_one_is_refused(
    cramped: Models, run: Callable[..., None]
) -> None:
    async def test(pool: Pool) -> None:
        with pytest.raises(NotReady, match="no memory for b beside a"):
            await answered_by(pool, "b")
        assert await answered_by(pool) == "a"

    run(test, most=2)


@pytest.mark.slow
def test_memory_is_flat_over_many_switches(run: Callable[..., None]) -> None:
    def figures() -> tuple[int, int, int]:
        """Resident bytes, threads, open files."""
        gc.collect()
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return resident, threading.active_count(), len(os.listdir("/proc/self/fd"))

    async def test(pool: Pool) -> None:
        figures_of = []
        for number in range(20):
            await select(pool, "bc"[number % 2])
            await answered_by(pool)
            await gone(pool)
            figures_of.append(figures())
        early, late = figures_of[3], figures_of[-1]
        assert late[0] <= early[0] * 1.05
        assert late[1:] == early[1:]

    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc")
    run(test)


def test_a_pool_of_one_engine_knows_no_other() -> None:
    from engine.echo import EchoEngine

    async def main() -> None:
        pool = Pool(EchoEngine())
        await pool.start()
        await select(pool, "echo")
        with pytest.raises(UnknownModel, match="only echo"):
            await select(pool, "b")
        async with pool.lease("echo") as engine:
            assert await text_of(engine.submit(Job("Hello.", None, "de"))) == "Hello."
        pool.stop()

    asyncio.run(main())
