"""The translation memory in a Redis, of servers that share nothing else."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from engine.echo import EchoEngine
from engine.generation import Job, recalled
from engine.memory import memory as module
from engine.memory import tmx
from engine.memory.memory import Memory, key_of_people
from engine.memory.places import RedisPlace
from engine.memory.redis_store import RedisStore
from engine.memory.store import Entry, StoreFull
from server import main
from tests.conftest import ServerProcess
from tests.faults.conftest import wait_until
from tests.shared.conftest import Fronts, RedisProcess

EMBEDDED = ("--engine.sequences", "4", "--engine.threads", "1", "--memory", "redis")
ROOM = 1 << 20


def streamed(server: ServerProcess, text: str) -> list[str]:
    """The frames of a stream."""
    body = {"text": text, "source_lang": "en", "target_lang": "de"}
    answer = httpx.post(f"{server.url}/translate/stream", json=body, timeout=60)
    return answer.text.split("\n\n")


def lookups(server: ServerProcess) -> dict[str, int]:
    """How many segments the memory had, and how many it had not."""
    text = httpx.get(f"{server.url}/metrics").text
    found = re.findall(r'memory_lookups_total{result="(\w+)"} (\d+)', text)
    return {result: int(count) for result, count in found}


def knows_its_model(server: ServerProcess) -> None:
    """Wait until the server has read its model's file: nothing is found or kept before."""

    def looked() -> bool:
        streamed(server, "Good morning.")
        return sum(lookups(server).values()) > 0

    wait_until(looked)


def test_what_one_server_translated_another_streams_in_the_same_frames(
    redis: RedisProcess, fronts: Fronts, sentences: list[str]
) -> None:
    text = " ".join(sentences[:4])
    first = fronts.serve(redis.url, engine=EMBEDDED)
    knows_its_model(first)
    decoded = streamed(first, text)
    assert len(decoded) > 10
    kept = int(redis.client.zcard("babelbrook:memory:1:used"))
    wait_until(lambda: redis.client.zcard("babelbrook:memory:1:used") >= 4, 10)
    assert kept <= 5
    assert first.stop() == 0
    second = fronts.serve(redis.url, engine=EMBEDDED)
    knows_its_model(second)
    before = lookups(second)
    assert streamed(second, text) == decoded
    after = lookups(second)
    assert after["hit"] > before["hit"]
    assert sum(after.values()) == sum(before.values()) + 4


def test_a_full_redis_keeps_nothing_new_and_finds_the_old(
    redis: RedisProcess, fronts: Fronts, sentences: list[str]
) -> None:
    server = fronts.serve(redis.url, engine=EMBEDDED)
    knows_its_model(server)
    old = streamed(server, sentences[0])
    wait_until(lambda: redis.client.zcard("babelbrook:memory:1:used") >= 2)
    redis.client.config_set("maxmemory", 1)
    before = lookups(server)

    def found() -> bool:
        assert streamed(server, sentences[0]) == old
        return lookups(server)["hit"] > before["hit"]

    wait_until(found)
    before = lookups(server)
    for _ in range(2):
        assert streamed(server, sentences[1])[-2] == "data: [DONE]"
    assert lookups(server) == {**before, "miss": before["miss"] + 2}
    wait_until(lambda: "keeps nothing new" in server.log())
    redis.client.config_set("maxmemory", 0)
    streamed(server, sentences[1])
    wait_until(lambda: redis.client.zcard("babelbrook:memory:1:used") >= 3)
    assert server.log().count("The translation memory") == 1


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_answers_come_while_the_memory_is_away_and_it_comes_back(
    redis: RedisProcess, fronts: Fronts, sentences: list[str], how: str
) -> None:
    server = fronts.serve(redis.url, engine=EMBEDDED)
    knows_its_model(server)
    frames = streamed(server, sentences[0])
    if how == "stopped":
        redis.send(signal.SIGSTOP)
    else:
        redis.kill()
    for _ in range(3):
        assert streamed(server, sentences[0]) == frames
    wait_until(lambda: "cannot be used, and is tried again every 5 s" in server.log())
    if how == "stopped":
        redis.send(signal.SIGCONT)
    else:
        redis.start()

    def found() -> bool:
        before = lookups(server).get("hit", 0)
        assert streamed(server, sentences[0]) == frames
        return lookups(server)["hit"] > before

    wait_until(found)
    assert server.log().count("The translation memory") == 1


# The command --------------------------------------------------------------------------------------


def test_the_commands_work_on_it(
    redis: RedisProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--memory", "redis", "--redis.url", redis.url)

    def memory(*words: str) -> str:
        assert main(["memory", *words, *flags]) == 0
        return capsys.readouterr().out.strip()

    entries = [
        Entry(key_of_people(f"Number {n}.", "en", "de"), "en", "de", None, f"Number {n}.", [f"{n}"])
        for n in range(1200)
    ]
    source, target = tmp_path / "in.tmx", tmp_path / "out.tmx"
    with source.open("w", encoding="utf-8") as file:
        tmx.write(entries, file)
    assert memory("stats") == "0 segments, 0 bytes"
    assert memory("import", str(source)) == "1,200 segments are new."
    assert memory("import", str(source)) == "0 segments are new."
    assert memory("stats").startswith("1,200 segments, ")
    assert memory("export", str(target)) == f"1,200 segments are in {target}."
    exported = {(each.source, *each.pieces) for each in tmx.read(target)}
    assert exported == {(each.source, *each.pieces) for each in entries}
    assert memory("clear") == "The translation memory is empty."
    assert redis.client.keys() == []
    assert memory("stats") == "0 segments, 0 bytes"


def test_a_command_without_a_redis_is_a_sentence(
    redis: RedisProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    redis.kill()
    url = f"redis://:s3cret@127.0.0.1:{redis.port}/0"
    assert main(["memory", "stats", "--memory", "redis", "--redis.url", url]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"server.py: error: redis://127.0.0.1:{redis.port}/0: ")
    assert error.count("\n") == 1


# The store ----------------------------------------------------------------------------------------


@pytest.fixture
def store(redis: RedisProcess) -> Iterator[RedisStore]:
    store = RedisStore(redis.url, 20_000, 10.0)
    yield store
    store.close()


def entry(number: int, source: str = "a" * 100) -> Entry:
    return Entry(b"%032d" % number, "de", "en", "m", source, ["b" * 50, "ü" * 25])


def test_the_oldest_go_when_there_is_no_room(redis: RedisProcess, store: RedisStore) -> None:
    for number in range(100):
        store.put(entry(number))
        assert store.get([entry(0).key]) is not None  # a use keeps it
        assert store.stats()[1] <= 20_000
    count, size = store.stats()
    assert count > 30
    assert store.get([entry(99).key]) == ["b" * 50, "ü" * 25]
    assert store.get([entry(1).key]) is None
    assert sorted(each.key for each in store.entries())[-1] == entry(99).key
    store.put(entry(99))
    assert store.stats() == (count, size)
    store.put(entry(100, "a" * 20_000))
    assert store.get([entry(100).key]) is None
    assert store.stats() == (count, size)
    assert redis.client.zcard("babelbrook:memory:1:used") == count


def test_what_it_takes_is_about_what_it_says(redis: RedisProcess) -> None:
    store = RedisStore(redis.url, 1 << 30, 10.0)
    before = redis.client.info("memory")["used_memory"]
    for number in range(5000):
        store.put(entry(number))
    taken = redis.client.info("memory")["used_memory"] - before
    assert 0.7 < store.stats()[1] / taken < 1.4
    store.close()


@pytest.mark.parametrize("lost", ["segments", "used"])
def test_it_goes_on_when_a_part_of_it_is_lost(
    redis: RedisProcess, store: RedisStore, lost: str
) -> None:
    for number in range(30):
        store.put(entry(number))
    redis.client.delete(f"babelbrook:memory:1:{lost}")
    for number in range(30, 130):
        store.put(entry(number))
        assert store.stats()[1] <= 20_000
    assert store.get([entry(129).key]) is not None
    count = store.stats()[0]
    assert count == redis.client.zcard("babelbrook:memory:1:used")
    assert count == len(list(store.entries()))


async def known(memory: Memory, engine: EchoEngine) -> None:
    """Wait until the memory has read the engine's file."""
    while memory._identity(engine) is None:
        await asyncio.sleep(0.01)


def test_what_is_in_its_place_is_an_error_and_a_warning(
    redis: RedisProcess, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 30)
    redis.client.set("babelbrook:memory:1:segments", "something else")
    memory = Memory(RedisPlace(redis.url, ROOM, 10.0))

    async def main() -> None:
        engine = EchoEngine()
        await known(memory, engine)
        assert await memory.get(Job("Hallo.", "de", "en"), engine) is None

    asyncio.run(main())
    memory.close()
    assert "WRONGTYPE" in caplog.text or "wrong kind of value" in caplog.text
    redis.client.delete("babelbrook:memory:1:segments")
    redis.client.hset("babelbrook:memory:1:segments", b"k" * 32, json.dumps([1, 2]))
    store = RedisStore(redis.url, ROOM, 10.0)
    with pytest.raises(OSError, match="something else"):
        store.get([b"k" * 32])
    store.put(entry(0))
    redis.client.config_set("maxmemory", 1)
    with pytest.raises(StoreFull):
        store.put(entry(1))
    store.close()


def test_models_are_told_apart_by_what_their_files_hold(
    redis: RedisProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 30)
    job = Job("Hallo.", "de", "en")

    async def ask(content: bytes, folder: str) -> list[str] | None:
        """As a server does that has the model's file in a folder of its own."""
        file = tmp_path / folder / "model.gguf"
        file.parent.mkdir()
        file.write_bytes(content)
        engine = EchoEngine()
        engine.entry = engine.entry.model_copy(update={"file": file})
        memory = Memory(RedisPlace(redis.url, ROOM, 10.0))
        await known(memory, engine)
        found = await memory.get(job, engine)
        answer = recalled(job, ["Hel", "lo."])
        answer._decoding.output_tokens = 2
        memory.put(answer, engine)
        memory.close()
        memory._thread.shutdown(wait=True)
        return found

    async def main() -> None:
        assert await ask(b"weights", "one") is None
        assert await ask(b"weights", "other") == ["Hel", "lo."]
        assert await ask(b"others!", "third") is None

    asyncio.run(main())
