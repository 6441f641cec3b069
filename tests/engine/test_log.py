"""A log that cannot be written stops nobody, and says later how much is missing."""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from pathlib import Path

import pytest

from engine.log import LogHandler


def say(handler: LogHandler, text: str) -> None:
    handler.handle(logging.LogRecord("test", logging.INFO, __file__, 1, text, None, None))


def test_lines_come_in_order_and_whole(tmp_path: Path) -> None:
    with open(tmp_path / "log", "wb") as file:
        handler = LogHandler(file.fileno())
        for number in range(1000):
            say(handler, f"line {number} \udce9")
        handler.flush()
    lines = (tmp_path / "log").read_text("utf-8").splitlines()
    assert [line.partition("test: ")[2] for line in lines] == [
        f"line {number} \\udce9" for number in range(1000)
    ]


def test_a_pipe_that_nobody_reads_costs_lines_and_no_time() -> None:
    reading, writing = os.pipe()
    handler = LogHandler(writing)
    begun = time.monotonic()
    for _ in range(12_000):
        say(handler, "x" * 100)
    handler.flush()
    assert time.monotonic() - begun < 10
    data = os.read(reading, 2**20)
    while b"lines are missing here" not in data:
        data += os.read(reading, 2**20)
        say(handler, "y")
    missing = int(data.partition(b" lines are missing")[0].rpartition(b"\n")[2])
    assert 0 < missing <= 2000
    os.set_blocking(reading, False)
    while handler._lines.unfinished_tasks:  # or its thread would wait for this pipe for ever
        with suppress(BlockingIOError):
            os.read(reading, 2**20)
    os.close(reading)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_lines_that_a_full_disk_refuses_are_counted(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full, open(tmp_path / "log", "wb") as file:
        device = os.dup(full.fileno())
        handler = LogHandler(device)
        for number in range(3):
            say(handler, f"lost {number}")
        handler.flush()
        os.dup2(file.fileno(), device)  # there is room again
        say(handler, "written")
        handler.flush()
    lines = (tmp_path / "log").read_text("utf-8").splitlines()
    assert lines[0] == "3 lines are missing here: they could not be written."
    assert lines[1].endswith("test: written")
