"""Sharing the processor with other work."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs pip install -r training/requirements.txt")

from training import threads  # noqa: E402


def test_every_example_is_true() -> None:
    found = doctest.testmod(threads)
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize(("others", "wanted"), [(0.1, 4), (2.2, 2), (9.0, 1)])
def test_the_cores_that_others_leave_are_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, others: float, wanted: int
) -> None:
    """Ten seconds pass in which others use `others` cores of four, and this program one second."""
    stat = tmp_path / "stat"
    now = {"when": 100.0, "own": 5.0}
    count = {"set": 4}
    monkeypatch.setattr(threads, "_STAT", stat)
    monkeypatch.setattr(threads.time, "monotonic", lambda: now["when"])
    monkeypatch.setattr(threads.time, "process_time", lambda: now["own"])
    monkeypatch.setattr(threads.os, "sysconf", lambda name: 100)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(torch, "set_num_threads", lambda n: count.update(set=n))
    stat.write_text("cpu  1000 0 0 9000 0 0 0 0 0 0\n")
    chooser = threads.Threads()
    chooser.adjust()
    now.update(when=110.0, own=6.0)
    stat.write_text(f"cpu  {1000 + round(100 * (10 * others + 1))} 0 0 9000 0 0 0 0 0 0\n")
    chooser.adjust()
    assert count["set"] == wanted
