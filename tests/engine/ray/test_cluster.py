"""Where replicas come from and go to: by load, in a cluster that others use, and where none can."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import ServerProcess
from tests.engine.ray.conftest import (
    answering,
    command,
    descendants,
    is_alive,
    ray_server,
    refused,
    running,
)
from tests.engine.remote.test_conversations import talk
from tests.faults.conftest import LONG, Peer, gauge, wait_until
from tests.handlers.test_openai import content
from tests.talker import talker

pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-ray.txt")

SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "age",
        "schema": {
            "type": "object",
            "properties": {"age": {"type": "integer"}},
            "required": ["age"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The flags for a model that has a chat form."""
    file = talker(tmp_path_factory.mktemp("talker"))
    return "--model", str(file), "--engine.self_check", "false"


@pytest.fixture(scope="module")
def one(head: str, model: tuple[str, ...]) -> Iterator[ServerProcess]:
    """A server that has brought one replica into a cluster, two under load."""
    load = ("--ray.target_streams", "2", "--ray.streams", "8", "--ray.upscale_delay", "0.5")
    with running("--ray.address", head, *model, "--ray.max_replicas", "2", *load) as server:
        yield server


def test_conversations_are_answered_as_by_a_local_engine(
    one: ServerProcess, model: tuple[str, ...]
) -> None:
    local = ServerProcess(*model, "--engine.threads", "1", "--engine.context", "512")
    for texts, more in (
        (("Where is the station?",), {}),
        (("Where is the station?", "Wo?", "I am tired."), {"max_tokens": 12}),
        (("How old is he?",), {"response_format": SCHEMA, "max_tokens": 40}),
    ):
        answers: list[httpx.Response] = [
            talk(each.url, *texts, **dict[str, Any](more)) for each in (local, one)
        ]
        assert answers[0].status_code == answers[1].status_code == 200
        assert content(answers[0]) == content(answers[1]) != ""
        assert answers[0].json()["usage"] == answers[1].json()["usage"]
    long = [talk(each.url, "He is old. " * 300) for each in (local, one)]
    assert [answer.status_code for answer in long] == [400, 400]
    assert long[0].json() == long[1].json()
    local.close()


def test_another_server_uses_the_replicas_that_are_there(
    one: ServerProcess, head: str, model: tuple[str, ...]
) -> None:
    other = ray_server("--ray.address", head, *model)
    assert f"on 1 replicas in the Ray cluster at {head}" in other.start_line
    bodies = [talk(each.url, "Where is the station?") for each in (one, other)]
    assert content(bodies[0]) == content(bodies[1])
    assert other.stop() == 0, other.log()
    assert "Traceback" not in other.log()
    other.close()
    assert talk(one.url, "Good morning.").status_code == 200


def test_a_server_for_another_model_is_refused(one: ServerProcess, head: str) -> None:
    said = refused("--ray.address", head)
    assert said.startswith("The replicas in the cluster run talker, not tatoeba-mini.")


def test_load_starts_another_replica(one: ServerProcess) -> None:
    assert answering(one) == 1
    peers = [Peer(one.port) for _ in range(7)]
    for number, peer in enumerate(peers):
        text = {"text": f"Number {number}.", "max_tokens": 440}
        peer.request(body=LONG | text, version="1.0")
    again = iter(range(1000, 2000))

    def grown() -> bool:
        # As soon as one of them ends there is another.
        for place, peer in enumerate(peers):
            if peer.is_closed() or b"[DONE]" in peek(peer):
                peer.close()
                peers[place] = Peer(one.port)
                text = {"text": f"Number {next(again)}.", "max_tokens": 440}
                peers[place].request(body=LONG | text, version="1.0")
        return answering(one) == 2

    wait_until(grown, 60)
    for peer in peers:
        peer.close()
    wait_until(lambda: gauge(one, "sequences_used") == 0)


def peek(peer: Peer) -> bytes:
    """Take what has come, without waiting for more."""
    peer.socket.setblocking(False)
    try:
        while peer.read():
            pass
    except BlockingIOError:
        pass
    peer.socket.settimeout(30.0)
    return peer.received


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("127.0.0.1:9", "No Ray cluster can be had at ray.address 127.0.0.1:9: Connection refused"),
        ("ray://gpu1:10001", "ray.address must be local, auto, or host and port"),
        ("gpu1", "ray.address must be local, auto, or host and port"),
    ],
)
def test_an_address_that_is_none_is_told(address: str, sentence: str) -> None:
    assert refused("--ray.address", address).startswith(sentence)


def test_a_cluster_ends_with_the_server_that_has_started_it_even_where_that_is_killed() -> None:
    server = ray_server()
    names = ("gcs_server", "raylet/raylet", "ServeController", "ServeReplica")
    family = {
        pid
        for pid in descendants(server.process.pid)
        if any(name in command(pid) for name in names)
    }
    assert len(family) >= 4  # the agents of a node take half a minute to notice
    server.process.kill()
    wait_until(lambda: not any(map(is_alive, family)))
    server.close()


def test_without_room_for_the_replicas_there_is_no_start() -> None:
    said = refused("--ray.min_replicas", "3", "--ray.replica_cpus", "500")
    assert said.startswith("3 replicas of 500 CPUs need 1500, but this machine has ")


def test_without_ray_it_is_told_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "ray.py").write_text("raise ModuleNotFoundError(\"No module named 'ray'\")\n")
    said = refused(PYTHONPATH=str(tmp_path))
    assert said == (
        "engine.kind is ray, but Ray cannot be imported (No module named 'ray'). Install it:"
        " python -m pip install -r requirements-ray.txt"
    )
