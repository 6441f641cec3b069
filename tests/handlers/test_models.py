"""`GET /models`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from engine.echo import EchoEngine
from tests.conftest import MODEL
from tests.handlers.inprocess import serving


def models_of(engine: Any, **settings: Any) -> list[dict[str, Any]]:
    """What an application around `engine` lists."""

    async def test() -> list[dict[str, Any]]:
        await engine.start()
        async with serving(engine, **settings) as served, httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{served.port}/models")
            return list(answer.json()["models"])

    return asyncio.run(test())


def test_the_running_model_is_the_selected_one(client: httpx.Client) -> None:
    models = client.get("/models").json()["models"]
    [selected] = [model for model in models if model["selected"]]
    assert selected["name"] == "tatoeba-mini"
    assert selected["params"] == "11.5M"
    assert selected["size_bytes"] == MODEL.stat().st_size
    assert selected["downloaded"] is True


def test_what_is_not_there_yet_is_listed_with_size_and_licence(client: httpx.Client) -> None:
    models = {model["name"]: model for model in client.get("/models").json()["models"]}
    gemma, tower = models["gemma-2-2b-it"], models["Tower-Plus-2B"]
    assert (gemma["params"], gemma["size"], gemma["downloaded"]) == ("2.6B", "1.7 GB", False)
    assert gemma["commercial_use"] is True
    assert (tower["size"], tower["size_bytes"]) == ("unknown", None)
    assert tower["commercial_use"] is False
    assert (gemma["pinned"], tower["pinned"]) == (True, False)


def test_a_model_from_elsewhere_is_listed_and_selected() -> None:
    models = models_of(EchoEngine())
    assert [model["name"] for model in models if model["selected"]] == ["echo"]


def test_entries_and_files_of_one_s_own_are_listed(tmp_path: Path) -> None:
    (tmp_path / "stray.gguf").write_bytes(bytes(2_000))
    entry = {"name": "mine", "file": "mine.gguf", "parameters": 8_000_000_000}
    models = {
        model["name"]: model
        for model in models_of(EchoEngine(), models={"folder": str(tmp_path), "entries": [entry]})
    }
    assert models["mine"]["params"] == "8B"
    assert models["mine"]["downloaded"] is False
    assert models["stray"]["size"] == "2 kB"
    assert models["stray"]["params"] == "unknown"
    assert models["stray"]["downloaded"] is True
