"""`POST /models/select`: from a name to the model that answers, told as it goes."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.models.catalogue import Catalogue
from engine.models.loading import Loader
from engine.models.pool import Pool
from engine.settings import Engine as EngineSettings
from tests.conftest import MODEL, ServerProcess
from tests.engine.models.conftest import hub  # noqa: F401
from tests.engine.models.hub import STORE_HOSTS, Hub
from tests.engine.models.test_pool import EN_DE
from tests.handlers.inprocess import serving

CONTENT = MODEL.read_bytes()
PLAIN = {"name": "plain", "file": str(MODEL)} | EN_DE


class Client:
    """A client of a server with the models `here` (selected), `there` (at a hub) and `bad`."""

    def __init__(self, http: httpx.AsyncClient, file: Path, pool: Pool) -> None:
        self.http, self.file, self.pool = http, file, pool

    async def select(self, name: Any) -> AsyncIterator[dict[str, Any]]:
        """The objects of the stream, which holds nothing else."""
        async with self.http.stream("POST", "/models/select", json={"model": name}) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            async for line in answer.aiter_lines():
                if line:
                    assert line.startswith("data: ")
                    yield json.loads(line.removeprefix("data: "))

    async def selected(self) -> str:
        models = (await self.http.get("/models")).json()["models"]
        [name] = [model["name"] for model in models if model["selected"]]
        return str(name)


Test = Callable[[Client], Coroutine[Any, Any, None]]


@pytest.fixture
def run(hub: Hub, tmp_path: Path) -> Callable[[Test], None]:  # noqa: F811
    """`run(test)` runs `test(client)`."""
    hub.add("someone/models", "there.gguf", CONTENT)
    (tmp_path / "bad.gguf").write_bytes(CONTENT[:5_000_000])
    source = {"repository": "someone/models", "file": "there.gguf"}
    entries = [
        {"name": "here", "file": str(MODEL)} | EN_DE,
        {"name": "there", "source": source} | EN_DE,
    ]
    settings = {"models": {"folder": str(tmp_path), "entries": entries}}
    engine = EngineSettings(sequences=2, threads=1, batch=128, self_check=False)
    loader = Loader(Catalogue(tmp_path, entries), engine, STORE_HOSTS)

    async def main(test: Test) -> None:
        pool = Pool(await loader.make(loader.find("here")), loader)
        await pool.start()
        try:
            async with serving(pool, **settings) as served:
                url = f"http://127.0.0.1:{served.port}"
                async with httpx.AsyncClient(base_url=url, timeout=30) as http:
                    await test(Client(http, tmp_path / "there.gguf", pool))
        finally:
            pool.stop()
            while not pool.stopped:
                await asyncio.sleep(0.005)

    return lambda test: asyncio.run(asyncio.wait_for(main(test), 60))


def test_a_model_is_downloaded_loaded_and_answers(run: Callable[[Test], None]) -> None:
    async def test(client: Client) -> None:
        news = [each async for each in client.select("there")]
        assert [each["status"] for each in news[-2:]] == ["loading", "ready"]
        assert news[-1]["model"] == "there"
        downloading = news[:-2]
        assert {each["status"] for each in downloading} == {"downloading"}
        progress = [each["progress"] for each in downloading]
        assert progress == sorted(set(progress))
        assert progress[-1] == 100
        assert client.file.read_bytes() == CONTENT
        assert await client.selected() == "there"
        ready = await client.http.get("/ready")
        assert ready.json() == {"status": "ready", "model": "there"}
        body = {"text": "Hello.", "target_lang": "de", "model": "there"}
        assert (await client.http.post("/translate", json=body)).json()["translation"] == "Hallo."
        # What is there is only selected, and what is selected is only told.
        assert [each["status"] async for each in client.select("here")] == ["loading", "ready"]
        assert [each["status"] async for each in client.select("here")] == ["loading", "ready"]

    run(test)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": "nope"}, 404, "unknown_model"),
        ({"model": ""}, 400, "bad_request"),
        ({"model": 7}, 400, "bad_request"),
        ({}, 400, "bad_request"),
        ([], 400, "bad_request"),
    ],
)
def test_what_names_no_model_is_refused_before_the_stream(
    run: Callable[[Test], None], body: Any, status: int, code: str
) -> None:
    async def test(client: Client) -> None:
        answer = await client.http.post("/models/select", json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert await client.selected() == "here"

    run(test)


def test_a_load_that_fails_is_told_and_changes_nothing(run: Callable[[Test], None]) -> None:
    async def test(client: Client) -> None:
        news = [each async for each in client.select("bad")]
        assert news[0] == {"status": "loading"}
        assert news[1]["status"] == "error"
        assert "corrupted or incomplete" in news[1]["message"]
        assert len(news) == 2
        assert await client.selected() == "here"
        body = {"text": "Hello.", "target_lang": "de"}
        assert (await client.http.post("/translate", json=body)).json()["translation"] == "Hallo."

    run(test)


def test_a_download_that_fails_is_told(
    run: Callable[[Test], None],
    hub: Hub,  # noqa: F811
) -> None:
    hub.files.clear()

    async def test(client: Client) -> None:
        [news] = [each async for each in client.select("there")]
        assert (news["status"], news["code"]) == ("error", "download_failed")
        assert "The hub shows no repository someone/models" in news["message"]

    run(test)


def test_who_leaves_stops_the_download_and_the_part_is_kept(
    run: Callable[[Test], None],
    hub: Hub,  # noqa: F811
) -> None:
    hub.stalls = [6_000_000]

    async def test(client: Client) -> None:
        async with aclosing(client.select("there")) as stream:
            async for news in stream:
                if news["progress"] > 40:
                    break
        await asyncio.sleep(1.5)  # the stalled transfer notices within its time limit of 1 s
        assert len(hub.asked("store GET")) == 1
        [part] = client.file.parent.glob("there.gguf.*.part")
        assert part.stat().st_size == 6_000_000
        assert await client.selected() == "here"
        news = [each async for each in client.select("there")]
        assert news[0]["progress"] > 40
        assert news[-1]["status"] == "ready"
        assert hub.asked("store GET")[1]["range"] == "bytes=6000000-"

    run(test)


def test_a_server_that_stops_ends_the_stream_and_keeps_the_part(
    hub: Hub,  # noqa: F811
    tmp_path: Path,
) -> None:
    hub.add("someone/models", "there.gguf", CONTENT)
    hub.stalls = [6_000_000]
    source = {"repository": "someone/models", "file": "there.gguf"}
    folder = tmp_path / "models"
    server = ServerProcess(
        *("--engine", "local", "--engine.threads", "1", "--engine.sequences", "2"),
        *("--models.folder", str(folder), "--model", "plain", "--streams.heartbeat", "0.2"),
        *("--translation.target_lang", "de"),
        *("--models.entries", json.dumps([{"name": "there", "source": source} | EN_DE, PLAIN])),
        environ={"HF_ENDPOINT": hub.url, "BABELBROOK_MODELS__HOSTS": json.dumps(STORE_HOSTS)},
    )
    lines = []
    body = {"model": "there"}
    with httpx.stream("POST", f"{server.url}/models/select", json=body, timeout=30) as answer:
        for line in answer.iter_lines():
            lines += [line] if line else []
            if line == ": ping" and '"bytes":6000000' in "".join(lines):  # it stalls
                server.process.send_signal(signal.SIGTERM)
    assert '"code":"shutting_down"' in lines[-1]
    assert server.process.wait(10) == 0
    log = server.log()
    server.close()
    assert "Traceback" not in log
    assert "ERROR" not in log
    [part] = folder.glob("*.part")
    assert part.stat().st_size == 6_000_000


def test_two_who_ask_see_one_download(
    run: Callable[[Test], None],
    hub: Hub,  # noqa: F811
) -> None:
    hub.stalls = [6_000_000]

    async def test(client: Client) -> None:
        async def follow() -> list[dict[str, Any]]:
            told = []
            async for news in client.select("there"):
                told.append(news)
                if news.get("progress", 0) > 40:
                    hub.go_on.set()
            return told

        for told in await asyncio.gather(follow(), follow()):
            assert told[-1]["status"] == "ready"
        assert len(hub.asked("store GET")) == 1

    run(test)


def test_a_stream_of_the_old_model_goes_on_through_a_switch(run: Callable[[Test], None]) -> None:
    async def test(client: Client) -> None:
        body = {
            "text": "Hello.", "target_lang": "de", "ignore_eos": True, "max_tokens": 300,
        }  # fmt: skip
        whole = (await client.http.post("/translate", json=body)).json()["translation"]
        texts: list[str] = []
        async with client.http.stream("POST", "/translate/stream", json=body) as answer:
            lines = answer.aiter_lines()
            texts.append(json.loads((await anext(lines)).removeprefix("data: ")))
            switch = [each["status"] async for each in client.select("there")]
            assert switch[-1] == "ready"
            async for line in lines:
                if line and line != "data: [DONE]":
                    texts.append(json.loads(line.removeprefix("data: ")))
        assert line == ""
        assert "".join(texts) == whole

    run(test)


LOADING = """
import sys, threading
import server
from engine.llama.engine import LocalEngine

load = LocalEngine._load

def hang(self):
    if self.entry.name == "there":
        threading.Event().wait()
    return load(self)

LocalEngine._load = hang
sys.exit(server.main(sys.argv[1:]))
"""


def test_a_server_that_stops_while_it_loads_says_so_and_waits_for_nothing() -> None:
    entries = [PLAIN, PLAIN | {"name": "there"}]
    server = ServerProcess(
        *("--model", "plain", "--engine.threads", "1", "--engine.sequences", "2"),
        *("--translation.target_lang", "de", "--streams.heartbeat", "0.2"),
        *("--models.entries", json.dumps(entries)),
        command=(sys.executable, "-c", LOADING),
    )
    lines = []
    body = {"model": "there"}
    with httpx.stream("POST", f"{server.url}/models/select", json=body, timeout=30) as answer:
        for line in answer.iter_lines():
            lines += [line] if line else []
            if line == ": ping":
                server.process.send_signal(signal.SIGTERM)
    assert '"code":"shutting_down"' in lines[-1]
    assert server.process.wait(10) == 0
    log = server.log()
    server.close()
    assert "Traceback" not in log
    assert "ERROR" not in log


def test_a_model_without_the_default_language_is_selected_with_a_remark(
    run: Callable[[Test], None],
) -> None:
    async def test(client: Client) -> None:  # the default is ja, and the models do de alone
        [*_, ready] = [each async for each in client.select("there")]
        assert ready["status"] == "ready"
        assert ready["remark"] == "It does not translate into ja: name a target_lang of de."
        answer = await client.http.post("/translate", json={"text": "Hello."})
        assert (answer.status_code, answer.json()["code"]) == (400, "unknown_language")
        assert answer.json()["error"] == (
            "there does not translate into ja, the default: name a 'target_lang' of de."
        )

    run(test)


@pytest.mark.parametrize("room", [True, False])
def test_ready_tells_what_is_being_loaded(
    run: Callable[[Test], None], monkeypatch: pytest.MonkeyPatch, room: bool
) -> None:
    make, begin = Loader.make, asyncio.Event()

    async def slow(self: Loader, entry: Any) -> Any:
        if entry.name == "there":
            await begin.wait()
        return await make(self, entry)

    monkeypatch.setattr(Loader, "make", slow)
    monkeypatch.setattr(Loader, "fits_beside", lambda *_: room)

    async def test(client: Client) -> None:
        client.file.write_bytes(CONTENT)
        stream = client.select("there")
        assert await anext(stream) == {"status": "loading"}
        while client.pool.loading is None:
            await asyncio.sleep(0.01)
        answer = await client.http.get("/ready")
        if room:
            assert answer.json() == {"status": "ready", "model": "here", "loading": "there"}
        else:
            assert answer.status_code == 503
            assert answer.json()["error"] == "The model there is being loaded."
        begin.set()
        assert [each["status"] async for each in stream] == ["ready"]

    run(test)
