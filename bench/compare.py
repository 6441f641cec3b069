"""Babelbrook beside llama-server and the limit, in one run: `python -m bench.compare`.

Both servers run at once and take turns (A B, B A, ...), so that whatever disturbs the machine
disturbs both; llama-batched-bench runs between them. Every cell is written at once to
bench/results/NAME.jsonl, and `--resume` goes on where a run was stopped. The table and the plot
are made at the end from that file.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import platform
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from bench import flags, limit, loads, peers, report, servers, shapes
from bench.client import StreamFailed
from bench.flags import Flags
from bench.loads import Load, plain
from bench.models import FULL_PLAN, MODELS, QUICK, QUICK_PLAN, Model, Plan
from bench.records import Records
from bench.stalls import Watch
from engine.llama import machine, wheel

RESULTS = Path(__file__).resolve().parent / "results"
LIMIT = "limit"
Measurement = TypeVar("Measurement")
_TRIES = 3
_TOKENS_OF_A_PROMPT = 24  # of a short text, about; what the limit is measured with
_SLOW = 3.0  # times the length of a cell: on a machine so busy, everything is done once only
_OLD_PEER_NEEDS = ("uvicorn", "fastapi", "pydantic_settings", "sse_starlette", "starlette_context")
_OLD_PEER_CLIENTS = (1, 8)


class Comparison:
    """One run over some models."""

    def __init__(
        self,
        records: Records,
        plan: Plan,
        models: list[Model],
        binaries: Path,
        settings: tuple[str, ...] = (),
    ) -> None:
        """`settings` are flags for Babelbrook, which runs with its defaults else."""
        self._records, self._plan, self._models = records, plan, models
        self._binaries, self._settings = binaries, settings
        self._folder = peers.default_folder().parent / "bench-models"
        self._begun = time.monotonic()
        self._deadline = self._begun + plan.minutes * 60
        self._left = [
            (model, load)
            for model in models
            for load in self._loads(model)
            if not records.last("done", model=model.name, load=load.name)
        ]
        self._all = len(self._left)
        self.failures = 0

    def _loads(self, model: Model) -> tuple[Load, ...]:
        return QUICK.get(model.name, model.loads) if self._plan.quick else model.loads

    def run(self) -> None:
        """Measure what is not in the records yet."""
        for model in self._models:
            left = [load for owner, load in self._left if owner is model]
            if not left:
                continue
            path = model.file(self._folder, peers.vocabulary)
            best = self._best_flags(model, path)
            for load in left:
                self._say(f"{model.name}: {load.name}")
                try:
                    self._measure(model, path, best, load)
                except (StreamFailed, servers.ServerFailed, limit.LimitFailed, OSError) as error:
                    self.failures += 1
                    self._say(f"  failed: {error}")
                self._left.remove((model, load))

    def _say(self, text: str) -> None:
        print(f"[{len(self._left):2} loads left, {self._estimate()}] {text}", flush=True)

    def _estimate(self) -> str:
        """How long the rest will take, from what the loads so far took."""
        most = max(0.0, self._deadline - time.monotonic())
        done = self._all - len(self._left)
        if not done:
            return f"at most {most / 60:.0f} min"
        rest = (time.monotonic() - self._begun) / done * len(self._left)
        return f"about {min(most, rest) / 60:.0f} min"

    def _best_flags(self, model: Model, path: Path) -> Flags:
        """Those on record, or those that a search finds now."""
        known = self._records.last("flags", model=model.name)
        if known:
            return Flags(**known["flags"])
        self._say(f"{model.name}: looking for llama-server's best flags, 16 clients")

        def measure(candidate: Flags) -> float:
            try:
                rate = self._rate_of(candidate, model, path)
            except (StreamFailed, servers.ServerFailed) as error:
                print(f"    failed: {str(error)[-300:]}", flush=True)
                rate = 0.0
            print(f"    {rate:8,.1f} tok/s  {candidate}", flush=True)
            self._records.add("tried", model=model.name, flags=candidate.as_record(), rate=rate)
            return rate

        best, tried = flags.search(machine.cores(), measure, quick=self._plan.quick)
        if not any(rate for _, rate in tried):
            raise peers.PeersError(f"llama-server does not run on {path.name}; see above.")
        self._records.add("flags", model=model.name, flags=best.as_record(), text=str(best))
        print(f"    best: {best}", flush=True)
        return best

    def _rate_of(self, candidate: Flags, model: Model, path: Path) -> float:
        load = plain(16)
        with self._llama_server(candidate, path, load) as server:
            seconds = self._warm_up(server, model, load)
            number = load.clients * self._waves(seconds)
            return float(self._cell(server, model, load, number, 0)["rate"])

    def _llama_server(self, best: Flags, path: Path, load: Load) -> servers.Server:
        return servers.llama_server(
            self._binaries,
            path,
            sequences=load.sequences,
            context=load.context,
            flags=best.arguments,
            environ=best.environ,
        )

    def _waves(self, seconds: float) -> int:
        """How often all clients ask in a cell, where once takes `seconds`."""
        least = 1 if seconds > _SLOW * self._plan.cell_seconds else 2
        return max(least, round(self._plan.cell_seconds / max(seconds, 1e-3)))

    def _warm_up(self, server: servers.Server, model: Model, load: Load) -> float:
        """Every client asks once; the seconds that took. The first time counts where it is slow."""
        short = Load(load.name, load.clients, load.sequences)
        seconds = 0.0
        for start in (0, load.clients):
            groups = loads.requests(
                short,
                server.name,
                model.prompting,
                tokens=model.tokens,
                number=load.clients,
                start=start,
            )
            seconds = float(loads.run(server, groups)["seconds"])
            if seconds > _SLOW * self._plan.cell_seconds:
                break
        return seconds

    def _cell(
        self, server: servers.Server, model: Model, load: Load, number: int, round_number: int
    ) -> dict[str, Any]:
        groups = loads.requests(
            load,
            server.name,
            model.prompting,
            tokens=model.tokens,
            number=number,
            start=(round_number + 1) * number,
        )
        return _undisturbed(lambda: loads.run(server, groups))

    def _measure(self, model: Model, path: Path, best: Flags, load: Load) -> None:
        begun = time.monotonic()
        share = (self._deadline - begun) / len(self._left)
        with contextlib.ExitStack() as stack:
            contestants = [
                stack.enter_context(server) for server in self._start(model, path, best, load)
            ]
            number = self._requests_in_a_cell(contestants, model, load)
            for round_number in range(1, self._plan.rounds + 1):
                done = time.monotonic() - begun
                if round_number > 2 and done * round_number / (round_number - 1) > share:
                    print(f"    {self._plan.rounds - round_number + 1} rounds left out", flush=True)
                    break
                order = contestants if round_number % 2 else contestants[::-1]
                for server in order:
                    if round_number in self._records.cells(model.name, load.name, server.name):
                        continue
                    figures = self._cell(server, model, load, number, round_number)
                    self._keep(model, load, server.name, round_number, figures)
                self._limit(model, path, best, load, round_number)
        self._records.add("done", model=model.name, load=load.name)

    def _start(self, model: Model, path: Path, best: Flags, load: Load) -> list[servers.Server]:
        """The servers that take part in a load, all running."""
        started = [
            servers.babelbrook(
                path,
                model.prompting.template,
                sequences=load.sequences,
                context=load.context,
                flags=self._settings,
            )
        ]
        try:
            started.append(self._llama_server(best, path, load))
            if self._with_old_peer(model, load):
                started.append(servers.llama_cpp_server(path, context=load.context))
        except BaseException:
            for server in started:
                server.close()
            raise
        return started

    def _with_old_peer(self, model: Model, load: Load) -> bool:
        if model.name != "embedded" or load not in map(plain, _OLD_PEER_CLIENTS):
            return False
        missing = [name for name in _OLD_PEER_NEEDS if importlib.util.find_spec(name) is None]
        if missing:
            print(f"    without llama_cpp.server: {', '.join(missing)} not installed", flush=True)
        return not missing

    def _requests_in_a_cell(
        self, contestants: list[servers.Server], model: Model, load: Load
    ) -> int:
        """Warm everybody up; the requests of a cell, the same for all and after a resumption."""
        seconds = [self._warm_up(server, model, load) for server in contestants]
        known = self._records.last("plan", model=model.name, load=load.name)
        if known:
            return int(known["requests"])
        number = load.clients * self._waves(seconds[0])
        self._records.add("plan", model=model.name, load=load.name, requests=number)
        return number

    def _limit(self, model: Model, path: Path, best: Flags, load: Load, round_number: int) -> None:
        """The limit belongs to loads whose sequences are all in use.

        The first round tries all thread counts of the search, the others take the faster one.
        """
        known = self._records.cells(model.name, load.name, LIMIT)
        if load != plain(load.clients) or round_number in known:
            return

        def measure(threads: int) -> limit.Rates:
            return limit.rates(
                self._binaries,
                path,
                replace(best, threads=threads),
                sequences=load.clients,
                context=load.context,
                prompt=_TOKENS_OF_A_PROMPT,
                tokens=model.tokens,
            )

        chosen = [cell["threads"] for cell in known.values()][:1]
        rates = {
            threads: _undisturbed(partial(measure, threads))
            for threads in chosen or flags.thread_counts(machine.cores())
        }
        threads = max(rates, key=lambda count: rates[count].decode)
        best_rates = rates[threads]
        figures = {"rate": best_rates.decode, "whole": best_rates.whole, "threads": threads}
        self._keep(model, load, LIMIT, round_number, figures)

    def _keep(
        self, model: Model, load: Load, contestant: str, round_number: int, figures: dict[str, Any]
    ) -> None:
        cell = self._records.add(
            "cell",
            model=model.name,
            load=load.name,
            clients=load.clients,
            contestant=contestant,
            round=round_number,
            **figures,
        )
        print(f"    round {round_number}  {report.cell_line(cell)}", flush=True)


def _undisturbed(measure: Callable[[], Measurement]) -> Measurement:
    """Measure again where the machine stood still meanwhile; the last time counts as it is."""
    for _ in range(_TRIES - 1):
        with Watch() as watch:
            measured = measure()
        if not watch.stalled:
            return measured
        print(f"    the machine stood still for {watch.worst:.0f} s: once more", flush=True)
    return measure()


def describe_machine(peers: str) -> dict[str, Any]:
    """What a table needs beside it: the machine, the versions and what is measured."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=servers.ROOT, capture_output=True, text=True
    )
    requirements = wheel.REQUIREMENTS.read_text(encoding="utf-8")
    return {
        "time": time.strftime("%Y-%m-%d %H:%M"),
        "machine": f"{_cpu_name()}, {machine.cores()} cores, {platform.system()}",
        "commit": commit.stdout.strip(),
        "llama_cpp_python": wheel.pinned_version(wheel.package_lines(requirements)),
        "peers": peers,
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        if names:
            return names[0].partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _records_of(options: argparse.Namespace) -> Records:
    """The run's file. Raises SystemExit where it is not clear which is meant."""
    kind = "quick" if options.quick else "full"
    name = options.name
    if name is None and options.resume:
        known = sorted(RESULTS.glob(f"{kind}-*.jsonl"), key=lambda path: path.stat().st_mtime)
        if not known:
            raise SystemExit(f"There is no run in {RESULTS} to resume.")
        name = known[-1].stem
    path = RESULTS / f"{name or time.strftime(f'{kind}-%Y%m%d-%H%M%S')}.jsonl"
    if path.exists() and not options.resume:
        raise SystemExit(f"{path} exists: go on with --resume, or give another --name.")
    return Records(path)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.compare", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="two models, fewer rounds, 5 minutes")
    parser.add_argument(
        "--models", nargs="+", choices=MODELS, metavar="MODEL", help=", ".join(MODELS)
    )
    parser.add_argument("--rounds", type=int, help="how often each contestant has its turn")
    parser.add_argument("--seconds", type=float, help="about how long a turn lasts")
    parser.add_argument("--minutes", type=float, help="rounds are left out to end within this time")
    parser.add_argument("--name", help="name of the files in bench/results")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    parser.add_argument(
        "--peers", type=Path, metavar="FOLDER", help="existing binaries of the peers"
    )
    parser.add_argument(
        "--settings",
        default="",
        metavar="FLAGS",
        help="for Babelbrook, such as '--engine.threads 1'",
    )
    return parser.parse_args()


def _plan(options: argparse.Namespace) -> Plan:
    usual = QUICK_PLAN if options.quick else FULL_PLAN
    return Plan(
        usual.quick,
        options.rounds or usual.rounds,
        options.seconds or usual.cell_seconds,
        options.minutes or usual.minutes,
    )


def main() -> int:
    """The command line; returns the exit status."""
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the servers are ended too
    records = _records_of(options)
    models = [MODELS[name] for name in options.models or (QUICK if options.quick else MODELS)]
    try:
        binaries = peers.given(options.peers) if options.peers else peers.ensure()
        if not records.all:
            records.add("run", settings=options.settings, **describe_machine(binaries.name))
        settings = tuple(shlex.split(options.settings))
        comparison = Comparison(records, _plan(options), models, binaries, settings)
        comparison.run()
    except (peers.PeersError, shapes.ShapeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nStopped; go on with --resume --name {records.path.stem}", file=sys.stderr)
        return 130
    for path in report.write(records):
        print(f"Wrote {path}")
    return 1 if comparison.failures else 0


if __name__ == "__main__":
    sys.exit(main())
