"""Servers as processes: started on a free port of the loopback interface, awaited, ended."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 180.0
_STOP_SECONDS = 30.0

# Nothing here leaves the machine, whatever proxy the environment names.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServerFailed(Exception):
    """A server did not start, or ended too soon; the text holds the end of its log."""


class Server:
    """A running server. Ended by `close`, or at the end of a `with` block."""

    def __init__(
        self, name: str, command: list[str], health: str, environ: dict[str, str] | None = None
    ) -> None:
        """Start `command`, which may hold `{port}`, and wait until `health` answers 200."""
        self.name = name
        self.port = free_port()
        self._log = tempfile.TemporaryFile("a+b")  # noqa: SIM115
        self._process = subprocess.Popen(
            [part.replace("{port}", str(self.port)) for part in command],
            cwd=ROOT,
            env=os.environ | (environ or {}),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        try:
            self._await(health)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def _await(self, health: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.get(health, timeout=5)
                return
            except (OSError, urllib.error.URLError):
                time.sleep(0.05)
        raise ServerFailed(f"{self.name} did not start:\n{self.log_tail()}")

    def get(self, path: str, timeout: float = 30.0) -> str:
        """The body of a GET. Raises OSError, also for a status other than 200."""
        with _OPENER.open(f"http://127.0.0.1:{self.port}{path}", timeout=timeout) as answer:
            return str(answer.read().decode())

    def log(self) -> str:
        """All that the server wrote."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def log_tail(self) -> str:
        """The last lines of what the server wrote."""
        return "\n".join(self.log().splitlines()[-20:])

    def peak_memory(self) -> int:
        """Most bytes that were resident since the start; the present ones where only these show."""
        status = Path(f"/proc/{self._process.pid}/status")
        if status.exists():
            found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
            return int(found[1]) * 1024 if found else 0
        shown = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(self._process.pid)], capture_output=True, text=True
        )
        return int(shown.stdout.strip() or 0) * 1024

    def close(self) -> None:
        """End the process, first politely."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(_STOP_SECONDS)
        self._log.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def free_port() -> int:
    """A port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def babelbrook(
    model: Path, template: str, *, sequences: int, context: int, flags: tuple[str, ...] = ()
) -> Server:
    """Babelbrook on `model`, asked by `template`; a text stays one segment.

    `context` counts the tokens of one sequence.
    """
    entry = {
        "name": "bench",
        "file": str(model),
        "prompt": {"template": template, "languages": "code"},
        "segment": "paragraph",
    }
    command = [sys.executable, "server.py", "--server.port", "{port}"]
    command += ["--models.entries", json.dumps([entry]), "--models.selected", "bench"]
    command += ["--engine.sequences", str(sequences), "--engine.context", str(context)]
    return Server("babelbrook", [*command, "--log.level", "warning", *flags], "/ready")


def llama_server(
    folder: Path,
    model: Path,
    *,
    sequences: int,
    context: int,
    flags: tuple[str, ...] = (),
    environ: dict[str, str] | None = None,
) -> Server:
    """llama-server from `folder` on `model`; `context` counts the tokens of one slot."""
    command = [str(folder / "llama-server"), "--host", "127.0.0.1", "--port", "{port}"]
    command += ["-m", str(model), "-np", str(sequences), "-c", str(sequences * context)]
    # Without its log lines of each request and without keeping prompts, which only costs it.
    command += ["-lv", "2", "--no-slots", "--offline", "-cram", "0"]
    return Server("llama-server", [*command, *flags], "/health", environ)


def llama_cpp_server(model: Path, *, context: int) -> Server:
    """llama_cpp.server of the installed binding; it has one sequence."""
    command = [sys.executable, "-m", "llama_cpp.server", "--host", "127.0.0.1"]
    command += ["--port", "{port}", "--model", str(model), "--n_ctx", str(context)]
    # Else a request that waits would cut the running one short.
    command += ["--interrupt_requests", "False"]
    return Server("llama_cpp.server", command, "/v1/models")


def engine_seconds(server: Server) -> dict[str, float]:
    """Babelbrook's counters of steps and seconds, by their names without prefix and suffix."""
    names = ("decode_steps", "decode_seconds", "step_seconds", "prompt_tokens_reused", "tokens")
    text = server.get("/metrics")
    found = {name: re.search(rf"^babelbrook_{name}_total (\S+)", text, re.M) for name in names}
    return {name: float(match[1]) if match else 0.0 for name, match in found.items()}
