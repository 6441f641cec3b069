"""Peers that vanish without a word: a cable that is pulled, in network namespaces of our own."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

import pytest

from tests.conftest import ServerProcess
from tests.faults.conftest import LONG, Peer, baseline, gauge, state, wait_until

T = TypeVar("T")
Start = Callable[..., ServerProcess]
_CLONE_NEWNET = 0x40000000


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def enter(path: str) -> None:
    """Move the calling thread into a network namespace; its sockets belong there for ever."""
    with open(path) as namespace:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(namespace.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


class Cable:
    """The connection between the server's network, which this thread is in, and the clients'."""

    def __init__(self) -> None:
        self.near, self.far = f"near{os.getpid()}", f"far{os.getpid()}"
        self.pulled = False

    def plug(self) -> None:
        for name in (self.near, self.far):
            ip("netns", "add", name)
        end = ("name", "cable", "type", "veth", "peer", "name", "cable", "netns", self.far)
        ip("-n", self.near, "link", "add", *end)
        for host, name in enumerate((self.near, self.far), 1):
            ip("-n", name, "address", "add", f"10.9.8.{host}/24", "dev", "cable")
            ip("-n", name, "link", "set", "cable", "up")
            ip("-n", name, "link", "set", "lo", "up")

    def from_afar(self, act: Callable[[], T]) -> T:
        """Do something in the clients' network."""
        enter_far = f"/run/netns/{self.far}"
        with ThreadPoolExecutor(1, initializer=enter, initargs=(enter_far,)) as thread:
            return thread.submit(act).result()

    def pull(self) -> None:
        """No packet gets through any more, and nobody is told."""
        ip("-n", self.far, "link", "set", "cable", "down")

    def remove(self) -> None:
        for name in (self.near, self.far):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


@pytest.fixture
def cable() -> Iterator[Cable]:
    """A cable; the test's thread, and so the server that it starts, is at its near end."""
    home = f"/proc/self/task/{threading.get_native_id()}/ns/net"
    kept = os.open(home, os.O_RDONLY)
    cable = Cable()
    try:
        try:
            cable.plug()
            enter(f"/run/netns/{cable.near}")
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"needs network namespaces: {error}")
        yield cable
    finally:
        enter(f"/proc/self/fd/{kept}")
        os.close(kept)
        cable.remove()


@pytest.fixture
def server(cable: Cable, start: Start) -> ServerProcess:
    """A server that waits for nobody longer than two seconds."""
    flags = {
        "host": "0.0.0.0",
        "server.insecure": "true",
        "streams.dead_peer_timeout": "2",
        "streams.stall_timeout": "2",
        "streams.send_buffer": "200000",  # more than comes: nobody stalls, and the kernel decides
        "limits.idle_timeout": "3600",
        "engine.sequences": "1",
    }
    return start(*(word for name in flags for word in (f"--{name}", flags[name])))


@pytest.mark.slow
def test_a_peer_that_vanishes_in_a_stream_frees_its_sequence(
    cable: Cable, server: ServerProcess
) -> None:
    far = cable.from_afar(lambda: Peer(server.port, "10.9.8.1"))
    with far, baseline(server):
        far.request(body={**LONG, "text": "He is old. She sings. " * 500})  # takes a minute
        far.read_until(b'data: "')
        cable.pull()
        # Without TCP_USER_TIMEOUT the buffer must fill first, which takes longer.
        wait_until(lambda: gauge(server, "sequences_used") == 0, 10)


@pytest.mark.slow
def test_a_peer_that_vanishes_between_requests_gives_its_connection_back(
    cable: Cable, server: ServerProcess
) -> None:
    with ExitStack() as stack, baseline(server):
        before = state(server)
        far = cable.from_afar(lambda: Peer(server.port, "10.9.8.1"))
        stack.push(far)
        far.request("/health")
        assert far.answer().status == 200
        assert state(server).descriptors == before.descriptors + 1
        cable.pull()


def test_connections_of_one_address_have_their_own_limit(cable: Cable, start: Start) -> None:
    server = start("--host", "0.0.0.0", "--insecure", "--limits.connections_per_address", "2")
    with baseline(server):
        near = [Peer(server.port) for _ in range(5)]  # loopback is not counted
        far = [cable.from_afar(lambda: Peer(server.port, "10.9.8.1")) for _ in range(3)]
        for peer in near + far[:2]:
            peer.request("/health")
            assert peer.answer().status == 200
        answer = far[2].answer()
        assert (answer.status, answer.json["code"]) == (429, "too_many_connections")
        assert answer.header("retry-after")
        far[0].close()
        wait_until(lambda: cable.from_afar(lambda: is_answered(server)))
        for peer in near + far:
            peer.close()


def is_answered(server: ServerProcess) -> bool:
    """Whether a further connection from afar gets its answer."""
    with Peer(server.port, "10.9.8.1") as peer:
        peer.request("/health")
        return peer.answer().status == 200
