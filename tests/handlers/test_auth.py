"""Keys: who gets in, who does not, and how much one may ask for."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.access.keys import AccessError
from engine.echo import EchoEngine
from engine.settings import Settings
from handlers import make_application
from handlers.activity import Activity
from handlers.auth import Gate
from handlers.base import BaseHandler
from tests.conftest import ServerProcess
from tests.faults.conftest import Peer, wait_until
from tests.handlers.keyed import Keyed, bearer

BODY = {"text": "Hello there."}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Keyed:
    return Keyed(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def keys(keyed: Keyed) -> dict[str, str]:
    return {role: keyed.add(role, role) for role in ("translate", "observe", "admin")}


@pytest.fixture(scope="module")
def served(keyed: Keyed, keys: dict[str, str]) -> Iterator[ServerProcess]:
    process = keyed.serve()
    yield process
    log = process.log()
    process.close()
    assert "Traceback" not in log, log
    assert not any(text.rpartition("_")[2] in log for text in keys.values())


@pytest.fixture(scope="module")
def http(served: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=30) as client:
        yield client


def reload(server: ServerProcess) -> None:
    """Let the server read its keys again, and wait until it has."""
    before = server.log().count("SIGHUP")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: server.log().count("SIGHUP") > before)


def test_every_route_declares_who_may_use_it() -> None:
    application = make_application(EchoEngine(), Settings(), Activity())
    handlers = [rule.target for rule in application.wildcard_router.rules]
    assert len(handlers) > 10
    own_rule = [each for each in handlers if each.needs is not BaseHandler.needs]
    silent = [each for each in handlers if each not in own_rule and not hasattr(each, "access")]
    assert [each.__name__ for each in silent] == []
    assert all(issubclass(each, BaseHandler) for each in handlers)


@pytest.mark.parametrize(
    ("method", "path", "roles"),
    [
        ("GET", "/health", {"nobody", "translate", "observe", "admin"}),
        ("GET", "/ready", {"nobody", "translate", "observe", "admin"}),
        ("GET", "/languages", {"translate", "observe", "admin"}),
        ("GET", "/models", {"translate", "observe", "admin"}),
        ("POST", "/translate", {"translate", "admin"}),
        ("POST", "/translate/stream", {"translate", "admin"}),
        ("POST", "/detect", {"translate", "admin"}),
        ("GET", "/v1/models", {"translate", "observe", "admin"}),
        ("GET", "/login", {"nobody", "translate", "observe", "admin"}),
        ("GET", "/metrics", {"observe", "admin"}),
        ("HEAD", "/events", {"observe", "admin"}),
        ("POST", "/models/select", {"admin"}),
        ("GET", "/glossaries", {"translate", "admin"}),
        ("PUT", "/glossaries/a", {"admin"}),
    ],
)
def test_each_path_is_for_its_roles(
    http: httpx.Client, keys: dict[str, str], method: str, path: str, roles: set[str]
) -> None:
    body = {"model": "echo"} if path == "/models/select" else BODY
    if method == "PUT":
        body = {"terms": {"a": "b"}}
    for role in ("nobody", *keys):
        headers = bearer(keys[role]) if role in keys else {}
        json_body = body if method in ("POST", "PUT") else None
        answer = http.request(method, path, headers=headers, json=json_body)
        expected = {200, 201} if role in roles else {401} if role == "nobody" else {403}
        assert answer.status_code in expected, (role, answer.text)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer KEY"},
        {"Authorization": "bearer  KEY"},
        {"Authorization": "DeepL-Auth-Key KEY"},
        {"X-API-Key": "KEY"},
    ],
)
def test_a_key_may_come_in_several_headers(
    http: httpx.Client, keys: dict[str, str], headers: dict[str, str]
) -> None:
    with_key = {name: value.replace("KEY", keys["translate"]) for name, value in headers.items()}
    assert http.post("/translate", json=BODY, headers=with_key).json()["translation"]
    answer = http.post("/translate", json=BODY, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthorized"
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_key_may_come_in_the_body_for_clients_of_libretranslate(
    http: httpx.Client, keys: dict[str, str]
) -> None:
    for role, status in (("translate", 200), ("observe", 403)):
        assert http.post("/translate", json={**BODY, "api_key": keys[role]}).status_code == status
    form = {"q": "Hello there.", "api_key": keys["translate"]}
    assert http.post("/detect", data=form).status_code == 200
    assert http.post("/detect", data={**form, "api_key": "x"}).status_code == 403
    assert http.post("/detect", data={"text": "Hello.", "api_key": "x"}).status_code == 401
    in_a_get = {"content": f"api_key={keys['translate']}", "headers": FORM}
    assert http.request("GET", "/languages", **in_a_get).status_code == 200
    assert http.request("GET", "/languages", content="api_key=x", headers=FORM).status_code == 403
    for wrong in ("", "x", 5, None, [keys["translate"]]):
        answer = http.post("/translate", json={**BODY, "api_key": wrong})
        assert answer.status_code == 401
    wrong = {**BODY, "api_key": keys["translate"]}
    assert http.post("/translate", json=wrong, headers=bearer("x")).status_code == 401
    assert http.post("/models/select", json={"api_key": keys["admin"]}).status_code == 401


def test_whoever_takes_a_key_in_the_body_asks_for_it(http: httpx.Client) -> None:
    application = make_application(EchoEngine(), Settings(), Activity())
    rules = application.wildcard_router.rules
    paths = {rule.matcher._path for rule in rules if rule.target.key_in_body}
    assert {"/translate", "/translate/file", "/translate_file", "/detect"} <= paths
    assert http.get("/languages").status_code == 401
    for path in paths - {"/languages"}:
        for form in (False, True):
            sent: dict[str, Any] = {"json": {**BODY, "q": "Hello."}}
            if form:
                sent = {"data": {"target": "ja"}, "files": {"file": ("a.txt", b"Hello.")}}
            answer = http.post(path, **sent)
            assert answer.status_code in (
                {401, 403} if form == ("file" in path) else {400, 401, 403}
            )
            assert "Hello" not in answer.text


@pytest.mark.parametrize(
    "wrong", ["x", "bb_", "bb__", "{}x", "{:.20}", "bb_aaaaaaaa_{}", "{}\xe9", "x" * 10_000]
)
def test_what_is_nearly_a_key_is_none(http: httpx.Client, keys: dict[str, str], wrong: str) -> None:
    text = wrong.format(keys["admin"])
    for headers in (bearer(text), {"X-API-Key": text}):
        raw = {name: value.encode("latin-1") for name, value in headers.items()}
        assert http.get("/models", headers=raw).status_code == 401


def test_a_refused_request_is_answered_before_its_body_has_come(served: ServerProcess) -> None:
    with Peer(served.port) as peer:
        head = (
            "POST /translate/stream HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
        )
        peer.send(head.encode())
        answer = peer.answer()
        assert (answer.status, answer.header("connection")) == (401, "close")


def test_without_keys_nothing_is_asked_for(client: httpx.Client) -> None:
    answer = client.post("/translate", json=BODY, headers=bearer("anything"))
    assert answer.status_code == 200
    assert "ratelimit" not in answer.headers


def test_a_page_without_a_key_leads_to_the_page_that_asks_for_one(
    http: httpx.Client, keys: dict[str, str]
) -> None:
    answer = http.get("/")
    assert (answer.status_code, answer.headers["location"]) == (302, "login?next=")
    assert answer.headers["cache-control"] == "no-store"
    assert http.get("/", headers=bearer(keys["observe"])).status_code == 200


class TestSessions:
    """A browser's EventSource sends no headers: the pages change a key for a cookie."""

    def test_a_session_opens_what_its_key_opens_until_it_ends(
        self, served: ServerProcess, keys: dict[str, str]
    ) -> None:
        with httpx.Client(base_url=served.url) as browser:
            answer = browser.post("/login", json={"key": keys["observe"]})
            assert answer.status_code == 204
            cookie = answer.headers["set-cookie"]
            assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
            assert keys["observe"].rpartition("_")[2] not in cookie
            with browser.stream("GET", "/events") as events:
                assert next(events.iter_lines()).startswith("retry:")
            assert browser.post("/translate", json=BODY).status_code == 403
            token = browser.cookies["babelbrook_session"]
            assert browser.post("/logout").status_code == 204
            assert "babelbrook_session" not in browser.cookies
            browser.cookies.set("babelbrook_session", token)
            assert browser.get("/metrics").status_code == 401

    def test_a_wrong_key_begins_none(self, http: httpx.Client) -> None:
        for body, status in (({"key": "bb_x_y"}, 401), ({"key": 5}, 400), ({}, 400)):
            answer = http.post("/login", json=body)
            assert answer.status_code == status
            assert "set-cookie" not in answer.headers

    def test_another_site_can_neither_begin_nor_end_one(self, http: httpx.Client) -> None:
        for path in ("/login", "/logout"):
            answer = http.post(path, json={}, headers={"Origin": "https://other.example"})
            assert answer.json()["code"] == "foreign_origin"


def test_another_key_does_not_see_a_stream_that_can_be_resumed(
    http: httpx.Client, keys: dict[str, str]
) -> None:
    body = {**BODY, "stream_options": {"resume": True}}
    mine = bearer(keys["translate"])
    path = "/translate/stream/"
    path += http.post("/translate/stream", json=body, headers=mine).headers["stream-id"]
    for other, status in ((bearer(keys["admin"]), 404), ({}, 401)):
        for method in ("GET", "DELETE"):
            assert http.request(method, path, headers=other).status_code == status
    assert http.get(path, headers=mine).text.endswith("data: [DONE]\n\n")


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[tuple[Keyed, list[ServerProcess]]]:
    """Keys of the test's own, and a list of servers that are ended after it."""
    servers: list[ServerProcess] = []
    yield Keyed(tmp_path), servers
    for server in servers:
        server.close()


def test_keys_change_without_a_restart(fresh: tuple[Keyed, list[ServerProcess]]) -> None:
    keyed, servers = fresh
    servers.append(server := keyed.serve())
    with httpx.Client(base_url=server.url) as http:
        assert http.get("/models").status_code == 200
        first = keyed.add("first", "translate")
        assert http.get("/models").status_code == 200
        reload(server)
        assert http.get("/models").status_code == 401
        assert http.get("/models", headers=bearer(first)).status_code == 200
        second = keyed.add("second", "translate")
        keyed.remove("first")
        reload(server)
        assert http.get("/models", headers=bearer(first)).status_code == 401
        assert http.get("/models", headers=bearer(second)).status_code == 200
        keyed.file.write_text("damaged")
        reload(server)
        assert "nothing is changed" in server.log()
        assert http.get("/models", headers=bearer(second)).status_code == 200


def test_a_reload_that_fails_changes_nothing(tmp_path: Path) -> None:
    settings = Settings.model_validate({"data": {"folder": str(tmp_path)}})
    gate = Gate(settings)
    Keyed(tmp_path).add("web", "translate")
    (tmp_path / "state.sqlite").write_text("something else, and no database" * 50)
    with pytest.raises(AccessError, match="cannot be used"):
        gate.reload(settings)
    assert (gate.closed, gate.has_keys) == (False, False)


def test_a_key_in_the_environment_is_as_good_as_one_in_the_file(
    fresh: tuple[Keyed, list[ServerProcess]],
) -> None:
    keyed, servers = fresh
    text = keyed.add("web", "translate")
    entries = json.dumps(json.loads(keyed.file.read_text())["keys"])
    keyed.file.unlink()
    environ = {"BABELBROOK_KEYS__ENTRIES": entries}
    flags = ("--engine", "echo", "--model", "none", *keyed.flags)
    servers.append(server := ServerProcess(*flags, environ=environ))
    assert httpx.get(f"{server.url}/models").status_code == 401
    assert httpx.get(f"{server.url}/models", headers=bearer(text)).status_code == 200


@pytest.mark.slow
def test_a_public_address_needs_keys_or_insecure(
    fresh: tuple[Keyed, list[ServerProcess]],
) -> None:
    keyed, servers = fresh
    with pytest.raises(AssertionError, match="no keys: whoever finds it could use it"):
        keyed.serve("--host", "0.0.0.0")
    servers.append(keyed.serve("--host", "0.0.0.0", "--insecure"))
    key = keyed.add("web", "translate")
    servers.append(server := keyed.serve("--host", "0.0.0.0"))
    url = f"http://127.0.0.1:{server.port}/models"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers=bearer(key)).status_code == 200
    keyed.remove("web")
    reload(server)
    assert httpx.get(url).status_code == 401  # to open it takes a restart


class TestLimits:
    """Rates and quotas."""

    def test_a_key_above_its_rate_is_told_when_to_come_back(
        self, fresh: tuple[Keyed, list[ServerProcess]]
    ) -> None:
        keyed, servers = fresh
        slow, free = keyed.add("slow", "translate", rate="2/min"), keyed.add("free", "translate")
        servers.append(server := keyed.serve())
        url = f"{server.url}/translate"
        answers = [httpx.post(url, json=BODY, headers=bearer(slow)) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert [a.headers["ratelimit-policy"] for a in answers] == ['"key";q=2;w=60'] * 3
        assert answers[0].headers["ratelimit"] == '"key";r=1;t=30'
        assert answers[2].headers["ratelimit"].startswith('"key";r=0;t=')
        assert answers[2].json()["code"] == "rate_limited"
        assert 25 <= int(answers[2].headers["retry-after"]) <= 30
        assert httpx.post(url, json=BODY, headers=bearer(free)).status_code == 200

    @pytest.mark.slow
    def test_a_key_that_has_used_its_tokens_waits_for_midnight_also_after_a_restart(
        self, fresh: tuple[Keyed, list[ServerProcess]]
    ) -> None:
        keyed, servers = fresh
        headers = bearer(keyed.add("small", "translate", tokens=6))
        servers.append(server := keyed.serve())
        for path in ("/translate", "/translate/stream"):  # 2 + 2 tokens each
            assert httpx.post(server.url + path, json=BODY, headers=headers).status_code == 200
        answer = httpx.post(f"{server.url}/translate", json=BODY, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (429, "quota_used")
        assert abs(int(answer.headers["retry-after"]) - (86_400 - time.time() % 86_400)) < 5
        assert httpx.get(f"{server.url}/models", headers=headers).status_code == 200
        assert server.stop() == 0
        servers.append(again := keyed.serve())
        assert httpx.post(f"{again.url}/translate", json=BODY, headers=headers).status_code == 429

    def test_addresses_have_a_rate_where_it_is_set(
        self, fresh: tuple[Keyed, list[ServerProcess]]
    ) -> None:
        keyed, servers = fresh
        servers.append(server := keyed.serve("--limits.rate_per_address", "3/h"))
        answers = [httpx.get(f"{server.url}/models") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[0].headers["ratelimit"] == '"address";r=2;t=1200'
        assert httpx.get(f"{server.url}/health").status_code == 200
        with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2")) as other:
            assert other.get(f"{server.url}/models").status_code == 200
