"""The embedded model with a chat template in its file, and engines inside the test's own loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from engine.llama.engine import LocalEngine
from engine.models.catalogue import EMBEDDED, ModelEntry, PromptSpec
from engine.settings import Engine as EngineSettings

MODELS = Path(__file__).parents[3] / "models"

CHAT_TEMPLATES = {
    "plain": "{{ bos_token }}<2ja>{{ messages[0]['content'] }}<sep>",
    "trimming": "{{ bos_token }}<2ja>{{ messages[0]['content'] | trim }}\n<sep>",
}

Running = Callable[[ModelEntry], AbstractAsyncContextManager[LocalEngine]]


@pytest.fixture(scope="session", params=CHAT_TEMPLATES)
def chat_entry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> ModelEntry:
    """An entry for a copy of the embedded model that is asked by the chat template in its file."""
    file = tmp_path_factory.mktemp("chat") / f"{request.param}.gguf"
    template = CHAT_TEMPLATES[request.param]
    command = [sys.executable, "-m", "gguf.scripts.gguf_new_metadata", "--chat-template", template]
    subprocess.run(
        [*command, str(MODELS / EMBEDDED.file), str(file)], check=True, capture_output=True
    )
    prompt = PromptSpec(template="{text}", chat=True)
    return EMBEDDED.model_copy(
        update={
            "name": request.param,
            "file": file,
            "target_langs": ("ja",),
            "prompt": prompt,
            "copies_keeps": True,
        }
    )


@pytest.fixture(scope="session")
def plain_entry() -> ModelEntry:
    """The embedded model with its own prompt form."""
    return EMBEDDED.model_copy(update={"file": MODELS / EMBEDDED.file})


@pytest.fixture
def running() -> Running:
    """`async with running(entry) as engine`: a started engine, stopped at the end."""

    @asynccontextmanager
    async def start(entry: ModelEntry) -> AsyncIterator[LocalEngine]:
        engine = LocalEngine(entry, EngineSettings(sequences=4, threads=1))
        await engine.start()
        try:
            yield engine
        finally:
            engine.stop()
            while not engine.stopped:
                await asyncio.sleep(0.005)

    return start
