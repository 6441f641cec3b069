"""A Redis that is not there, slow, full, or not for us: a warning, and servers that go on."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from engine.config import ConfigError, load
from tests.conftest import ServerProcess
from tests.faults.conftest import wait_until
from tests.handlers.keyed import bearer
from tests.shared.conftest import Fronts, RedisProcess, free_port

BODY = {"text": "Hello there."}
SHORT = 0.3  # seconds, where a Redis stands still


def post(server: ServerProcess, key: str) -> httpx.Response:
    return httpx.post(f"{server.url}/translate", json=BODY, headers=bearer(key), timeout=30)


def is_up(server: ServerProcess, watcher: str) -> bool:
    text = httpx.get(f"{server.url}/metrics", headers=bearer(watcher)).text
    return "babelbrook_redis_up 1.0" in text


@contextmanager
def traffic(server: ServerProcess, key: str) -> Iterator[list[int]]:
    """Requests one after the other, for as long as it lasts; their status codes."""
    statuses: list[int] = []
    ended = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=server.url, headers=bearer(key), timeout=30) as client:
            while not ended.is_set():
                statuses.append(client.post("/translate", json=BODY).status_code)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_traffic_goes_on_while_redis_does_not(
    redis: RedisProcess, fronts: Fronts, how: str
) -> None:
    key = fronts.keyed.add("web", "translate", rate="1000000/s", tokens=10**9)
    few, later = (fronts.keyed.add(name, "translate", rate="3/h") for name in ("few", "later"))
    watcher = fronts.keyed.add("watcher", "observe")
    server, other = (fronts.serve(redis.url, timeout=SHORT) for _ in range(2))
    with traffic(server, key) as statuses:
        wait_until(lambda: len(statuses) > 20)
        assert is_up(server, watcher)
        if how == "stopped":
            redis.send(signal.SIGSTOP)
        else:
            redis.kill()
        wait_until(lambda: not is_up(server, watcher))
        so_far = len(statuses)
        wait_until(lambda: len(statuses) > so_far + 20)
        assert post(other, few).status_code == 200  # by its own count
        if how == "stopped":
            redis.send(signal.SIGCONT)
        else:
            redis.start()
        wait_until(lambda: is_up(server, watcher) and is_up(other, watcher))
        so_far = len(statuses)
        wait_until(lambda: len(statuses) > so_far + 20)
    assert set(statuses) == {200}
    answers = [post((server, other)[n % 2], later).status_code for n in range(4)]
    assert answers == [200] * 3 + [429]  # all share again
    log = server.log()
    assert log.count("WARNING babelbrook.redis") == 1
    assert f"The Redis at redis://127.0.0.1:{redis.port}/0: " in log
    assert log.count("answers again") == 1


def test_a_server_starts_without_it_and_finds_it_later(redis: RedisProcess, fronts: Fronts) -> None:
    redis.kill()
    key = fronts.keyed.add("web", "translate", rate="2/h")
    watcher = fronts.keyed.add("watcher", "observe")
    server = fronts.serve(redis.url)
    assert [post(server, key).status_code for _ in range(3)] == [200, 200, 429]
    session = httpx.post(f"{server.url}/login", json={"key": watcher}).cookies
    assert httpx.get(f"{server.url}/metrics", cookies=session).status_code == 200
    redis.start()
    wait_until(lambda: is_up(server, watcher))
    assert [post(server, key).status_code for _ in range(3)] == [200, 200, 429]
    # What began here meanwhile is good here.
    assert httpx.get(f"{server.url}/metrics", cookies=session).status_code == 200


def test_a_session_goes_on_without_it_and_ends_when_it_is_back(
    redis: RedisProcess, fronts: Fronts
) -> None:
    watcher = fronts.keyed.add("watcher", "observe")
    server = fronts.serve(redis.url, timeout=SHORT)
    with httpx.Client(base_url=server.url) as browser:
        browser.post("/login", json={"key": watcher})
        assert browser.get("/metrics").status_code == 200
        redis.send(signal.SIGSTOP)
        assert browser.get("/metrics").status_code == 200
        answer = browser.post("/logout")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        redis.send(signal.SIGCONT)
        wait_until(lambda: browser.post("/logout").status_code == 204)
        assert browser.get("/metrics").status_code == 401


def test_a_wrong_password_is_told_without_it(fronts: Fronts) -> None:
    redis = RedisProcess(password="right")
    key = fronts.keyed.add("web", "translate", rate="2/h")
    try:
        wrong = f"redis://:wr0ng-secret@127.0.0.1:{redis.port}/0"
        server = fronts.serve(wrong)
        assert [post(server, key).status_code for _ in range(3)] == [200, 200, 429]
        log = server.log()
        assert "WRONGPASS" in log or "invalid" in log, log
        assert "wr0ng-secret" not in log
        right = f"redis://:right@127.0.0.1:{redis.port}/0"
        pair = [fronts.serve(right) for _ in range(2)]
        answers = [post(pair[n % 2], key).status_code for n in range(3)]
        assert answers == [200, 200, 429]
        assert "WARNING" not in pair[0].log()
    finally:
        redis.close()


def test_a_redis_that_is_full_is_as_one_that_is_away(fronts: Fronts) -> None:
    redis = RedisProcess("--maxmemory", "1", "--maxmemory-policy", "noeviction")
    key = fronts.keyed.add("web", "translate", rate="2/h", tokens=10**6)
    try:
        server = fronts.serve(redis.url)
        assert [post(server, key).status_code for _ in range(3)] == [200, 200, 429]
        assert "maxmemory" in server.log()
        redis.client.config_set("maxmemory", 0)
        wait_until(lambda: redis.client.keys("babelbrook:usage:*"))
        assert [post(server, key).status_code for _ in range(3)] == [200, 200, 429]
    finally:
        redis.close()


def test_tls_and_a_user_with_a_password(tmp_path: Path, fronts: Fronts) -> None:
    certificate, private = tmp_path / "redis.crt", tmp_path / "redis.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", str(private)),
            *("-addext", "subjectAltName=DNS:localhost", "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    port = free_port()
    redis = RedisProcess(
        *("--tls-port", str(port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(certificate), "--tls-key-file", str(private)),
        *("--user", "web", "on", ">p@ss/word", "~babelbrook:*", "resetchannels"),
        *("+@connection", "+@read", "+@write", "+@scripting", "+time", "-@dangerous"),
    )
    try:
        key = fronts.keyed.add("web", "translate", rate="2/h")
        place = f"localhost:{port}/0?ssl_ca_certs={certificate}"
        pair = [fronts.serve(f"rediss://web:p%40ss%2Fword@{place}") for _ in range(2)]
        answers = [post(pair[n % 2], key).status_code for n in range(3)]
        assert answers == [200, 200, 429]
        assert redis.client.keys("babelbrook:rate:*")
        assert "WARNING" not in pair[0].log()
        stranger = fronts.serve(f"rediss://web:p%40ss%2Fword@localhost:{port}/0")
        assert post(stranger, key).status_code == 200
        wait_until(lambda: "certificate" in stranger.log())
        assert "ss/word" not in stranger.log() + pair[0].log()
    finally:
        redis.close()


@pytest.mark.parametrize("url", ["http://:s3cret@cache", "cache:6379", "redis://"])
def test_what_is_no_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match=r"redis\.url must be none or an address") as refused:
        load(["--config", "/dev/null", "--redis.url", url], {})
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["redis://:s3cret@cache:port/0", "redis://:s3cret@cache/0?socket_timeout=x"]
)
def test_an_address_that_cannot_be_used_ends_the_start_with_a_sentence(url: str) -> None:
    with pytest.raises(AssertionError, match="did not start") as refused:
        ServerProcess("--engine", "echo", environ={"BABELBROOK_REDIS__URL": url})
    assert "redis.url cannot be used: " in str(refused.value)
    assert "s3cret" not in str(refused.value)
    assert "Traceback" not in str(refused.value)


def test_the_memory_cannot_be_in_a_redis_that_is_not_named() -> None:
    with pytest.raises(ConfigError, match=r"--memory: memory\.path \(redis\) needs redis\.url"):
        load(["--config", "/dev/null", "--memory", "redis"], {})


def test_who_leaves_while_it_is_asked_leaves_nothing_behind(
    redis: RedisProcess, fronts: Fronts
) -> None:
    watcher = fronts.keyed.add("watcher", "observe")
    server = fronts.serve(redis.url, timeout=SHORT)
    cookies = httpx.post(f"{server.url}/login", json={"key": watcher}).cookies
    [(name, token)] = cookies.items()
    assert httpx.get(f"{server.url}/metrics", cookies=cookies).status_code == 200
    redis.send(signal.SIGSTOP)
    for path in ("/events", "/metrics", "/dashboard", "/web/none") * 3:
        with socket.create_connection(("127.0.0.1", server.port)) as peer:
            head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {name}={token}\r\n\r\n"
            peer.sendall(head.encode())
    text = httpx.get(f"{server.url}/metrics", headers=bearer(watcher)).text
    assert "babelbrook_dashboards 0.0" in text
    redis.send(signal.SIGCONT)
    wait_until(lambda: is_up(server, watcher))
    wait_until(lambda: server.log().count("path=/events") == 3)
