"""Many idle dashboards on `/events`, beside sse-starlette on uvicorn in the same run.

    make bench-connections            # or: python -m bench.connections --dashboards 2000

Each round starts the servers in turn, each with a client process of its own that opens all
dashboards and reads them at 1 Hz; the peer has a second turn without Python's garbage collector.
The figures go to bench/results/ as they come, the table at the
end. Needs Linux: memory and CPU time are read in /proc.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import servers
from bench.compare import RESULTS, describe_machine
from bench.dashboards import raise_descriptor_limit
from bench.figures import median, ratio
from bench.records import Record, Records
from bench.stalls import Watch

OURS, PEER, PEER_WITHOUT = "babelbrook", "sse-starlette", "sse-starlette, no collector"
_MINUTES = 4.0  # no round is begun later
_SPARE = 200  # file descriptors beside the connections
_TICKS = os.sysconf("SC_CLK_TCK")


def babelbrook(dashboards: int) -> servers.Server:
    """Babelbrook on the echo engine."""
    command = [sys.executable, "server.py", "--server.port", "{port}", "--engine.kind", "echo"]
    command += ["--events.connections", str(dashboards), "--log.level", "warning"]
    return servers.Server(OURS, command, "/ready")


def sse_starlette(name: str, environ: dict[str, str]) -> servers.Server:
    """The peer, with the event loop and the HTTP parser that uvicorn recommends."""
    command = [sys.executable, "-m", "uvicorn", "bench.starlette_feed:app", "--port", "{port}"]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    return servers.Server(name, [*command, "--log-level", "warning"], "/ready", environ)


def memory(server: servers.Server) -> int:
    """Resident bytes."""
    pages = Path(f"/proc/{server.pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(server: servers.Server) -> float:
    """CPU time since the start, user and system."""
    stat = Path(f"/proc/{server.pid}/stat").read_text(encoding="ascii")
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def measure(server: servers.Server, dashboards: int, seconds: float) -> dict[str, float]:
    """One turn of a server that has just started."""
    empty = memory(server)
    with _client(server.port, dashboards, seconds) as lines:
        connected = _next(lines)
        _next(lines)
        full, before, begun = memory(server), cpu_seconds(server), time.perf_counter()
        heard = _next(lines)
        cpu = (cpu_seconds(server) - before) / (time.perf_counter() - begun)
    return {
        "connect_rate": dashboards / connected["connect_seconds"],
        "memory": (full - empty) / dashboards,
        "cpu": cpu,
        **heard,
    }


@contextmanager
def _client(port: int, dashboards: int, seconds: float) -> Iterator[Iterator[dict[str, float]]]:
    """The client process; gives the lines that it prints."""
    command = [sys.executable, "-m", "bench.dashboards", *map(str, (port, dashboards, seconds))]
    with subprocess.Popen(command, cwd=servers.ROOT, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        try:
            yield map(json.loads, client.stdout)
        finally:
            client.kill()


def _next(lines: Iterator[dict[str, float]]) -> dict[str, float]:
    line = next(lines, None)
    if line is None:
        raise servers.ServerFailed("The dashboards gave up; what they say stands above.")
    return line


FIGURES: dict[str, tuple[str, Callable[[float], str]]] = {
    "memory": ("memory of a connection, KiB", lambda value: f"{value / 1024:.1f}"),
    "cpu": ("CPU seconds a second", lambda value: f"{value:.3f}"),
    "age_p50": ("age of a snapshot when it comes, p50, ms", lambda value: f"{value * 1e3:.1f}"),
    "age_p95": ("p95, ms", lambda value: f"{value * 1e3:.1f}"),
    "uneven_p50": ("distance of two from 1 s, p50, ms", lambda value: f"{value * 1e3:.1f}"),
    "uneven_p95": ("p95, ms", lambda value: f"{value * 1e3:.1f}"),
    "delivered": ("snapshots that came of those due", lambda value: f"{value * 100:.1f} %"),
    "connect_rate": ("connections opened a second", lambda value: f"{value:,.0f}"),
}


def markdown(records: Records) -> str:
    """The table of a run: medians over the rounds, ratios round by round with their range."""
    run = records.last("run") or {}
    lines = [
        f"# Idle dashboards, {run.get('time', '?')}",
        "",
        f"{run.get('dashboards', 0):,} dashboards at 1 Hz for {run.get('seconds', 0):g} s a turn."
        f" {run.get('machine', '?')}; Babelbrook {run.get('commit', '?')}, {run.get('peers', '?')}."
        " Medians over the rounds; ratios are taken round by round, with their range in brackets.",
        "",
        f"| | {OURS} | {PEER} | ratio | {PEER_WITHOUT} | ratio |",
        "| --- | --: | --: | --: | --: | --: |",
    ]
    for name, (title, shown) in FIGURES.items():
        ours = _rounds(records, OURS, name)
        row = [title, shown(median(list(ours.values())))]
        for peer in (PEER, PEER_WITHOUT):
            theirs = _rounds(records, peer, name)
            row += [shown(median(list(theirs.values()))), str(ratio(ours, theirs) or "-")]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def _rounds(records: Records, who: str, name: str) -> dict[int, float]:
    cells = records.find("cell", contestant=who)
    return {cell["round"]: cell[name] for cell in cells}


def _line(cell: Record) -> str:
    figures = ", ".join(f"{name} {shown(cell[name])}" for name, (_, shown) in FIGURES.items())
    return f"round {cell['round']}  {cell['contestant']:27} {figures}"


def run(records: Records, dashboards: int, rounds: int, seconds: float) -> None:
    """All rounds; the contestants take turns in who begins."""
    begun = time.monotonic()
    for number in range(1, rounds + 1):
        if time.monotonic() - begun > _MINUTES * 60:
            print(f"{rounds - number + 1} rounds left out: the time is up", flush=True)
            return
        turns: list[tuple[str, Callable[[], servers.Server]]] = [
            (OURS, lambda: babelbrook(dashboards)),
            (PEER, lambda: sse_starlette(PEER, {})),
            (PEER_WITHOUT, lambda: sse_starlette(PEER_WITHOUT, {"NO_COLLECTOR": "1"})),
        ]
        for who, start in turns if number % 2 else reversed(turns):
            with Watch() as watch, start() as server:
                figures = measure(server, dashboards, seconds)
            still = round(watch.worst, 2)  # seconds that the machine stood still
            cell = records.add("cell", contestant=who, round=number, still=still, **figures)
            print(_line(cell), flush=True)


def _machine() -> dict[str, Any]:
    packages = ("sse-starlette", "uvicorn", "uvloop", "httptools")
    versions = (f"{package} {importlib.metadata.version(package)}" for package in packages)
    return describe_machine(", ".join(versions))


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.connections", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--dashboards", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long a turn is read")
    parser.add_argument("--name", default=time.strftime("connections-%Y%m%d-%H%M%S"))
    options = parser.parse_args()
    room = raise_descriptor_limit() - _SPARE
    if options.dashboards > room:
        print(f"Only {room} dashboards: the system allows no more open files.", flush=True)
    dashboards = min(options.dashboards, room)
    records = Records(RESULTS / f"{options.name}.jsonl")
    records.add("run", dashboards=dashboards, seconds=options.seconds, **_machine())
    try:
        run(records, dashboards, options.rounds, options.seconds)
    except servers.ServerFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    table = records.path.with_suffix(".md")
    table.write_text(markdown(records), encoding="utf-8")
    print(f"\n{markdown(records)}\nWrote {table}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
