"""Rates, quotas and sessions of servers that share a Redis and nothing else."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.access.rates import Buckets, Rate
from engine.access.shared import SharedAccounts, SharedBuckets
from engine.access.state import State
from engine.settings import Redis
from engine.shared_redis import SharedRedis
from server import main
from tests.conftest import ServerProcess
from tests.faults.conftest import wait_until
from tests.handlers.keyed import bearer
from tests.shared.conftest import PATIENCE, Fronts, RedisProcess

BODY = {"text": "Hello there."}


def post(server: ServerProcess, key: str, **fields: Any) -> httpx.Response:
    body = BODY | fields
    return httpx.post(f"{server.url}/translate", json=body, headers=bearer(key), timeout=30)


def sums(redis: RedisProcess) -> int:
    """Tokens that all keys have used today."""
    names = redis.client.keys("babelbrook:usage:*")
    return sum(int(value) for name in names for value in redis.client.hvals(name))


def test_two_servers_keep_one_rate(redis: RedisProcess, fronts: Fronts) -> None:
    key = fronts.keyed.add("web", "translate", rate="4/h")
    pair = [fronts.serve(redis.url) for _ in range(2)]
    answers = [post(pair[number % 2], key) for number in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 4 + [429] * 2
    assert [a.headers["ratelimit-policy"] for a in answers] == ['"key";q=4;w=3600'] * 6
    left = [re.match(r'"key";r=(\d);t=', a.headers["ratelimit"]) for a in answers]
    assert [each[1] for each in left if each] == ["3", "2", "1", "0", "0", "0"]
    assert answers[5].json()["code"] == "rate_limited"
    assert 800 <= int(answers[5].headers["retry-after"]) <= 900


def test_two_servers_keep_one_rate_of_an_address(redis: RedisProcess, fronts: Fronts) -> None:
    flags = ("--limits.rate_per_address", "3/h")
    pair = [fronts.serve(redis.url, *flags) for _ in range(2)]
    answers = [httpx.post(f"{pair[n % 2].url}/translate", json=BODY) for n in range(4)]
    assert [answer.status_code for answer in answers] == [200] * 3 + [429]
    assert answers[0].headers["ratelimit"].startswith('"address";r=2;t=')


def test_a_quota_is_one_for_all_and_outlives_them(redis: RedisProcess, fronts: Fronts) -> None:
    key = fronts.keyed.add("web", "translate", tokens=10)
    first, second = (fronts.serve(redis.url) for _ in range(2))
    assert post(first, key).status_code == 200
    assert post(first, key, text="One, two, three, four, five, six, seven.").status_code == 200
    wait_until(lambda: sums(redis) >= 10)
    refused = post(second, key)
    assert refused.json()["code"] == "quota_used"
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    for server in (first, second):
        assert server.stop() == 0
    assert post(fronts.serve(redis.url), key).status_code == 429


def test_what_was_counted_last_is_there_when_a_server_has_stopped(
    redis: RedisProcess, fronts: Fronts, capsys: pytest.CaptureFixture[str]
) -> None:
    key = fronts.keyed.add("web", "translate", tokens=1_000_000)
    server = fronts.serve(redis.url)
    usage = post(server, key).json()["usage"]
    assert server.stop() == 0
    flags = ("--keys.file", str(fronts.keyed.file), "--data.folder", "/nowhere")
    assert main(["keys", "list", *flags, "--redis.url", redis.url]) == 0
    row = capsys.readouterr().out.splitlines()[1].split()
    assert row[4] == f"{sum(usage.values())}" == f"{sums(redis)}"


def test_a_session_is_good_at_each_server_and_ends_at_each(
    redis: RedisProcess, fronts: Fronts
) -> None:
    key = fronts.keyed.add("wall", "observe")
    pair = [fronts.serve(redis.url) for _ in range(2)]
    with (
        httpx.Client(base_url=pair[0].url) as here,
        httpx.Client(base_url=pair[1].url) as there,
    ):
        assert here.post("/login", json={"key": key}).status_code == 204
        token = here.cookies["babelbrook_session"]
        there.cookies.set("babelbrook_session", token)
        assert there.get("/metrics").status_code == 200
        assert there.get("/dashboard").status_code == 200
        assert token.encode() not in b"".join(redis.client.keys())
        assert there.post("/logout").status_code == 204
        assert here.get("/metrics").status_code == 401
        assert here.get("/dashboard").status_code == 302


# In one process -----------------------------------------------------------------------------------


def run(
    redis: RedisProcess,
    work: Callable[[SharedRedis], Coroutine[Any, Any, None]],
    timeout: float = PATIENCE,
) -> None:
    """Do it on an event loop that has reached the Redis."""

    async def main() -> None:
        shared = SharedRedis(Redis(url=redis.url, timeout=timeout))
        await shared.start()
        try:
            await work(shared)
        finally:
            await shared.close()

    asyncio.run(main())


def test_a_bucket_is_as_one_in_memory(redis: RedisProcess) -> None:
    async def work(shared: SharedRedis) -> None:
        rate = Rate.parse("10/s")
        buckets = SharedBuckets(shared, Buckets())
        taken = [await buckets.take("key a", rate) for _ in range(10)]
        assert [wait for _, wait in taken] == [0.0] * 10
        assert taken[0][0].left == 9
        begun = time.monotonic()
        for _ in range(10):
            bucket, wait = await buckets.take("key a", rate)
            if wait:
                assert bucket.left == 0
                assert bucket.seconds_to_full == 1
                assert 0 < wait <= 0.1
                await asyncio.sleep(wait + 0.001)
                assert (await buckets.take("key a", rate))[1] == 0.0
        assert time.monotonic() - begun > 0.4  # ten more came no sooner than the rate allows
        assert (await buckets.take("key a", Rate.parse("1/h")))[1] == 0.0
        assert (await buckets.take("key b", rate))[1] == 0.0

    run(redis, work)
    lifetimes = sorted(redis.client.pttl(key) for key in redis.client.scan_iter())
    assert len(lifetimes) == 3
    assert all(0 < each <= 3_601_000 for each in lifetimes)


def test_a_unix_socket_and_another_database_will_do(tmp_path: Path) -> None:
    redis = RedisProcess("--unixsocket", str(tmp_path / "redis.sock"))

    async def main() -> None:
        shared = SharedRedis(Redis(url=f"unix://{tmp_path}/redis.sock?db=3", timeout=PATIENCE))
        await shared.start()
        buckets = SharedBuckets(shared, Buckets())
        assert (await buckets.take("key a", Rate.parse("1/h")))[1] == 0.0
        assert (await buckets.take("key a", Rate.parse("1/h")))[1] > 3500
        await shared.close()

    try:
        asyncio.run(main())
        assert redis.client.info("keyspace")["db3"]["keys"] == 1
    finally:
        redis.close()


def accounts(shared: SharedRedis, folder: Path) -> SharedAccounts:
    found = SharedAccounts(shared, State(folder / "state.sqlite"))
    found.open()
    return found


def test_tokens_count_once_also_where_the_answer_was_lost(
    redis: RedisProcess, tmp_path: Path
) -> None:
    async def work(shared: SharedRedis) -> None:
        one, other = (accounts(shared, tmp_path / name) for name in ("one", "other"))
        one.add("a", 5)
        redis.client.execute_command("CLIENT", "PAUSE", 300, "ALL")
        await one.save()  # the answer comes too late
        assert one._batch is not None
        one.add("a", 2)
        assert await one.used("a") == 7
        await asyncio.sleep(0.5)
        await one.save()
        assert (await one.used("a"), await other.used("a")) == (7, 7)
        other.add("a", 10)
        assert await other.used("a") == 17
        await other.save()
        assert await one.used("a") == 17

    run(redis, work, 0.1)


def test_a_redis_that_loses_its_data_goes_on_from_what_servers_know(
    redis: RedisProcess, tmp_path: Path
) -> None:
    async def work(shared: SharedRedis) -> None:
        one, other = (accounts(shared, tmp_path / name) for name in ("one", "other"))
        one.add("a", 5)
        await one.save()
        other.add("a", 7)
        await other.save()
        redis.client.flushall()
        assert await other.used("a") == 12
        one.add("a", 1)
        await one.save()
        other.add("a", 2)
        await other.save()
        assert await other.used("a") == 14
        redis.client.flushall()
        again = accounts(shared, tmp_path / "one")  # a restart: its own file is left
        assert await again.used("a") == 6
        again.add("a", 1)
        await again.save()
        assert await again.used("a") == sums(redis) == 7

    run(redis, work)
