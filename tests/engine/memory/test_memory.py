"""The translation memory behind the translator: what is found, what is kept, what may fail."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.echo import EchoEngine
from engine.errors import CutShort
from engine.generation import Decoding, Generation, Hints, Job, Sampling
from engine.memory import memory as module
from engine.memory.memory import Memory, key_of_people
from engine.memory.places import FilePlace
from engine.memory.store import Entry, FileStore
from engine.models.catalogue import PLAIN_CHAT
from engine.translation.formats import parts
from engine.translation.glossary import Glossary
from engine.translation.origin import Origin
from engine.translation.request import TranslationRequest
from engine.translation.translator import Translation

TEXT = "Guten Morgen, Nachbar.\n\nWo ist der Hund?"
VOWELS = str.maketrans("aeiou", "eioua")
ROOM = 1 << 20


class Counting(EchoEngine):
    """Counts what is asked; an echo with other vowels, or a check would take it for a copy."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Job] = []

    def submit(self, job: Job) -> Generation:
        self.jobs.append(job)
        return super().submit(job)

    async def _echo(self, decoding: Decoding) -> None:
        job = decoding.job
        decoding.job = replace(job, text=job.text.translate(VOWELS))
        await super()._echo(decoding)
        decoding.job = job


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for a busy machine."""
    monkeypatch.setattr(module, "_PATIENCE", 30)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    memory = Memory(FilePlace(str(tmp_path / "data" / "memory.sqlite"), ROOM))
    yield memory
    memory.close()


async def frames(engine: EchoEngine, memory: Memory | None, **fields: Any) -> list[str]:
    """The frames of a translation; what was kept of it is in the file then."""
    request = TranslationRequest(
        **{
            "parts": parts("text", TEXT),
            "origin": Origin("de"),
            "target_lang": "de",
            "memory": memory,
            **fields,
        }
    )
    try:
        pieces = [p async for ps in Translation(engine, request, 4).pieces() for p in ps]
    finally:
        if memory is not None:
            await asyncio.wrap_future(memory._thread.submit(lambda: None))
    return pieces


def run(memory: Memory, *requests: dict[str, Any]) -> tuple[list[list[str]], list[Job]]:
    """The frames of requests one after the other, and the jobs that the engine saw."""

    async def main() -> tuple[list[list[str]], list[Job]]:
        engine = Counting()
        await engine.start()
        return [
            await frames(engine, **{"memory": memory, **fields}) for fields in requests
        ], engine.jobs

    return asyncio.run(main())


def test_a_hit_streams_the_same_frames_and_costs_nothing(memory: Memory) -> None:
    (first, second), jobs = run(memory, {}, {})
    assert first == second
    assert len(first) == 7
    assert len(jobs) == 2
    assert (memory.hits, memory.misses) == (2, 2)


def test_what_was_kept_outlives_the_server(tmp_path: Path) -> None:
    for expected in (2, 0):
        memory = Memory(FilePlace(str(tmp_path / "memory.sqlite"), ROOM))
        _, jobs = run(memory, {})
        memory.close()
        memory._thread.shutdown(wait=True)
        assert len(jobs) == expected


def test_segments_are_found_in_other_texts_and_in_either_form_of_marks(memory: Memory) -> None:
    texts = ["Der Hund h\u00f6rt zu.", "Ja, gut.\n\nDer Hund ho\u0308rt zu."]
    _, jobs = run(memory, *({"parts": parts("text", text)} for text in texts))
    assert [job.text for job in jobs] == [texts[0], "Ja, gut."]


@pytest.mark.parametrize(
    "other",
    [
        {"target_lang": "nl"},
        {"origin": Origin(None)},
        {"hints": Hints("less")},
        {"hints": Hints(context="Im Hof.")},
        {"max_tokens": 50},
        {"memory": None},
    ],
)
def test_whatever_the_answer_depends_on_is_in_the_key(
    memory: Memory, other: dict[str, Any]
) -> None:
    _, jobs = run(memory, {}, other)
    assert len(jobs) == 4


def test_another_model_or_prompt_finds_nothing(memory: Memory) -> None:
    async def main() -> None:
        for update in (
            {},
            {"name": "other"},
            {"prompt": PLAIN_CHAT},
        ):
            engine = Counting()
            engine.entry = engine.entry.model_copy(update=update)
            await engine.start()
            await frames(engine, memory)
            assert len(engine.jobs) == 2, update

    asyncio.run(main())


def test_another_sampling_than_usual_is_neither_kept_nor_found(memory: Memory) -> None:
    warm = {"sampling": Sampling(temperature=0.9)}
    _, jobs = run(memory, {}, warm, warm)
    assert len(jobs) == 6


def test_what_was_cut_is_not_kept(memory: Memory) -> None:
    with pytest.raises(CutShort):
        run(memory, {"max_tokens": 1})
    assert memory._store is not None
    assert memory._store.stats()[0] == 0


def test_what_was_cancelled_is_not_kept(memory: Memory) -> None:
    async def main() -> None:
        engine = Counting()
        await engine.start()
        request = TranslationRequest(parts("text", TEXT), Origin("de"), "de", memory=memory)
        translation = Translation(engine, request, 4)
        async for _ in translation.pieces():
            translation.cancel()
        await asyncio.wrap_future(memory._thread.submit(lambda: None))

    asyncio.run(main())
    assert memory._store is not None
    assert memory._store.stats()[0] == 0


def test_what_a_check_finds_fault_with_is_not_kept(memory: Memory) -> None:
    request = {"glossary": Glossary([("Hund", "Katze")])}
    _, jobs = run(memory, request, request)
    assert [job.text for job in jobs].count("Guten Morgen, Nachbar.") == 1
    assert [job.text for job in jobs].count("Wo ist der Hund?") == 2


def test_what_people_translated_is_found_for_every_model(memory: Memory) -> None:
    key = key_of_people("Wo ist der Hund?", "de", "de")
    entry = Entry(key, "de", "de", None, "Wo ist der Hund?", ["Wo ist er?"])
    memory._try(lambda store: store.put(entry))
    ([first, *_],), jobs = run(memory, {"parts": parts("text", "Wo ist der Hund?")})
    assert (first, jobs) == ("Wo ist er?", [])


def test_the_oldest_go_when_there_is_no_room(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path / "memory.sqlite"), 10_000)
    for number in range(100):
        store.put(Entry(b"%d" % number, "de", "en", "m", "a" * 100, ["b" * 100]))
        assert store.stats()[1] <= 10_000
    assert store.get([b"99"]) == ["b" * 100]
    assert store.get([b"0"]) is None
    assert store.stats()[0] >= 15
    store.put(Entry(b"large", "de", "en", "m", "a" * 10_000, []))
    assert store.get([b"large"]) is None
    store.close()


def test_a_use_keeps_a_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, now = FileStore(str(tmp_path / "memory.sqlite"), 10_000), [0.0]
    monkeypatch.setattr("engine.memory.store.time.time", lambda: now[0])
    for number in range(100):
        now[0] += 7200
        store.put(Entry(b"%d" % number, "de", "en", "m", "a" * 100, ["b" * 100]))
        assert store.get([b"0"]) is not None
    store.close()


# What may fail ------------------------------------------------------------------------------------


def corrupt(path: Path) -> None:
    path.write_bytes(b"This is no database. " * 1000)


def damaged_inside(path: Path) -> None:
    store = FileStore(str(path), ROOM)
    for number in range(500):
        store.put(Entry(b"%d" % number, "de", "en", "m", "a" * 100, ["b" * 100]))
    store.close()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)


def in_the_place_of_a_folder(path: Path) -> None:
    path.mkdir()


def of_a_newer_server(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()


@pytest.mark.parametrize(
    "make", [corrupt, damaged_inside, in_the_place_of_a_folder, of_a_newer_server]
)
def test_a_file_that_cannot_be_used_is_a_warning_and_no_outage(
    tmp_path: Path, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "memory.sqlite"
    make(path)
    memory = Memory(FilePlace(str(path), ROOM))
    with caplog.at_level(logging.WARNING, "babelbrook.memory"):
        (first, second), jobs = run(memory, {}, {})
    memory.close()
    assert first == second
    assert len(jobs) == 4
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(path) in caplog.text


def test_a_folder_that_cannot_be_made_is_a_warning_too(caplog: pytest.LogCaptureFixture) -> None:
    memory = Memory(FilePlace("/dev/null/data/memory.sqlite", ROOM))
    (first, second), jobs = run(memory, {}, {})
    memory.close()
    assert first == second
    assert len(jobs) == 4
    assert len(caplog.records) == 1


def test_a_file_that_another_process_holds_is_used_again_when_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "memory.sqlite"
    FileStore(str(path), ROOM).close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    memory = Memory(FilePlace(str(path), ROOM))
    _, jobs = run(memory, {}, {})
    assert len(jobs) == 4
    assert "locked" in caplog.text
    holder.execute("ROLLBACK")
    holder.close()
    memory._resting_until = 0.0  # a minute has passed
    _, jobs = run(memory, {}, {})
    assert len(jobs) == 2
    memory.close()


def test_a_memory_that_is_closed_is_asked_in_vain(memory: Memory) -> None:
    async def main() -> int:
        engine = Counting()
        await engine.start()
        memory.close()
        for _ in range(2):
            request = TranslationRequest(parts("text", TEXT), Origin("de"), "de", memory=memory)
            await Translation(engine, request, 4).joined()
        return len(engine.jobs)

    assert asyncio.run(main()) == 4


def test_a_disk_that_is_slow_is_not_waited_for(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    release = asyncio.Event()

    async def main() -> list[str]:
        engine = Counting()
        await engine.start()
        loop = asyncio.get_running_loop()
        memory._thread.submit(
            lambda: asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
        )
        request = TranslationRequest(parts("text", TEXT), Origin("de"), "de", memory=memory)
        pieces = [p async for ps in Translation(engine, request, 4).pieces() for p in ps]
        release.set()
        return pieces

    assert "".join(asyncio.run(main())) == TEXT.translate(VOWELS)
