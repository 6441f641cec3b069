"""A real Redis for tests, and servers that share it."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as client_library

from tests.conftest import ServerProcess
from tests.handlers.keyed import ECHO, Keyed

START_SECONDS = 20.0
PATIENCE = 5.0  # seconds: the machine may be busy


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class RedisProcess:
    """`redis-server` on a port of the loopback interface, without a disk."""

    def __init__(self, *options: str, password: str | None = None) -> None:
        self.port = free_port()
        self._options = ["--port", str(self.port), *options]
        if password is not None:
            self._options += ["--requirepass", password]
        self._folder = tempfile.mkdtemp()
        self.client: Any = client_library.Redis(port=self.port, password=password)
        self.start()

    @property
    def url(self) -> str:
        """For `redis.url`."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Begin with no data, and wait until it answers."""
        self.process = subprocess.Popen(
            ["redis-server", "--bind", "127.0.0.1", "--save", "", *self._options],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.client.ping()
                return
            except client_library.ConnectionError:
                assert time.monotonic() < deadline, "redis-server did not start"
                time.sleep(0.02)

    def send(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it, with all that it holds."""
        self.process.kill()
        self.process.wait(10)

    def close(self) -> None:
        """End it and forget its folder."""
        self.client.close()
        self.process.send_signal(signal.SIGCONT)
        self.kill()
        shutil.rmtree(self._folder)


@pytest.fixture(scope="session", autouse=True)
def _installed() -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    """A Redis of the test's own."""
    process = RedisProcess()
    yield process
    process.close()


class Fronts:
    """Servers with the same keys and folders of their own, which share one Redis."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.keyed = Keyed(folder)
        self._servers: list[ServerProcess] = []

    def serve(
        self, url: str, *flags: str, engine: tuple[str, ...] = ECHO, timeout: float = PATIENCE
    ) -> ServerProcess:
        """One more, with a folder that no other has; it waits so long (seconds) for the Redis."""
        data = self._folder / f"data{len(self._servers)}"
        own = ("--keys.file", str(self.keyed.file), "--data.folder", str(data))
        own += ("--redis.timeout", str(timeout))
        server = ServerProcess(*engine, *own, *flags, environ={"BABELBROOK_REDIS__URL": url})
        self._servers.append(server)
        return server

    def close(self) -> None:
        """End all; none has written a traceback."""
        logs = [server.log() for server in self._servers]
        for server in self._servers:
            server.close()
        for log in logs:
            assert "Traceback" not in log, log


@pytest.fixture
def fronts(tmp_path: Path) -> Iterator[Fronts]:
    """Servers of the test's own."""
    fronts = Fronts(tmp_path)
    yield fronts
    fronts.close()
