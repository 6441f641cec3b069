"""One download for each file, however many ask for it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from engine.errors import BabelbrookError
from engine.models import split
from engine.models.catalogue import Source
from engine.models.download import Cancelled, DownloadError, Report, fetch

logger = logging.getLogger("babelbrook.models")

_REPORT_EVERY = 0.1  # seconds


class Downloads:
    """The downloads under way, by the file they are to make; `hosts` as `fetch` takes them."""

    def __init__(self, hosts: Sequence[str] = ()) -> None:
        self._hosts = hosts
        self._running: dict[Path, _Download] = {}

    async def get(self, source: Source, file: Path, report: Report) -> None:
        """Return when `file` is there, with its further parts where it has some.

        `report` is called on the loop with bytes done and in all.

        When cancelled it leaves, and the last one who leaves stops the transfer: what has come is
        kept. Raises DownloadError.
        """
        while not all(each.exists() for each in split.paths(file)):
            download = self._running.get(file)
            if download is None or download.over:
                download = self._running[file] = _Download(source, file, self._hosts)
            try:
                if await download.follow(report):
                    return
            finally:
                if download.over and self._running.get(file) is download:
                    del self._running[file]


class _Download:
    """A transfer on a thread of its own, and those who wait for it.

    The thread is a daemon: a transfer never keeps the process from ending.
    """

    def __init__(self, source: Source, file: Path, hosts: Sequence[str]) -> None:
        self._source, self._file, self._hosts = source, file, hosts
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._askers = 0
        self._latest: tuple[int, int] | None = None  # set by the thread
        self._outcome: asyncio.Future[BabelbrookError | Cancelled | None]
        self._outcome = self._loop.create_future()
        threading.Thread(target=self._run, name=f"download {file.name}", daemon=True).start()

    @property
    def over(self) -> bool:
        """Whether the transfer has ended, well or not."""
        return self._outcome.done()

    async def follow(self, report: Report) -> bool:
        """Wait for the end; False where the transfer was stopped because nobody waited any more."""
        self._askers += 1
        self._stop.clear()  # somebody may have left just before
        told = None
        try:
            while True:
                ended = self.over
                if self._latest is not None and self._latest != told:
                    told = self._latest
                    report(*told)
                if ended:
                    break
                await asyncio.wait({self._outcome}, timeout=_REPORT_EVERY)
        finally:
            self._askers -= 1
            if not self._askers:
                self._stop.set()
        outcome = self._outcome.result()
        if isinstance(outcome, BabelbrookError):
            raise outcome
        return outcome is None

    def _run(self) -> None:
        outcome: BabelbrookError | Cancelled | None = None
        try:
            fetch(self._source, self._file, self._note, self._stop, self._hosts)
        except (BabelbrookError, Cancelled) as error:
            outcome = error
        except Exception:
            logger.exception("The download of %s failed.", self._file.name)
            outcome = DownloadError(f"The download of {self._file.name} failed; the log says why.")
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self._outcome.set_result, outcome)

    def _note(self, done: int, total: int) -> None:
        self._latest = done, total
