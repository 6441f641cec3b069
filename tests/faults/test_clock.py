"""A clock that is set while streams run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, ServerProcess
from tests.faults.conftest import LONG, Peer, ask, baseline

FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


def date(server: ServerProcess) -> str:
    """The day, as the server sees it."""
    return (ask(server.port, "/health").header("date") or "")[:16]


@pytest.mark.skipif(FAKETIME is None, reason="needs libfaketime")
def test_a_clock_that_jumps_changes_nothing(
    start: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    clock = tmp_path / "clock"

    def set_clock(to: str) -> None:
        (tmp_path / "next").write_text(to)
        (tmp_path / "next").rename(clock)

    set_clock("+0")
    server = start(
        "--streams.heartbeat",
        "0.5",
        environ={
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        },
    )
    with baseline(server):
        for to in ("+10d", "-10d"):
            with Peer(server.port) as peer, Peer(server.port) as idle:
                idle.request("/health")
                idle.answer()
                peer.request(body={**LONG, "max_tokens": 60})
                peer.read_until(b'data: "')
                set_clock(to)
                peer.read_until(b"data: [DONE]")
                idle.request("/health")  # its connection is still there
                assert idle.answer().status == 200
    before = date(server)
    set_clock("+10d")
    assert date(server) != before  # the clock does jump
    times = re.findall(r"(?:total_ms|ttft_ms)=(\S+)", server.log())
    assert times
    assert all(0 <= float(ms) < 60_000 for ms in times)


def test_intervals_are_never_taken_from_the_wall_clock() -> None:
    """What remains names moments: the ids and the times of snapshots, when answers and glossaries
    were made, on which day a remembered translation was last used, and what outlives a restart: the
    day that a quota counts for and the end of a session.
    """
    uses = {
        path.relative_to(ROOT).as_posix()
        for folder in ("engine", "handlers")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"\btime\.time(_ns)?\(|datetime\.now|utcnow", path.read_text("utf-8"))
    }
    assert uses <= {
        *("handlers/feed.py", "handlers/readings.py", "handlers/openai_shapes.py"),
        *("engine/memory/store.py", "engine/memory/redis_store.py", "engine/access/state.py"),
        *("engine/translation/glossaries.py", "engine/translation/multilingual.py"),
    }
