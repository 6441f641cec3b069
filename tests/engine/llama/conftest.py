"""A real engine inside the test's own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from engine.generation import Generation, Job
from engine.llama.engine import LocalEngine
from engine.models.catalogue import EMBEDDED
from engine.settings import Engine as EngineSettings
from tests.conftest import MODEL


@asynccontextmanager
async def running_engine(**settings: Any) -> AsyncIterator[LocalEngine]:
    """A started LocalEngine on the embedded model, stopped at the end.

    One thread: several wait for each other at every operation, which on a busy machine takes long.
    """
    entry = EMBEDDED.model_copy(update={"file": MODEL})
    engine = LocalEngine(entry, EngineSettings(**{"sequences": 4, "threads": 1, **settings}))
    await engine.start()
    try:
        yield engine
    finally:
        engine.stop()
        while not engine.stopped:
            await asyncio.sleep(0.005)


async def text_of(generation: Generation) -> str:
    """All text of a generation."""
    pieces: list[str] = []
    while (new := await generation.read()) or not generation.ended:
        pieces += new
    return "".join(pieces)


def job(text: str = "Where is the station?", target: str = "de", **more: Any) -> Job:
    """A greedy job into German."""
    return Job(text=text, source_lang="en", target_lang=target, **more)


@pytest.fixture
def with_engine() -> Callable[..., Any]:
    """`with_engine(test, **settings)` runs the coroutine function `test(engine)`."""

    def run(test: Callable[[LocalEngine], Coroutine[Any, Any, Any]], **settings: Any) -> Any:
        async def main() -> Any:
            async with running_engine(**settings) as engine:
                return await asyncio.wait_for(test(engine), 60)

        return asyncio.run(main())

    return run
