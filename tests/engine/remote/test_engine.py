"""Upstreams that fail, are slow, come and go, and what becomes of the jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.chat.conversation import Message
from engine.errors import BadRequest, ModelError, ModelUnloaded, NotReady
from engine.generation import Generation, Job
from engine.models.catalogue import Catalogue, ModelEntry
from engine.remote import engine as engine_module
from engine.remote.engine import RemoteEngine, connect
from engine.remote.upstream import UpstreamBusy, UpstreamFailed
from engine.settings import Remote
from tests.engine.llama.conftest import text_of
from tests.engine.remote.double import WORDS, Double, doubles

ENTRY = ModelEntry(name="some-model", file=Path("/dev/null"))
JOB = Job("Where is the station?", "en", "de")
CHAT = Job("", None, "", messages=(Message("user", "Where is the station?"),))
WHOLE = "".join(WORDS)


@pytest.fixture(autouse=True)
def in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let turns go in the upstreams' own order, so that a test can tell who is asked."""
    monkeypatch.setattr("engine.remote.engine.sample", lambda upstreams, _: list(upstreams))


@asynccontextmanager
async def engine_of(upstreams: list[Double], **settings: Any) -> AsyncIterator[RemoteEngine]:
    """A started engine, stopped at the end."""
    urls = [each.url for each in upstreams]
    fields = {"upstreams": urls, "check_interval": 0.05, **settings}
    engine = await connect(ENTRY, Catalogue(Path("/nowhere")), Remote.model_validate(fields))
    await engine.start()
    try:
        yield engine
    finally:
        engine.stop()
        while not engine.stopped:
            await asyncio.sleep(0.005)


def run(test: Callable[..., Coroutine[Any, Any, None]], count: int = 2, **settings: Any) -> None:
    """Run `test(engine, upstreams)`."""

    async def main() -> None:
        async with doubles(count) as upstreams, engine_of(upstreams, **settings) as engine:
            await asyncio.wait_for(test(engine, upstreams), 30)

    asyncio.run(main())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def started(generation: Generation) -> None:
    while not await generation.read():
        pass


def test_each_frame_is_a_piece_and_usage_is_the_upstreams_own() -> None:
    async def test(engine: RemoteEngine, upstreams: list[Double]) -> None:
        generation, pieces = engine.submit(JOB), []
        while (new := await generation.read()) or not generation.ended:
            pieces += new
        assert pieces == WORDS
        assert generation.finish == "stop"
        assert (generation.prompt_tokens, generation.output_tokens) == (7, len(WORDS) + 1)
        [body] = upstreams[0].asked
        assert body["model"] == "some-model"
        assert (body["stream"], body["temperature"]) == (True, 0)
        [message] = body["messages"]
        assert "from English into German" in message["content"]
        assert message["content"].endswith("Where is the station?")
        await until(lambda: engine.status().running == 0)
        assert (engine.status().tokens, engine.status().queued) == (len(WORDS) + 1, 0)

    run(test, count=1)


def test_the_least_busy_upstream_is_asked() -> None:
    async def test(engine: RemoteEngine, upstreams: list[Double]) -> None:
        for each in upstreams:
            each.hold = asyncio.Event()
        jobs = [engine.submit(JOB) for _ in range(7)]
        await until(lambda: sum(each.running for each in upstreams) == 7)
        assert sorted(each.running for each in upstreams) == [2, 2, 3]
        for each in upstreams:
            assert each.hold is not None
            each.hold.set()
        assert {await text_of(each) for each in jobs} == {WHOLE}

    run(test, count=3)


def test_of_equals_the_longest_unasked_is_asked() -> None:
    async def test(engine: RemoteEngine, upstreams: list[Double]) -> None:
        for _ in range(6):
            assert await text_of(engine.submit(JOB)) == WHOLE
            await until(lambda: engine.status().running == 0)
        assert [len(each.asked) for each in upstreams] == [2, 2, 2]

    run(test, count=3)


def test_fronts_of_the_same_upstreams_are_not_in_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    firsts = set()

    async def test(engine: RemoteEngine, upstreams: list[Double]) -> None:
        assert await text_of(engine.submit(JOB)) == WHOLE
        firsts.add(next(n for n, each in enumerate(upstreams) if each.asked))

    for _ in range(20):  # all with the same first: once in half a million times
        run(test, count=2)
        if len(firsts) == 2:
            break
    assert firsts == {0, 1}


def test_more_than_an_upstream_is_given_wait_here_and_clients_take_turns() -> None:
    async def test(engine: RemoteEngine, upstreams: list[Double]) -> None:
        [upstream] = upstreams
        upstream.hold = asyncio.Event()
        names = ["a", "a", "a", "a", "b"]
        jobs = [
            engine.submit(Job(f"{number}", "en", "de", client=name))
            for number, name in enumerate(names)
        ]
        await until(lambda: upstream.running == 2)
        assert engine.status().queued == 3
        assert engine.status().wait_seconds >= 0
        upstream.hold.set()
        assert {await text_of(each) for each in jobs} == {WHOLE}
        order = [body["messages"][0]["content"].rpartition("\n")[2] for body in upstream.asked]
        assert order.index("4") < order.index("3")

    run(test, count=1, streams=2)


@pytest.mark.parametrize("job", [JOB, CHAT], ids=["translation", "conversation"])
@pytest.mark.parametrize("fault", ["close", "500", "503", "429", "cut 0", "junk 0", "error 0"])
def test_before_its_first_text_a_job_is_tried_elsewhere(fault: str, job: Job) -> None:
    async def test(engine: RemoteEngine, upstreams: list[Double]) -> None:
        for each in upstreams:
            each.faults = [fault]
        # One of them fails the first and the other the second time it is asked.
        with pytest.raises(UpstreamFailed):
            await text_of(engine.submit(job))
        assert [len(each.asked) for each in upstreams] == [1, 1]
        upstreams[0].faults = [fault]
        assert await text_of(engine.submit(job)) == WHOLE

    run(test)


@pytest.mark.parametrize("job", [JOB, CHAT], ids=["translation", "conversation"])
@pytest.mark.parametrize("fault", ["cut 2", "junk 2", "error 2"])
def test_after_its_first_text_a_job_ends_with_an_error(fault: str, job: Job) -> None:
    async def test(engine: RemoteEngine, upstreams: list[Double]) -> None:
        upstreams[0].faults = upstreams[1].faults = [fault]
        generation = engine.submit(job)
        await until(lambda: generation.output_tokens == 2 and engine.status().running == 0)
        assert await generation.read() == WORDS[:2]
        with pytest.raises(UpstreamFailed):
            await generation.read()
        assert sum(len(each.asked) for each in upstreams) == 1

    run(test)


def test_what_one_refuses_for_good_is_not_tried_elsewhere() -> None:
    async def test(engine: RemoteEngine, upstreams: list[Double]) -> None:
        upstreams[0].faults = upstreams[1].faults = ["400"]
        with pytest.raises(BadRequest, match="as it was told to"):
            await text_of(engine.submit(JOB))
        assert sum(len(each.asked) for each in upstreams) == 1

    run(test)


def test_one_that_is_busy_says_when_to_come_again() -> None:
    async def test(engine: RemoteEngine, upstreams: list[Double]) -> None:
        upstreams[0].faults = ["503"]
        with pytest.raises(UpstreamBusy) as told:
            await text_of(engine.submit(JOB))
        assert (told.value.status, told.value.code) == (503, "overloaded")
        assert told.value.retry_after

    run(test, count=1)


def test_one_that_says_nothing_has_failed() -> None:
    async def test(engine: RemoteEngine, upstreams: list[Double]) -> None:
        upstreams[0].faults = ["hang"]
        assert await text_of(engine.submit(JOB)) == WHOLE
        assert len(upstreams[1].asked) == 1
        await until(lambda: upstreams[0].running == 0)

    run(test, timeout=0.2)


def test_a_cancelled_job_is_left_by_closing_its_stream() -> None:
    async def test(engine: RemoteEngine, upstreams: list[Double]) -> None:
        [upstream] = upstreams
        upstream.endless = True
        generation = engine.submit(JOB)
        await started(generation)
        generation.cancel()
        await until(lambda: upstream.running == 0 and engine.status().running == 0)
        assert generation.finish == "cancelled"
        waits = [engine.submit(JOB) for _ in range(2)]
        await until(lambda: upstream.running == 1)
        for each in waits:
            each.cancel()
        await until(lambda: engine.status().queued == 0 and upstream.running == 0)
        at_once = engine.submit(JOB)
        at_once.cancel()  # before its task has begun
        await until(lambda: engine.status().running == 0)
        upstream.endless = False
        assert await text_of(engine.submit(JOB)) == WHOLE

    run(test, count=1, streams=1)


def test_a_reader_that_is_behind_stops_the_upstream_and_gives_its_place_to_others() -> None:
    async def test(engine: RemoteEngine, upstreams: list[Double]) -> None:
        [upstream] = upstreams
        upstream.endless = True
        slow = engine.submit(Job("a", "en", "de", unread=100))
        await until(lambda: engine.status().paused == 1)
        sent = -1
        while sent != upstream.sent:  # until it can send no more
            sent = upstream.sent
            await asyncio.sleep(0.2)
        assert sent < 100_000
        upstream.endless = False
        assert await text_of(engine.submit(JOB)) == WHOLE
        pieces: list[str] = []
        while len(pieces) <= sent:
            pieces += await slow.read()
        assert pieces == (WORDS * len(pieces))[: len(pieces)]
        slow.cancel()
        await until(lambda: engine.status().running == 0)

    run(test, count=1, streams=1)


def test_the_key_goes_with_every_request_and_names_are_those_that_are_set() -> None:
    async def test(engine: RemoteEngine, upstreams: list[Double]) -> None:
        assert await text_of(engine.submit(JOB)) == WHOLE
        assert all("\r\nauthorization: bearer secret\r\n" in head for head in upstreams[0].heads)
        assert upstreams[0].asked[0]["model"] == "other"

    run(test, count=1, key="secret", model="other")


def test_without_a_key_none_is_sent() -> None:
    async def test(engine: RemoteEngine, upstreams: list[Double]) -> None:
        assert await text_of(engine.submit(JOB)) == WHOLE
        assert not any("authorization" in head for head in upstreams[0].heads)

    run(test, count=1)


def test_equal_jobs_share_one_request() -> None:
    async def test(engine: RemoteEngine, upstreams: list[Double]) -> None:
        job = Job("Hello.", "en", "de", shared=True)
        both = [engine.submit(job), engine.submit(job)]
        assert [await text_of(each) for each in both] == [WHOLE, WHOLE]
        assert sum(len(each.asked) for each in upstreams) == 1

    run(test)


def test_one_that_keeps_failing_rests() -> None:
    async def test(engine: RemoteEngine, upstreams: list[Double]) -> None:
        broken, sound = upstreams
        broken.faults = ["500"] * 20
        for _ in range(20):
            assert await text_of(engine.submit(JOB)) == WHOLE
        assert len(broken.asked) == 3
        assert len(sound.asked) == 20

    run(test)


def test_one_that_goes_and_comes_back_is_noticed() -> None:
    async def test(engine: RemoteEngine, upstreams: list[Double]) -> None:
        [upstream] = upstreams
        upstream.hold = asyncio.Event()
        both = [engine.submit(JOB) for _ in range(2)]  # one of them waits
        await until(lambda: upstream.running == 1)
        await upstream.close()
        for each in both:
            with pytest.raises((NotReady, UpstreamFailed)):
                await text_of(each)
        await until(lambda: not engine.status().ready)
        assert engine.status().failure == "None of the upstreams answers."
        with pytest.raises(NotReady):
            engine.submit(JOB)
        upstream.hold, upstream.model = None, "another-model"
        await upstream.open()
        await until(lambda: engine.status().ready)
        assert await text_of(engine.submit(JOB)) == WHOLE
        assert upstream.asked[-1]["model"] == "another-model"

    run(test, count=1, streams=1)


def test_one_that_is_not_there_at_the_start_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        away = Double()
        await away.open()
        await away.close()
        async with doubles(1) as upstreams, engine_of([*upstreams, away]) as engine:
            await asyncio.sleep(0.2)  # some looks later
            assert await text_of(engine.submit(JOB)) == WHOLE
            name = away.url.removeprefix("http://")
            assert caplog.text.count(f"The upstream {name} does not answer") == 1
            await away.open()
            upstreams[0].hold = asyncio.Event()
            held = engine.submit(JOB)
            await until(lambda: engine.status().sequences == 128)
            assert await text_of(engine.submit(JOB)) == WHOLE
            assert len(away.asked) == 1
            held.cancel()
        await away.close()

    asyncio.run(asyncio.wait_for(main(), 30))


def test_stopping_tells_why() -> None:
    async def test(engine: RemoteEngine, upstreams: list[Double]) -> None:
        upstreams[0].hold = asyncio.Event()
        jobs = [engine.submit(JOB) for _ in range(3)]
        await until(lambda: upstreams[0].running == 1)
        engine.stop(ModelUnloaded)
        for each in jobs:
            with pytest.raises(ModelUnloaded):
                await text_of(each)
        await until(lambda: upstreams[0].running == 0)
        with pytest.raises(ModelUnloaded):
            engine.submit(JOB)

    run(test, count=1, streams=1)


def test_without_any_upstream_there_is_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_PATIENCE", 0.1)
    known = Catalogue(Path("/nowhere"))
    with pytest.raises(ModelError, match=r"remote\.upstreams names none"):
        asyncio.run(connect(ENTRY, known, Remote()))
    with pytest.raises(ModelError, match="None of the upstreams answers"):
        asyncio.run(connect(ENTRY, known, Remote(upstreams=["http://127.0.0.1:9"])))


def test_long_texts_are_cut_by_a_careful_guess() -> None:
    async def test(engine: RemoteEngine, upstreams: list[Double]) -> None:
        assert engine.fits("a" * 4096, "en", "de")
        assert not engine.fits("日" * 1400, "ja", "de")

    run(test, count=1)


def test_the_readings_of_upstreams_tell_how_each_does() -> None:
    async def test(engine: RemoteEngine, upstreams: list[Double]) -> None:
        broken, sound = upstreams
        broken.faults = ["500", "cut 2", "503", "400"]
        for error in (None, UpstreamFailed, None, None, BadRequest):
            job = engine.submit(JOB)  # to the first, but for the third
            if error is None:
                assert await text_of(job) == WHOLE
            else:
                with pytest.raises(error):
                    await text_of(job)
            await until(lambda: engine.status().running == 0)
        first, second = engine.status().upstreams
        assert [first.name, second.name] == [each.url.partition("//")[2] for each in upstreams]
        assert first.failures == {"failed": 2, "busy": 1, "refused": 1}
        assert (first.requests, first.first_texts, second.requests) == (4, 1, 3)
        assert (second.failures, second.first_texts) == ({}, 3)
        assert 0 < second.first_text_seconds < 5
        assert [first.ready, second.ready, first.resting] == [True, True, False]
        sound.hold = asyncio.Event()
        await broken.close()
        held = engine.submit(JOB)
        await until(lambda: sound.running == 1)
        await until(lambda: not engine.status().upstreams[0].ready)
        first, second = engine.status().upstreams
        assert (first.outstanding, second.outstanding) == (0, 1)
        assert sum(first.failures.values()) <= 5
        sound.hold.set()
        assert await text_of(held) == WHOLE

    run(test)


def test_one_that_rests_is_told_to_be_resting() -> None:
    async def test(engine: RemoteEngine, upstreams: list[Double]) -> None:
        upstreams[0].faults = ["500"] * 5
        while len(upstreams[0].asked) < 3:
            assert await text_of(engine.submit(JOB)) == WHOLE
        [first, second] = engine.status().upstreams
        assert (first.resting, first.ready) == (True, False)
        assert (second.resting, second.ready) == (False, True)

    run(test)


def test_no_secret_of_an_address_is_in_a_name() -> None:
    async def main() -> None:
        async with doubles(1) as upstreams:
            place = f"127.0.0.1:{upstreams[0].port}"
            settings = Remote(upstreams=[f"http://me:secret@{place}/v1", f"http://{place}"])
            engine = await connect(ENTRY, Catalogue(Path("/nowhere")), settings)
            names = [each.name for each in engine.status().upstreams]
            assert names == [place, f"{place} (2)"]
            assert "secret" not in engine.describe()
            engine.stop()

    asyncio.run(main())
