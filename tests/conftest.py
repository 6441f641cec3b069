"""What all tests share: the tree, the embedded model and a server as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "models" / "tatoeba-mini-q8_0.gguf"
SENTENCES = ROOT / "tests" / "data" / "sentences.txt"
START_SECONDS = 60.0

# How long an example takes, or its making, tells how busy the machine is.
settings.register_profile(
    "patient",
    settings.get_profile(settings.get_current_profile_name()),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("patient")


# Whole folders and files that `make test-quick` leaves out, beside the tests that are marked.
SLOW = (
    *("tests/training/", "tests/bench/", "tests/engine/ray/"),
    *("test_wheel.py", "test_install.py", "test_server.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow by where it lies."""
    for item in items:
        if any(part in item.path.as_posix() for part in SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Any:
    """Under CI a test that skips for a missing component has failed."""
    return _not_skipped_in_ci((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Any:
    """The same for a whole file."""
    return _not_skipped_in_ci((yield))


def _not_skipped_in_ci(report: Any) -> Any:
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI takes for a failure: {report.longrepr}"
    return report


class ServerProcess:
    """`python server.py`, or another `command`, on a free port of the loopback interface.

    `stderr` takes the place of the file that `log` reads.
    """

    def __init__(
        self,
        *flags: str,
        environ: dict[str, str] | None = None,
        command: Sequence[str] = (sys.executable, "server.py"),
        stderr: Any = None,
    ) -> None:
        # To append: the child shares the place in the file, and reading here would move it.
        self._log = tempfile.TemporaryFile("a+", encoding="utf-8")  # noqa: SIM115
        self._out = tempfile.TemporaryFile("a+", encoding="utf-8")  # noqa: SIM115
        self.process = subprocess.Popen(
            [*command, "--port", "0", *flags],
            cwd=ROOT,
            env=os.environ | (environ or {}),
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._log if stderr is None else stderr,
        )
        try:
            self.start_line = self._await_start_line()
        except AssertionError:
            self.close()
            raise
        self.url = self.start_line.rsplit(", ", 1)[1]
        port = self.url.rsplit(":", 1)[1]
        self.port = int(port) if port.isdecimal() else 0  # 0 for a Unix socket

    def _await_start_line(self) -> str:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            self._out.seek(0)
            if (line := self._out.readline()).endswith("\n"):
                return line.strip()
            time.sleep(0.02)
        raise AssertionError(f"the server did not start: {self.log()}")

    def log(self) -> str:
        """What the server wrote to its log so far."""
        # The server writes by the same description: a seek here and its next line would meet.
        file = self._log.fileno()
        return os.pread(file, os.fstat(file).st_size, 0).decode()

    def stop(self, number: int = signal.SIGTERM, timeout: float = 30.0) -> int:
        """Send a signal and return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout)

    def close(self) -> None:
        """End the process however it is and close its files."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        self._log.close()
        self._out.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server on the embedded model for all tests that do not end it."""
    folder = str(tmp_path_factory.mktemp("data"))
    process = ServerProcess(
        *("--engine.sequences", "8", "--engine.threads", "1", "--data.folder", folder)
    )
    yield process
    log = process.log()
    process.close()
    assert "Traceback" not in log, log


@pytest.fixture(scope="session")
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    """An HTTP client of `server`."""
    with httpx.Client(base_url=server.url, timeout=60) as http:
        yield http


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    """English sentences of our own, in the reach of the embedded model."""
    return SENTENCES.read_text(encoding="utf-8").splitlines()
