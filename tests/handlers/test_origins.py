"""`Host` and `Origin`: no page of another site reaches through a browser what it should not."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import ServerProcess
from tests.handlers.keyed import ECHO

BODY = {"text": "Hello there."}
LISTED = "https://app.example"


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    """A client of a server on loopback that has another name and a friend."""
    names = ("--server.allowed_hosts", '["Translate.Example"]')
    process = ServerProcess(*ECHO, *names, "--server.allowed_origins", f'["{LISTED}"]')
    with httpx.Client(base_url=process.url) as client:
        yield client
    process.close()


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:1", "localhost.", "a.localhost", "127.0.0.1", "127.8.9.1:80"),
        *("[::1]", "[::1]:8080", "translate.example", "translate.example:443"),
    ],
)
def test_its_own_names_are_answered(http: httpx.Client, host: str) -> None:
    assert http.get("/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evillocalhost"),
        *("10.0.0.1", "[fe80::1]", "0x7f.1", "x.translate.example", "[::1"),
    ],
)
@pytest.mark.parametrize("path", ["/health", "/models", "/nothing"])
def test_another_name_is_refused(http: httpx.Client, host: str, path: str) -> None:
    answer = http.get(path, headers={"Host": host})
    assert answer.status_code in (400, 403)  # 400: Tornado finds that it is no host at all
    if answer.status_code == 403:
        assert answer.json()["code"] == "foreign_host"


def test_on_a_public_address_any_address_is_a_name_of_the_server() -> None:
    process = ServerProcess(*ECHO, "--host", "0.0.0.0", "--insecure")
    with httpx.Client(base_url=f"http://127.0.0.1:{process.port}") as http:
        for host, status in (("10.1.2.3", 200), ("localhost", 200), ("evil.example", 403)):
            assert http.get("/health", headers={"Host": host}).status_code == status
    process.close()


@pytest.mark.parametrize(
    "origin",
    ["null", "https://evil.example", "http://localhost:1", "http://127.0.0.1", "file://", "x", ""],
)
@pytest.mark.parametrize("path", ["/translate", "/translate/stream", "/models/select", "/login"])
def test_a_foreign_page_changes_nothing(http: httpx.Client, origin: str, path: str) -> None:
    answer = http.post(path, json=BODY, headers={"Origin": origin})
    assert answer.status_code == 403
    assert answer.json()["code"] == "foreign_origin"
    assert "access-control-allow-origin" not in answer.headers


def test_pages_of_its_own_may_post(http: httpx.Client) -> None:
    for headers in (
        {"Origin": str(http.base_url)},
        {"Origin": "https://translate.example", "Host": "translate.example"},
        {"Origin": "https://translate.example", "Host": "translate.example:443"},
    ):
        assert http.post("/translate", json=BODY, headers=headers).status_code == 200


def test_a_listed_origin_may_read_answers_and_errors(http: httpx.Client) -> None:
    for path, status in (("/translate", 200), ("/translate/stream", 200), ("/nothing", 404)):
        answer = http.post(path, json=BODY, headers={"Origin": LISTED})
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == LISTED
        assert "Stream-Id" in answer.headers["access-control-expose-headers"]
        assert answer.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in answer.headers


def test_a_preflight_is_answered_to_listed_origins_alone(http: httpx.Client) -> None:
    ask = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    answer = http.options("/translate", headers={**ask, "Origin": LISTED})
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-methods"] == "POST"
    assert answer.headers["access-control-allow-headers"] == "authorization, content-type"
    assert answer.headers["access-control-allow-origin"] == LISTED
    other = http.options("/translate", headers={**ask, "Origin": "https://evil.example"})
    assert other.status_code == 405
    assert "access-control-allow-origin" not in other.headers
