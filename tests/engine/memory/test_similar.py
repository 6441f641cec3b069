"""Segments that are like another one: found, scored, within bounds, and never instead of it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.generation import NO_HINTS, Hints
from engine.memory import similar as module
from engine.memory.memory import Memory, key_of_people
from engine.memory.places import FilePlace
from engine.memory.similar import Match, Similar
from engine.memory.store import Entry, FileStore
from engine.translation.formats import parts
from engine.translation.origin import Origin
from engine.translation.request import TranslationRequest
from engine.translation.translator import Translation
from tests.conftest import SENTENCES, ServerProcess
from tests.engine.translation.test_glossary import Teachable
from tests.handlers.conftest import post_stream

ROOM = 1 << 24
PEOPLE = {
    "The train to Berlin leaves at ten.": "Der Zug nach Berlin fährt um zehn.",
    "The train to Paris leaves at nine.": "Der Zug nach Paris fährt um neun.",
    "I have never seen such a large dog.": "So einen großen Hund habe ich noch nie gesehen.",
}
LIKE = "The train to Berlin leaves at nine."


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for a busy machine."""
    monkeypatch.setattr(module, "_PATIENCE", 30)
    monkeypatch.setattr(module, "_TIME_LIMIT", 30)


def entry(source: str, translation: str, model: str | None = None) -> Entry:
    key = key_of_people(source, "en", "de") + (model or "").encode()
    return Entry(key, "en", "de", model, source, [translation])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory #1.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[FileStore]:
    """What people translated, what a model did, and 240 other sentences."""
    store = FileStore(str(path), ROOM, similar=True)
    for source, translation in PEOPLE.items():
        store.put(entry(source, translation))
    store.put(entry("The train to Rome leaves at nine.", "Der Zug nach Rom.", "a model"))
    for line in SENTENCES.read_text("utf-8").splitlines():
        store.put(entry(line, f"<{line}>"))
    yield store
    store.close()


def find(path: Path, text: str, which: Any = "imported", **other: Any) -> list[Match]:
    fields = {"source_lang": "en", "target_lang": "de", "most": 3, **other}

    async def main() -> list[Match]:
        similar = Similar(str(path), which)
        try:
            return await similar.find(text, **fields)
        finally:
            similar.close()

    return asyncio.run(main())


def test_the_likest_come_first_with_their_scores(store: FileStore, path: Path) -> None:
    found = find(path, LIKE)
    assert [match.translation for match in found] == [*PEOPLE.values()][:2]
    assert [match.source for match in found] == [*PEOPLE][:2]
    assert 1 > found[0].score > found[1].score >= 0.7
    assert find(path, LIKE, most=1) == found[:1]


def test_an_equal_segment_is_wholly_alike(store: FileStore, path: Path) -> None:
    source = next(iter(PEOPLE))
    assert find(path, source)[0] == Match(source, PEOPLE[source], 1.0)


def test_models_translations_are_matches_only_where_the_settings_say_all(
    store: FileStore, path: Path
) -> None:
    assert "Der Zug nach Rom." not in [match.translation for match in find(path, LIKE)]
    assert "Der Zug nach Rom." in [match.translation for match in find(path, LIKE, "all")]


@pytest.mark.parametrize(
    ("text", "other"),
    [
        (LIKE, {"target_lang": "fr"}),
        (LIKE, {"source_lang": "de"}),
        ("Wholly different words about nothing.", {}),
        ("", {}),
        ("No", {}),
        ("日本", {}),
        ('"" OR * AND NEAR(', {}),
        (LIKE + " x" * 1000, {}),
    ],
)
def test_what_is_not_alike_is_no_match(
    store: FileStore, path: Path, text: str, other: dict[str, str]
) -> None:
    assert find(path, text, **other) == []


def test_the_index_follows_what_comes_changes_and_goes(store: FileStore, path: Path) -> None:
    store.put(entry(next(iter(PEOPLE)), "Anders."))
    assert find(path, LIKE)[0].translation == "Anders."
    store.put(entry(LIKE, "Neu."))
    assert find(path, LIKE)[0].translation == "Neu."
    store.clear()
    assert find(path, LIKE) == []


def test_an_older_file_gets_an_index_and_one_without_similar_keeps_it(path: Path) -> None:
    store = FileStore(str(path), ROOM)
    store.put(entry(*next(iter(PEOPLE.items()))))
    assert find(path, LIKE) == []
    store.close()
    FileStore(str(path), ROOM, similar=True).close()
    plain = FileStore(str(path), ROOM)
    plain.put(entry("The train to Bonn leaves at nine.", "Bonn."))
    assert {match.translation for match in find(path, LIKE)} == {
        PEOPLE[next(iter(PEOPLE))],
        "Bonn.",
    }
    plain.close()


def test_segments_that_go_for_want_of_room_leave_the_index(path: Path) -> None:
    store = FileStore(str(path), 10_000, similar=True)
    for number in range(100):
        store.put(entry(f"This is the sentence with the number {number}.", "x" * 100))
    found = find(path, "This is the sentence with the number 7.", most=100)
    assert 5 < len(found) == store.stats()[0]
    store.close()


def test_it_takes_no_longer_than_allowed(
    store: FileStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TIME_LIMIT", -1)
    monkeypatch.setattr(module, "_BETWEEN", 1)
    assert find(path, LIKE) == []


def test_a_thread_that_is_busy_is_not_waited_for(
    store: FileStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.01)

    async def main() -> list[Match]:
        similar, loop = Similar(str(path), "all"), asyncio.get_running_loop()
        released = asyncio.Event()
        similar._thread.submit(
            lambda: asyncio.run_coroutine_threadsafe(released.wait(), loop).result()
        )
        found = await similar.find(LIKE, "en", "de", 3)
        released.set()
        similar.close()
        return found + await similar.find(LIKE, "en", "de", 3)

    assert asyncio.run(main()) == []


@pytest.mark.parametrize("content", [b"", b"This is no database. " * 1000])
def test_a_file_that_cannot_be_used_has_no_matches(path: Path, content: bytes) -> None:
    assert find(path, LIKE) == []
    path.write_bytes(content)
    assert find(path, LIKE) == []


def test_without_trigrams_in_sqlite_the_memory_works_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_SCHEMA", module._SCHEMA.replace("'trigram'", "'nothing'"))
    with caplog.at_level(logging.WARNING, "babelbrook.memory"):
        store = FileStore(str(path), ROOM, similar=True)
    assert "no such tokenizer" in caplog.text
    store.put(entry("a", "b"))
    assert store.get([entry("a", "b").key]) == ["b"]
    store.close()


def test_a_memory_of_this_process_has_none() -> None:
    memory = Memory(FilePlace(":memory:", ROOM, "all"))
    assert memory.similar is None
    memory.close()


@pytest.mark.parametrize("in_prompts", [False, True])
def test_a_model_is_told_matches_where_that_is_wanted_and_there_is_room(
    store: FileStore, path: Path, in_prompts: bool
) -> None:
    class Narrow(Teachable):
        """Has room for one example."""

        def fits(self, text: str, source: str | None, target: str, hints: Hints = NO_HINTS) -> bool:
            return len(hints.examples) < 2

    async def main(engine: Teachable, text: str) -> tuple[tuple[str, str], ...]:
        memory = Memory(FilePlace(str(path), ROOM, "imported"))
        request = TranslationRequest(
            parts("text", text),
            Origin("en"),
            "de",
            memory=memory,
            matches=2,
            matches_in_prompts=in_prompts,
        )
        await engine.start()
        translation = Translation(engine, request, lookahead=4)
        await translation.joined()
        memory.close()
        assert len(translation.matches) == 2
        return engine.jobs[0].hints.examples if engine.jobs else ()

    two = tuple(PEOPLE.items())[:2]
    assert asyncio.run(main(Teachable(), LIKE)) == (two if in_prompts else ())
    assert asyncio.run(main(Narrow(), LIKE)) == (two[:1] if in_prompts else ())
    assert asyncio.run(main(Teachable(carries=False), LIKE)) == ()
    asked = Teachable()
    asyncio.run(main(asked, two[0][0]))
    assert asked.jobs == []  # what people translated to the letter needs no model


# The API ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def remembering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server whose memory holds what people translated."""
    folder = tmp_path_factory.mktemp("data")
    store = FileStore(str(folder / "memory.sqlite"), ROOM)
    for source, translation in PEOPLE.items():
        store.put(entry(source, translation))
    store.close()
    flags = ("--data.folder", str(folder), "--memory", "memory.sqlite", "--engine.threads", "1")
    process = ServerProcess(*flags, "--memory.similar", "imported")
    with httpx.Client(base_url=process.url, timeout=60) as http:
        yield http
    log = process.log()
    process.close()
    assert "Traceback" not in log, log


def ask(client: httpx.Client, **fields: Any) -> Any:
    body = {"text": LIKE, "source_lang": "en", "target_lang": "de", **fields}
    answer = client.post("/translate", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_request_is_told_matches_and_translated_as_without(
    remembering: httpx.Client, client: httpx.Client
) -> None:
    answer = ask(remembering, matches=2, text=f"Hello.\n\n{LIKE}")
    best, second = answer["matches"]
    assert (best["start"], best["end"]) == (8, 8 + len(LIKE))
    assert best["translation"] == "Der Zug nach Berlin fährt um zehn."
    assert (best["source"], best["score"] > second["score"]) == (next(iter(PEOPLE)), True)
    assert answer["translation"] == ask(client, text=f"Hello.\n\n{LIKE}")["translation"]
    assert "matches" not in ask(remembering)
    assert "ignored" not in answer


def test_lists_files_and_streams_have_them_too(remembering: httpx.Client) -> None:
    [best] = ask(remembering, matches=1)["matches"]
    assert ask(remembering, matches=1, text=["Hello.", LIKE])["matches"] == [[], [best]]
    body = {"text": LIKE, "source_lang": "en", "target_lang": "de", "matches": 1}
    assert post_stream(remembering, **body).events == [("matches", [best])]
    form = {"source_lang": "en", "target_lang": "de", "matches": "1"}
    events = {"Accept": "text/event-stream"}
    files = {"file": ("a.txt", LIKE.encode())}
    told = remembering.post("/translate/file", files=files, data=form, headers=events).text
    assert '"matches":[{"start":0,"end":35,"source":"The train to Berlin' in told


def test_where_there_can_be_none_that_is_said(
    remembering: httpx.Client, client: httpx.Client
) -> None:
    assert ask(client, matches=1)["ignored"] == ["matches"]
    assert ask(remembering, matches=1, cache=False)["ignored"] == ["matches"]
    assert client.post("/translate", json={"text": "a", "matches": 11}).status_code == 400


def test_a_locked_file_costs_no_answer(path: Path) -> None:
    FileStore(str(path), ROOM, similar=True).close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    assert find(path, LIKE) == []
    holder.close()
