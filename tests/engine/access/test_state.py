"""Usage and sessions in SQLite."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from engine.access import state as state_module
from engine.access.keys import AccessError
from engine.access.state import DAY, SESSION_SECONDS, State


class Clock:
    """A time that the test sets."""

    def __init__(self) -> None:
        self.now = 20_000 * DAY + 1.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(state_module, "time", clock)
    return clock


def opened(file: Path) -> State:
    state = State(file)
    state.open()
    return state


def test_usage_outlives_a_restart(tmp_path: Path) -> None:
    before = opened(tmp_path / "s")
    before.add("a", 5)
    before.add("a", 2)
    assert before.used_here("a") == 7
    asyncio.run(before.save())
    before.add("a", 1)
    assert opened(tmp_path / "s").used_here("a") == 7
    asyncio.run(before.save())
    after = opened(tmp_path / "s")
    assert (after.used_here("a"), after.used_here("b")) == (8, 0)


def test_two_processes_add_up(tmp_path: Path) -> None:
    one, other = opened(tmp_path / "s"), opened(tmp_path / "s")
    one.add("a", 5)
    other.add("a", 7)
    for state in (one, other, one):
        asyncio.run(state.save())
        state.add("a", 0)
    assert (one.used_here("a"), other.used_here("a")) == (12, 12)


def test_quotas_begin_anew_at_midnight(tmp_path: Path, clock: Clock) -> None:
    state = opened(tmp_path / "s")
    state.add("a", 5)
    clock.now += DAY
    assert state.used_here("a") == 0
    state.add("a", 3)
    asyncio.run(state.save())
    assert state.used_here("a") == 3
    assert opened(tmp_path / "s").used_here("a") == 3


def test_usage_that_cannot_be_written_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(state_module, "_BUSY_SECONDS", 0.01)
    state = opened(tmp_path / "s")
    state.add("a", 5)
    lock = sqlite3.connect(tmp_path / "s")
    lock.execute("BEGIN IMMEDIATE")
    asyncio.run(state.save())
    assert "cannot be saved" in caplog.text
    lock.close()
    asyncio.run(state.save())
    assert opened(tmp_path / "s").used_here("a") == 5


def test_a_session_ends_with_its_time_or_before(tmp_path: Path, clock: Clock) -> None:
    state = opened(tmp_path / "s")
    first, second = (asyncio.run(state.log_in("a")) for _ in range(2))
    assert asyncio.run(opened(tmp_path / "s").session(first)) == "a"
    asyncio.run(state.log_out(first))
    assert asyncio.run(state.session(first)) is None
    assert asyncio.run(state.session(second)) == "a"
    clock.now += SESSION_SECONDS
    assert asyncio.run(state.session(second)) is None
    assert asyncio.run(state.session("anything")) is None


def test_tokens_of_sessions_are_kept_as_hashes(tmp_path: Path) -> None:
    token = asyncio.run(opened(tmp_path / "s").log_in("a"))
    for file in tmp_path.iterdir():
        assert token.encode() not in file.read_bytes()


def test_a_file_that_is_no_database_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("something else, and long enough to be looked at" * 50)
    with pytest.raises(AccessError, match="cannot be used"):
        opened(tmp_path / "s")
