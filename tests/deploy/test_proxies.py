"""The configurations of deploy/ for nginx and HAProxy, in front of real servers."""

from __future__ import annotations

import re
import signal
from itertools import islice

import httpx
import pytest

from tests.deploy.conftest import Deployment
from tests.faults.conftest import wait_until

pytestmark = pytest.mark.slow

SHORT = {"text": "Where is the station?", "target_lang": "de"}
LONG = {"text": "He is old. She sings. " * 30, "ignore_eos": True, "max_tokens": 100}


def test_a_stream_is_passed_on_token_by_token(deployed: Deployment) -> None:
    with httpx.stream("POST", f"{deployed.url}/translate/stream", json=LONG, timeout=60) as answer:
        lines = (line for line in answer.iter_lines() if line)
        assert len(list(islice(lines, 5))) == 5
        deployed.working()  # the rest is not there yet
        assert list(lines)[-1] == "data: [DONE]"


def test_a_client_that_leaves_frees_its_sequence(deployed: Deployment) -> None:
    headers = {"X-Request-Id": "leaves-early"}
    url = f"{deployed.url}/translate/stream"
    with httpx.stream("POST", url, json=LONG, headers=headers, timeout=60) as answer:
        lines = answer.iter_lines()
        next(lines)  # whose end would be that of the connection
        server = deployed.working()
    deployed.idle()
    wait_until(lambda: "request_id=leaves-early" in server.log())
    assert re.search(r"request_id=leaves-early .* status=499 ", server.log())


def test_a_dashboard_gets_each_snapshot_as_it_is_taken(deployed: Deployment) -> None:
    with httpx.stream("GET", f"{deployed.url}/events", timeout=30) as answer:
        ids = [line for line in islice(answer.iter_lines(), 66) if line.startswith("id: ")]
    assert len(ids) > 15
    assert len(set(ids)) == len(ids)


def test_the_servers_know_client_and_host(deployed: Deployment) -> None:
    headers = {"X-Request-Id": "who-am-i", "X-Forwarded-For": "203.0.113.77"}
    transport = httpx.HTTPTransport(local_address="127.0.0.9")
    with httpx.Client(transport=transport, base_url=deployed.url, headers=headers) as client:
        host = {"Host": "translate.example.org"}
        assert client.get("/languages", headers=host).status_code == 200
        origin = {"Origin": deployed.url}
        assert client.post("/translate", json=SHORT, headers=origin).status_code == 200
        evil = client.get("/languages", headers={"Host": "evil.example"})
        assert evil.json()["code"] == "foreign_host"

    def logs() -> str:
        return "".join(server.log() for server in deployed.servers)

    wait_until(lambda: logs().count("request_id=who-am-i") == 3)
    assert re.findall(r"request_id=who-am-i remote=(\S+)", logs()) == ["127.0.0.9"] * 3


def test_a_large_text_goes_both_ways(deployed: Deployment) -> None:
    text = "1 " * 900_000  # given back as it is
    answer = httpx.post(f"{deployed.url}/translate", json={"text": text}, timeout=60)
    assert answer.json()["translation"] == text


def test_a_server_goes_without_a_lost_stream_or_a_refused_request(deployed: Deployment) -> None:
    deployed.idle()
    url = f"{deployed.url}/translate/stream"
    with httpx.stream("POST", url, json=LONG, timeout=60) as answer:
        lines = answer.iter_lines()
        next(lines)
        leaving = deployed.working()
        leaving.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "may finish" in leaving.log())
        for _ in range(30):
            reply = httpx.post(f"{deployed.url}/translate", json=SHORT, timeout=60)
            assert reply.status_code == 200, reply.text
        assert [line for line in lines if line][-1] == "data: [DONE]"
    assert leaving.process.wait(40) == 0
    for _ in range(10):  # it is gone, and still nobody notices
        assert httpx.post(f"{deployed.url}/translate", json=SHORT, timeout=60).status_code == 200
