"""What the server tells operators: its log as text and as JSON, metrics by other names."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import ServerProcess
from tests.handlers.keyed import ECHO

SECRET = "The treasure is under the\x85 bridge."


@pytest.fixture
def started() -> Iterator[list[ServerProcess]]:
    servers: list[ServerProcess] = []
    yield servers
    for server in servers:
        server.close()


def test_each_line_of_the_log_may_be_an_object(started: list[ServerProcess]) -> None:
    started.append(server := ServerProcess(*ECHO, "--log.format", "json"))
    for path in ("/translate", "/translate/stream"):
        httpx.post(server.url + path, json={"text": SECRET}, headers={"X-Request-Id": "r-1"})
    server.stop()
    lines = [json.loads(line) for line in server.log().splitlines()]
    requests = [line for line in lines if line["logger"] == "babelbrook.access"]
    assert [line["path"] for line in requests] == ["/translate", "/translate/stream"]
    for line in requests:
        assert line["request_id"] == "r-1"
        assert (line["status"], line["method"], line["remote"]) == (200, "POST", "127.0.0.1")
        assert line["tokens"] > 0
        assert "message" not in line
    assert any("may finish" in line.get("message", "") for line in lines)
    assert "treasure" not in server.log()


@pytest.mark.parametrize("form", ["text", "json"])
def test_texts_are_in_the_log_only_where_they_are_asked_for(
    started: list[ServerProcess], form: str
) -> None:
    flags = ("--log.format", form, "--log.texts", "true")
    started.append(server := ServerProcess(*ECHO, *flags))
    httpx.post(f"{server.url}/translate", json={"text": SECRET})
    server.stop()
    [line] = [line for line in server.log().split("\n") if "treasure" in line]
    if form == "json":
        assert json.loads(line)["text"] == SECRET
    else:
        assert json.dumps(SECRET) in line
        assert "\x85" not in line


def test_metrics_by_opentelemetrys_names_where_they_are_asked_for(
    started: list[ServerProcess],
) -> None:
    started.append(server := ServerProcess(*ECHO, "--metrics.gen_ai", "true"))
    for path in ("/translate", "/translate/stream"):
        httpx.post(server.url + path, json={"text": "Hello there you."})
    httpx.get(f"{server.url}/models")
    text = httpx.get(f"{server.url}/metrics").text
    labels = 'gen_ai_operation_name="text_completion",gen_ai_provider_name="babelbrook"'
    labels += ',gen_ai_request_model="echo"'
    for name in ("request_duration", "time_to_first_token", "time_per_output_token"):
        assert f"gen_ai_server_{name}_seconds_count{{{labels}}} 2.0" in text
    tokens = f'gen_ai_client_token_usage_sum{{{labels},gen_ai_token_type="output"}} 6.0'
    assert tokens in text


def test_answers_carry_what_keeps_browsers_from_misusing_them(client: httpx.Client) -> None:
    for path in ("/health", "/nothing", "/models"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "Tornado" not in headers["server"]
    assert "gen_ai" not in client.get("/metrics").text
