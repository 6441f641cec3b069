"""The log: lines on standard error that nobody ever waits for.

A thread of its own writes, because a pipe that nobody reads stops whoever writes to it. Lines that
it cannot get rid of (the pipe stays full, the disk is full) are left out and counted, and the count
is the first thing that is written when writing works again.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
from datetime import UTC, datetime
from typing import Any

from engine.settings import Log

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_LINES = 10_000  # that may wait to be written
_AT_A_TIME = 100  # lines in one write
_FLUSH_SECONDS = 1.0


def set_up(settings: Log) -> None:
    """Log to standard error from now on, warnings of Python too."""
    handler = LogHandler(sys.stderr.fileno())
    if settings.format == "json":
        handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=settings.level.upper(), handlers=[handler])
    logging.captureWarnings(True)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # its lines hold signed addresses


def lost_lines() -> int:
    """Lines that could not be written, since the start."""
    handlers = logging.getLogger().handlers
    return sum(each.lost for each in handlers if isinstance(each, LogHandler))


class JsonFormatter(logging.Formatter):
    """An object in each line: `time` (UTC), `level`, `logger`, `message`, `exception`.

    What a record was given as `fields` stands beside these, in the place of the message.
    """

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"time": time, "level": record.levelname, "logger": record.name}
        fields: dict[str, Any] | None = getattr(record, "fields", None)
        line |= {"message": record.getMessage()} if fields is None else fields
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class LogHandler(logging.Handler):
    """Formats where the line comes from, writes on a thread of its own."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(_FORMAT))
        self._descriptor = descriptor
        self._lines: queue.Queue[str] = queue.Queue(_LINES)
        # Each counter has one writer: this one the loggers (under the handler's lock), ...
        self._left_out = 0
        self._failed = self._told = 0  # ... these the writing thread
        threading.Thread(target=self._write_all, name="log", daemon=True).start()

    @property
    def lost(self) -> int:
        """Lines that could not be written."""
        return self._left_out + self._failed

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line over; logging calls this with the handler's lock held."""
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._left_out += 1
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Wait a moment for what is not written yet; `logging.shutdown` calls this at the end."""
        lines = self._lines
        with lines.all_tasks_done:
            lines.all_tasks_done.wait_for(lambda: not lines.unfinished_tasks, _FLUSH_SECONDS)

    def _write_all(self) -> None:
        while True:
            lines = [self._lines.get()]
            while len(lines) < _AT_A_TIME and not self._lines.empty():
                lines.append(self._lines.get())
            self._write(lines)
            for _ in lines:
                self._lines.task_done()

    def _write(self, lines: list[str]) -> None:
        lost = self.lost - self._told
        told = [f"{lost} lines are missing here: they could not be written."] if lost else []
        data = "".join(f"{line}\n" for line in told + lines).encode("utf-8", "backslashreplace")
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            self._failed += len(lines)
        else:
            self._told += lost
