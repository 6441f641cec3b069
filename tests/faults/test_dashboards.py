"""Dashboards by the thousand."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import ServerProcess
from tests.faults.conftest import Peer, baseline, gauge, wait_until

COUNT = 1000


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Room for the sockets of this side; a usual limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * COUNT), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
@pytest.mark.usefixtures("many_descriptors")
def test_a_thousand_idle_dashboards_leave_nothing_behind(
    start: Callable[..., ServerProcess],
) -> None:
    server = start("--engine.kind", "echo", "--events.interval", "0.5")
    with baseline(server):
        peers = [Peer(server.port) for _ in range(COUNT)]
        for peer in peers:
            peer.request("/events")
        for peer in peers:
            peer.read_until(b"\nid: ", count=3)
        assert gauge(server, "dashboards") == COUNT
        for number, peer in enumerate(peers):
            (peer.reset, peer.close, peer.half_close)[number % 3]()
        wait_until(lambda: gauge(server, "dashboards") == 0)
        for peer in peers:
            peer.close()
