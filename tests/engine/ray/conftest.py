"""Servers with a Ray cluster of their own, and a look at its processes."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.conftest import ROOT, ServerProcess
from tests.faults.conftest import ask, gauge, wait_until

NARROW = (  # four sequences, little room for unread text
    *("--engine.sequences", "4", "--engine.context", "512", "--engine.lookahead", "1"),
    *("--streams.unread_bytes", "64", "--streams.send_buffer", "4096"),
)

LOOPBACK = {
    # Or Ray takes an address on the loopback interface for another one of this machine.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}
HEAD = """
import ray, sys
ray.init(
    address="local", num_cpus=2, include_dashboard=False, object_store_memory=80 * 2**20,
    _node_ip_address="127.0.0.1",
)
print("head", ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


def ray_server(*flags: str) -> ServerProcess:
    """A server whose replicas take half a CPU each, so that two find room on any machine."""
    small = ("--ray.replica_cpus", "0.5", "--ray.check_interval", "0.1")
    environ = LOOPBACK if "--ray.address" in flags else {}
    return ServerProcess("--engine", "ray", *small, *NARROW, *flags, environ=environ)


def refused(*flags: str, **environ: str) -> str:
    """What a server that cannot start says."""
    done = subprocess.run(
        [sys.executable, "server.py", "--port", "0", "--engine", "ray", *flags],
        cwd=ROOT,
        env=os.environ | LOOPBACK | environ,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    # A line of the log may come in between, or before the end of this one.
    return done.stderr.rpartition("server.py: error: ")[2].partition("\n")[0]


@contextmanager
def running(*flags: str) -> Iterator[ServerProcess]:
    """Such a server, which ends well and leaves no process behind."""
    server = ray_server(*flags)
    family = descendants(server.process.pid)
    try:
        yield server
        family |= descendants(server.process.pid)
        assert server.stop() == 0, server.log()
        assert "Traceback" not in server.log(), server.log()
        wait_until(lambda: not any(map(is_alive, family)))
    finally:
        server.close()


@pytest.fixture(scope="session")
def head() -> Iterator[str]:
    """The address of a cluster that no server has started."""
    process = subprocess.Popen(
        [sys.executable, "-c", HEAD],
        env=os.environ | LOOPBACK,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    address = next(line.split()[1] for line in process.stdout if line.startswith("head "))
    family = descendants(process.pid)
    yield address
    process.communicate("", timeout=30)
    wait_until(lambda: not any(map(is_alive, family)))


@pytest.fixture(scope="module")
def pair() -> Iterator[ServerProcess]:
    """A server with two replicas of the embedded model."""
    with running("--ray.min_replicas", "2", "--ray.max_replicas", "2") as server:
        yield server


def descendants(pid: int) -> set[int]:
    """The processes that a process has started, and those that these have."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(fields[1])
    found, new = set[int](), {pid}
    while new := {child for child, parent in parents.items() if parent in new} - found:
        found |= new
    return found


def is_alive(pid: int) -> bool:
    """Whether a process is there, and not only its end to be read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def command(pid: int) -> str:
    """How a process was started, or what it calls itself."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def replicas(server: ServerProcess) -> list[int]:
    """The processes of a server's replicas."""
    return sorted(p for p in descendants(server.process.pid) if "ServeReplica" in command(p))


def answering(server: ServerProcess) -> int:
    """How many replicas are ready, by the server's own word."""
    return int(ask(server.port, "/ready").json.get("upstreams", {}).get("ready", 0))


def cells(server: ServerProcess) -> float:
    """The share of the replicas' caches that is in use, as of the last look at them."""
    return gauge(server, "kv_used_ratio")
