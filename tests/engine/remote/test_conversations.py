"""Conversations that are passed on: to two Babelbrooks, and to llama-server where it is built."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import ServerProcess
from tests.engine.remote.test_servers import LLAMA_SERVER, in_front_of, llama_server, stands_still
from tests.faults.conftest import Peer, ask, gauge, wait_until
from tests.faults.test_stalled_readers import SMALL
from tests.handlers.test_openai import chunks, content, joined
from tests.talker import talker

TEXT = "Where is the station?"
WILD = {"temperature": 2.0, "top_k": 0, "top_p": 1, "min_p": 0, "seed": 3, "max_tokens": 12}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return talker(tmp_path_factory.mktemp("talker"))


@dataclass(frozen=True)
class House:
    """Two servers with a model that has a chat form, and one in front of them."""

    behind: tuple[ServerProcess, ServerProcess]
    front: ServerProcess

    def both(
        self, *turns: str, path: str = "chat/completions", **more: Any
    ) -> list[httpx.Response]:
        """The same request to the first of those behind, and through the front."""
        return [talk(each.url, *turns, path=path, **more) for each in (self.behind[0], self.front)]


def talk(url: str, *texts: str, path: str = "chat/completions", **more: Any) -> httpx.Response:
    """Turns of user and assistant, beginning with the user's."""
    roles = ("user", "assistant") * len(texts)
    turns = [{"role": r, "content": t} for r, t in zip(roles, texts, strict=False)]
    body = {"messages": turns, "cache": False} if texts else {"cache": False}
    return httpx.post(f"{url}/v1/{path}", json=body | more, timeout=60)


@pytest.fixture(scope="module")
def house(model: Path) -> Iterator[House]:
    flags = ("--model", str(model), "--engine.threads", "1", "--engine.sequences", "4")
    small = ("--streams.unread_bytes", "64", "--streams.send_buffer", "4096")
    more = ("--engine.context", "512", "--engine.self_check", "false", *small)
    first, second = (ServerProcess(*flags, *more) for _ in range(2))
    front = in_front_of(first.url, second.url)
    yield House((first, second), front)
    for process in (front, first, second):
        assert process.stop() == 0
        log = process.log()
        process.close()
        assert "Traceback" not in log, log


def test_answers_are_those_of_the_upstream(house: House) -> None:
    for turns in ([TEXT], [TEXT, "Wo?", "I am tired."]):
        direct, through = house.both(*turns)
        assert content(through) == content(direct) != ""
        assert through.json()["usage"] == direct.json()["usage"]
        assert through.json()["choices"] == direct.json()["choices"]
    listed = [httpx.get(f"{url}/v1/models").json()["data"] for url in (house.front.url,)]
    assert [listed[0][0]["id"], listed[0][0]["chat"]] == ["talker", True]


def test_a_stream_has_the_upstreams_pieces_and_its_usage(house: House) -> None:
    streams = house.both(TEXT, stream=True, stream_options={"include_usage": True})
    direct, through = map(chunks, streams)
    assert joined(through) == joined(direct) == content(house.both(TEXT)[0])
    assert len(through) == len(direct) > 5
    assert through[-1]["usage"] == direct[-1]["usage"]


def test_several_answers_are_spread_and_each_has_its_own_seed(house: House) -> None:
    direct, through = house.both(TEXT, n=4, **WILD)
    assert through.json()["choices"] == direct.json()["choices"]
    assert len({choice["message"]["content"] for choice in through.json()["choices"]}) == 4
    asked = [upstream_metric(house.front, "requests_total", each) for each in house.behind]
    assert min(asked) >= 2


def upstream_metric(front: ServerProcess, name: str, upstream: ServerProcess) -> float:
    """One number of an upstream."""
    return gauge(front, f'upstream_{name}{{upstream="127.0.0.1:{upstream.port}"}}')


def test_stop_strings_and_limits_end_the_answer_there(house: House) -> None:
    whole = content(house.both(TEXT)[0])
    direct, through = house.both(TEXT, stop=[whole[4:8], "nothing"])
    assert content(through) == whole[:4]
    assert through.json()["choices"] == direct.json()["choices"]
    direct, through = house.both(TEXT, max_tokens=2)
    assert through.json()["choices"][0]["finish_reason"] == "length"
    assert through.json()["usage"] == direct.json()["usage"]
    assert through.json()["usage"]["completion_tokens"] == 2


def test_the_upstream_stops_at_a_stop_string_by_itself(house: House) -> None:
    """Its usage is told, which a stream that is only left never tells."""
    whole = content(house.both(TEXT)[0])
    usage = [answer.json()["usage"] for answer in house.both(TEXT, stop=whole[4:8])]
    assert usage[0]["prompt_tokens"] == usage[1]["prompt_tokens"] > 0


SCHEMA = {
    "type": "object",
    "properties": {"word": {"type": "string", "maxLength": 8}, "sure": {"type": "boolean"}},
    "required": ["word", "sure"],
}


def test_the_form_of_an_answer_goes_on_to_the_upstream(house: House) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "word", "schema": SCHEMA}}
    for seed in range(3):
        direct, through = house.both(TEXT, response_format=form, temperature=1.5, seed=seed)
        assert content(through) == content(direct)
        assert list(json.loads(content(through))) == ["word", "sure"]
    through = house.both(TEXT, response_format={"type": "json_object"}, max_tokens=30)[1]
    assert content(through).startswith("{")


def test_a_prompt_is_gone_on_from(house: House) -> None:
    body = {"prompt": ["Hello", "Good"], "temperature": 0.5, "seed": 1}
    direct, through = house.both(path="completions", **body)
    assert through.json()["choices"] == direct.json()["choices"]
    assert len(through.json()["choices"]) == 2


def test_a_translation_by_its_name_is_one_still(house: House) -> None:
    assert content(house.both("12:30", model="babelbrook/translate-de")[1]) == "12:30"


def test_what_the_upstream_refuses_is_refused(house: House) -> None:
    for stream in (False, True):
        answer = house.both("word " * 600, stream=stream)[1]
        told = answer.json() if not stream else json.loads(last_data(answer))
        assert told["error"]["code"] == "context_length_exceeded"
    wrong = {"type": "json_schema", "json_schema": {"schema": {"type": 3}}}
    assert house.both(TEXT, response_format=wrong)[1].status_code == 400


def last_data(answer: httpx.Response) -> str:
    return answer.text.strip().rpartition("data: ")[2]


def body_of(**more: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": TEXT}]
    return {"messages": turns, "stream": True, "cache": False} | more


# Never finished by itself: a schema that only an endless list fits.
ENDLESS = {
    "type": "json_schema",
    "json_schema": {"schema": {"type": "array", "items": {"const": "word"}, "minItems": 200}},
}


@pytest.mark.parametrize("leave", [Peer.reset, Peer.close], ids=["RST", "FIN"])
def test_who_leaves_frees_the_upstreams_sequence(
    house: House, leave: Callable[[Peer], None]
) -> None:
    with Peer(house.front.port) as peer:
        peer.request("/v1/chat/completions", body_of(response_format=ENDLESS, n=3))
        peer.read_until(b"data: ", 4)
        assert sum(gauge(each, "sequences_used") for each in house.behind) > 0
        leave(peer)
        wait_until(lambda: not any(gauge(each, "sequences_used") for each in house.behind))
    wait_until(lambda: gauge(house.front, "requests_running") == 0)
    for each in house.behind:
        assert upstream_metric(house.front, "outstanding", each) == 0


@pytest.mark.slow
def test_a_reader_that_stops_pauses_the_upstreams_model(house: House) -> None:
    # The sockets between hold more than one answer of this model: sixteen, one after the other.
    peer = Peer(house.front.port, receive_buffer=SMALL, timeout=60)
    peer.request("/v1/chat/completions", body_of(response_format=ENDLESS, n=16))
    wait_until(lambda: gauge(house.front, "requests_paused") > 0)
    wait_until(lambda: all(stands_still(each) for each in house.behind))
    paused = sum(gauge(each, "requests_paused") for each in house.behind)
    running = sum(gauge(each, "requests_running") for each in house.behind)
    assert paused > 0 or running == 0
    assert talk(house.front.url, TEXT).status_code == 200
    peer.close()
    wait_until(lambda: not any(gauge(each, "requests_running") for each in house.behind))


def test_upstreams_are_in_readiness_metrics_and_events(house: House) -> None:
    assert ask(house.front.port, "/ready").json["upstreams"] == {"ready": 2, "total": 2}
    assert "upstreams" not in ask(house.behind[0].port, "/ready").json
    assert b"babelbrook_upstream" not in ask(house.behind[0].port, "/metrics").body
    before = [upstream_metric(house.front, "requests_total", each) for each in house.behind]
    talk(house.front.url, TEXT)
    after = [upstream_metric(house.front, "requests_total", each) for each in house.behind]
    assert sum(after) == sum(before) + 1
    for each in house.behind:
        assert upstream_metric(house.front, "ready", each) == 1
        assert upstream_metric(house.front, "resting", each) == 0
        assert upstream_metric(house.front, "first_text_seconds_count", each) > 0
    with httpx.stream("GET", f"{house.front.url}/events", timeout=10) as answer:
        line = next(line for line in answer.iter_lines() if line.startswith('data: {"time":1'))
    rows = json.loads(line.removeprefix("data: "))["upstreams"]
    assert [row["name"] for row in rows] == [f"127.0.0.1:{each.port}" for each in house.behind]
    assert all(row["ready"] and not row["resting"] for row in rows)
    assert all(row["requests"] > 0 and row["first_text_mean"] > 0 for row in rows)


if LLAMA_SERVER.exists():

    @pytest.mark.slow
    def test_llama_server_converses(model: Path) -> None:
        with llama_server(model) as url:
            front = in_front_of(url, model=str(model))
            direct, through = (talk(each, TEXT, temperature=0) for each in (url, front.url))
            assert content(through) == content(direct) != ""
            for count in ("prompt_tokens", "completion_tokens"):
                assert through.json()["usage"][count] == direct.json()["usage"][count]
            parts = chunks(talk(front.url, TEXT, stream=True, temperature=0))
            assert joined(parts) == content(direct)
            whole = content(direct)
            assert content(talk(front.url, TEXT, stop=whole[4:8])) == whole[:4]
            form = {"type": "json_schema", "json_schema": {"schema": SCHEMA}}
            made = content(talk(front.url, TEXT, response_format=form, temperature=1.0, seed=1))
            assert set(json.loads(made)) == {"word", "sure"}
            several = talk(front.url, TEXT, n=3, **WILD).json()["choices"]
            assert len({choice["message"]["content"] for choice in several}) == 3
            too_long = talk(front.url, "word " * 2000)
            assert too_long.json()["error"]["code"] == "context_length_exceeded"
            with Peer(front.port) as peer:
                peer.request("/v1/chat/completions", body_of(response_format=ENDLESS))
                peer.read_until(b"data: ", 5)
                assert any(slot["is_processing"] for slot in slots(url))
            wait_until(lambda: not any(slot["is_processing"] for slot in slots(url)))
            assert "Traceback" not in front.log()
            front.close()

    def slots(url: str) -> list[dict[str, bool]]:
        return list(httpx.get(f"{url}/slots").json())
