"""Babelbrook on 1 to 1,000 machines, simulated: `python -m bench.simulate`, about two minutes.

Discrete events (`bench.simulation`), parameters from measured figures (`bench.calibration`), the
same requests for the same `--seed`. Writes a table and a plot to bench/results/simulation.md and
.svg. First it is held against reality: timetables that real servers went through are simulated,
request by request, and what was measured is printed beside it.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench import arrivals, calibration, report
from bench.arrivals import DAY, Lengths
from bench.calibration import MODEL, SLOTS
from bench.figures import quantile
from bench.openloop import Seen
from bench.records import Records
from bench.simulation import (
    Balance,
    Failures,
    Fleet,
    Outcome,
    Plan,
    Scaling,
    outcome,
)

SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
SHARES = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.05)
_BALANCES: tuple[Balance, ...] = ("least", "first of least", "round robin", "random")
_NETWORK = 0.0005  # seconds to a replica and back; an assumption
_RESTART = 20.0  # seconds until a replica is back; an assumption, a cold disk takes longer
_FRONT_SHARE = 0.7  # of a front's core that one is planned for
_DESCRIPTORS = 2  # of a front for a stream: its client's and its upstream's
_WARM = 0.2  # of the simulated time, which is not counted
_REQUESTS = 12_000  # of a cell at least, where there are many replicas more


@dataclass(frozen=True)
class World:
    """What all scenarios share."""

    plan: Plan
    lengths: Lengths
    seed: int
    price: float
    quick: bool = False

    def capacity(self, replicas: int) -> float:
        """Requests a second with every sequence in use."""
        mean = calibration.mean_request(self.lengths)
        return self.plan.speed.capacity(self.plan.slots, *mean) * replicas

    def fronts(self, replicas: int) -> int:
        """As many as tokens at full load ask for."""
        tokens = self.capacity(replicas) * calibration.mean_request(self.lengths)[1]
        share = tokens * self.plan.front_token + self.capacity(replicas) * self.plan.front_request
        return max(1, -int(-share // _FRONT_SHARE))

    def run(
        self,
        plan: Plan,
        rate: float,
        times: Callable[[float, random.Random], Iterator[float]] = arrivals.poisson,
        seconds: float | None = None,
    ) -> tuple[Fleet, Outcome]:
        """Let requests come at `rate` a second to a plan."""
        requests = _REQUESTS / 10 if self.quick else _REQUESTS
        length = seconds or max(30.0, requests / rate) * (0.2 if self.quick else 1.0)
        fleet, draw = Fleet(plan, self.seed), random.Random(self.seed)
        come = arrivals.requests(
            times(rate, random.Random(self.seed + 1)), self.lengths, draw, length
        )
        fleet.run(come, length)
        return fleet, outcome(fleet, since=_WARM * length)


def world(records: Records, seed: int, price: float, quick: bool) -> World:
    """Parameters from the records. Raises ValueError where some are missing."""
    request, token = calibration.front_cost(records)
    plan = Plan(
        calibration.speed(records, MODEL),
        slots=SLOTS,
        streams=SLOTS,
        front_request=request,
        front_token=token,
        network=_NETWORK,
    )
    return World(plan, calibration.lengths(records, "0.5B-q4_0"), seed, price, quick)


# Against reality ----------------------------------------------------------------------------------


def replayed(
    here: World, record: dict[str, Any], records: Records, *, shared: bool = False
) -> Outcome:
    """A timetable that real servers went through, in simulated time.

    `shared`: the replicas as they were measured beside each other, with the front's work taken from
    the cores that they compute on, as it was on the machine with two.
    """
    behind = record["replicas"] > 1
    request = here.plan.front_request if behind else 0.0
    token = here.plan.front_token if behind else 0.0
    speed = calibration.speed(records, calibration.BESIDE if shared else MODEL)
    if shared:
        mean = calibration.mean_request(here.lengths)[1]
        work = record["rate"] * (request + mean * token) / record["replicas"]
        speed = speed.slower(1 / (1 - work))
    plan = replace(
        here.plan,
        speed=speed,
        replicas=record["replicas"],
        network=0.0,
        front_request=request,
        front_token=token,
    )
    fleet = Fleet(plan, here.seed)
    timetable = calibration.timetable(
        record["rate"], here.lengths, record["seconds"], record["seed"]
    )
    come = (here.lengths.request(planned.at, planned.text) for planned in timetable)
    fleet.run(come, until=record["seconds"] + 600)
    return outcome(fleet)


def beside_reality(here: World, records: Records) -> list[str]:
    """Predicted beside measured, for each timetable."""
    head = ["replicas", "share of capacity", "requests", "", "TTFT p50 ms", "TTFT p95 ms"]
    head += ["whole p50 ms", "whole p95 ms"]
    rows = []
    for record in records.find("timetable"):
        seen = [Seen(**each) for each in record["seen"]]
        name = [str(record["replicas"]), f"{record['share']:.0%}", str(len(seen))]
        rows.append([*name, "measured", *_pair(seen)])
        ways = {"predicted": False}
        if record["replicas"] > 1 and records.last("cell", model=calibration.BESIDE):
            ways["predicted, all on the same two cores"] = True
        for label, shared in ways.items():
            made = replayed(here, record, records, shared=shared)
            both = [*_quantiles(made.ttfts), *_quantiles(made.totals)]
            rows.append(["", "", "", label, *both])
    return report.table(head, rows)


def _pair(seen: list[Seen]) -> list[str]:
    return [*_quantiles([s.ttft for s in seen]), *_quantiles([s.total for s in seen])]


def _quantiles(values: list[float], shares: tuple[float, ...] = (0.5, 0.95)) -> list[str]:
    return [_ms(quantile(values, share)) for share in shares]


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.0f}"


# What is asked ------------------------------------------------------------------------------------


def by_size(here: World, say: Callable[[str], None]) -> tuple[list[str], dict[int, Any]]:
    """Replicas by load, with as many fronts as they need, and with one."""
    rows, curves = [], dict[int, Any]()
    for replicas in SIZES[:6] if here.quick else SIZES:
        fronts = here.fronts(replicas)
        for share in SHARES:
            if replicas > 10 and share not in (0.5, 0.8, 0.95):
                continue
            say(f"{replicas} replicas at {share:.0%}")
            plan = replace(here.plan, replicas=replicas, fronts=fronts)
            _, made = here.run(plan, share * here.capacity(replicas))
            curves.setdefault(replicas, []).append((share, quantile(made.ttfts, 0.95)))
            if share in (0.5, 0.8, 0.95):
                rows.append(_row(here, replicas, fronts, share, made))
    head = ["replicas", "fronts", "load", "TTFT p50 ms", "p95", "p99", "wait p95 ms", "refused"]
    head += ["busy", "front's core", "tokens/s", f"at {here.price:g} an hour: 1 M characters"]
    return report.table(head, rows), curves


def _row(here: World, replicas: int, fronts: int, share: float, made: Outcome) -> list[str]:
    return [
        f"{replicas:,}",
        str(fronts),
        f"{share:.0%}",
        *_quantiles(made.ttfts, (0.5, 0.95, 0.99)),
        _ms(quantile(made.waits, 0.95)),
        f"{made.share('refused'):.1%}",
        f"{made.utilisation:.0%}",
        f"{made.front_share:.0%}",
        f"{made.tokens_per_second:,.0f}",
        f"{made.price(here.price):.3f}",
    ]


def one_front(here: World, say: Callable[[str], None]) -> list[str]:
    """What one front can do: it is the first that breaks."""
    rows = []
    for replicas in (1, 2, 5, 10, 20, 30, 40, 50, 70, 100):
        if here.quick and replicas > 20:
            break
        say(f"{replicas} replicas behind one front")
        _, made = here.run(replace(here.plan, replicas=replicas), 0.8 * here.capacity(replicas))
        streams = sum(made.totals) / len(made.totals) if made.totals else 0.0
        under_way = streams * 0.8 * here.capacity(replicas)
        rows.append(
            [
                str(replicas),
                f"{made.front_share:.0%}",
                f"{made.tokens_per_second:,.0f}",
                f"{under_way * _DESCRIPTORS:,.0f}",
                *_quantiles(made.ttfts, (0.5, 0.95)),
                f"{made.share('refused'):.1%}",
            ]
        )
    head = ["replicas at 80 %", "front's core", "tokens/s", "open sockets", "TTFT p50 ms", "p95"]
    return report.table([*head, "refused"], rows)


def by_balance(here: World, say: Callable[[str], None]) -> tuple[list[str], dict[str, Any]]:
    """Who gets the next request, and how many see the whole."""
    rows, curves = [], dict[Any, Any]()
    for balance in _BALANCES:
        for fronts in (1, 5):
            row = [balance, str(fronts)]
            for share in (0.5, 0.8, 0.95):
                say(f"{balance}, {fronts} fronts, {share:.0%}")
                plan = replace(
                    here.plan,
                    replicas=20,
                    fronts=fronts,
                    balance=balance,
                    front_request=0.0,
                    front_token=0.0,
                    streams=SLOTS if fronts == 1 else 4 * SLOTS,
                )
                _, made = here.run(plan, share * here.capacity(20))
                row += _quantiles(made.ttfts, (0.5, 0.99))
                curves.setdefault((balance, fronts), []).append((share, quantile(made.ttfts, 0.99)))
            rows.append(row)
    head = ["20 replicas", "fronts"]
    head += [f"{n} at {share}" for share in ("50 %", "80 %", "95 %") for n in ("p50 ms", "p99")]
    return report.table(head, rows), curves


def by_order(here: World, say: Callable[[str], None]) -> list[str]:
    """Many fronts that go through one list of replicas, or each through its own."""
    rows = []
    replicas = 50 if here.quick else 500
    for own in (False, True):
        row = ["each its own" if own else "the same"]
        for share in (0.5, 0.8):
            say(f"{replicas} replicas, order {row[0]}, {share:.0%}")
            fronts = here.fronts(replicas)
            plan = replace(here.plan, replicas=replicas, fronts=fronts, own_order=own)
            _, made = here.run(plan, share * here.capacity(replicas))
            row += _quantiles(made.ttfts, (0.5, 0.95, 0.99))
        rows.append(row)
    head = [f"list of {replicas} replicas"]
    head += [f"{n} at {share}" for share in ("50 %", "80 %") for n in ("p50 ms", "p95", "p99")]
    return report.table(head, rows)


def in_trouble(here: World, say: Callable[[str], None]) -> list[str]:
    """Bursts, small queues, replicas that fail."""
    usual = replace(here.plan, replicas=10)
    failing = Failures(between=600.0, restart=_RESTART)
    bursts = partial(arrivals.bursts, factor=3.0)
    cases: dict[str, tuple[Plan, Callable[..., Iterator[float]]]] = {
        "Poisson": (usual, arrivals.poisson),
        "bursts of thrice as many": (usual, bursts),
        "the same, at most 32 wait": (replace(usual, queue=32), bursts),
        "the same, 2,048 may wait": (replace(usual, queue=2048), bursts),
        "each fails every ten minutes": (replace(usual, failures=failing), arrivals.poisson),
        "two that fail as often": (
            replace(usual, replicas=2, failures=failing),
            arrivals.poisson,
        ),
    }
    rows = []
    for name, (plan, times) in cases.items():
        say(name)
        seconds = 300.0 if here.quick else 3000.0
        _, made = here.run(plan, 0.6 * here.capacity(plan.replicas), times, seconds)
        rows.append(
            [
                name,
                *_quantiles(made.ttfts, (0.5, 0.95, 0.99)),
                f"{made.share('refused'):.2%}",
                f"{made.share('failed'):.2%}",
                f"{made.utilisation:.0%}",
            ]
        )
    head = ["10 replicas at 60 %", "TTFT p50 ms", "p95", "p99", "refused", "broken off", "busy"]
    return report.table(head, rows)


def by_scaling(here: World, say: Callable[[str], None]) -> tuple[list[str], dict[str, Any]]:
    """A day's curve with as many replicas as there is work, by how long a start takes."""
    rows, curves = [], {}
    most, noon = 6, 0.7
    hours = 0.2 if here.quick else 4.0  # a day's curve in less time is the harder one to follow
    speed_up = DAY / (hours * 3600)
    target = 0.7 * SLOTS
    cases: dict[str, Plan] = {f"always {most}": replace(here.plan, replicas=most)}
    for delay in (10.0, 60.0, 240.0):
        scaling = Scaling(target, delay, most)
        cases[f"as needed, {delay:g} s to start"] = replace(here.plan, scaling=scaling)

    def day(rate: float, draw: random.Random) -> Iterator[float]:
        return (now / speed_up for now in arrivals.daily(rate / speed_up, draw))

    for name, plan in cases.items():
        say(f"a curve, {name}")
        fleet, made = here.run(plan, noon * here.capacity(most), day, hours * 3600)
        curves[name] = fleet.counts
        rows.append(
            [
                name,
                *_quantiles(made.ttfts, (0.5, 0.95, 0.99)),
                f"{made.share('refused'):.2%}",
                f"{made.machine_hours:,.0f}",
                f"{made.utilisation:.0%}",
                f"{made.price(here.price):.3f}",
            ]
        )
    head = [
        f"a day's curve in {hours:g} h",
        "TTFT p50 ms",
        "p95",
        "p99",
        "refused",
        "machine hours",
        "busy",
    ]
    return report.table([*head, "1 M characters"], rows), curves


# The whole ----------------------------------------------------------------------------------------


def parameters(here: World, records: Records) -> list[str]:
    """What was gone by."""
    speed, sizes = here.plan.speed, here.lengths
    prompt, tokens = calibration.mean_request(sizes)
    steps = ", ".join(f"{seconds * 1e3:.1f} with {rows}" for rows, seconds in speed.steps)
    run = records.last("run") or {}
    return [
        f"Parameters, measured on {run.get('machine', '?')} ({run.get('commit', '?')}):",
        "",
        f"- a step takes (ms by rows) {steps}; a prompt token {speed.prefill * 1e3:.2f} ms; a"
        f" request {speed.request * 1e3:.1f} ms beside the engine; {here.plan.slots} sequences;",
        f"- a text has {_characters(sizes):.0f} characters, {prompt:.1f} prompt and {tokens:.1f}"
        " output tokens on average (one to three real sentences);",
        f"- a front's core has {here.plan.front_request * 1e6:.0f} µs for a request and"
        f" {here.plan.front_token * 1e6:.0f} µs for a token;",
        f"- so a replica can do {here.capacity(1):.2f} requests or"
        f" {here.capacity(1) * tokens:.0f} tokens a second.",
        "",
        f"Assumed: {_NETWORK * 1e3:g} ms to a replica, {_RESTART:g} s until one is back,"
        f" {here.price:g} (of any currency) for a machine's hour.",
    ]


def _characters(sizes: Lengths, number: int = 2000) -> float:
    drawn = arrivals.texts(random.Random(1))
    return sum(len(next(drawn)) for _ in range(number)) / number


def plot(path: Path, sizes: Any, balances: Any, days: Any) -> None:
    """Four panels as an SVG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "babelbrook"
    figure, panels = pyplot.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    for replicas, points in sizes.items():
        panels[0].plot(*_columns(points), "o-", label=f"{replicas:,}", markersize=3)
    for (balance, fronts), points in balances.items():
        style = "o-" if fronts == 1 else "o:"
        panels[1].plot(*_columns(points), style, label=f"{balance}, {fronts}", markersize=3)
    for name, counts in days.items():
        if counts:
            panels[2].plot([t / 3600 for t, _, _ in counts], [n for _, n, _ in counts], label=name)
    texts = (
        ("TTFT p95 by replicas", "share of capacity", "ms"),
        ("TTFT p99 of 20 by balancing, fronts", "share of capacity", "ms"),
        ("replicas that come and go", "hour", "replicas"),
    )
    for panel, (title, across, up) in zip(panels, texts, strict=True):
        panel.set(title=title, xlabel=across, ylabel=up)
        panel.grid(alpha=0.3)
        panel.legend(fontsize="x-small")
    panels[0].set_yscale("log")
    panels[1].set_yscale("log")
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _columns(points: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [share for share, _ in points], [seconds * 1e3 for _, seconds in points]


def run(here: World, records: Records, into: Path) -> None:
    """Simulate everything and write it down."""
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:4.0f} s] {text}", flush=True)

    lines = ["# Many machines, simulated", "", *parameters(here, records)]
    if any(records.find("timetable")):
        say("against reality")
        lines += ["", "## Beside reality", "", *beside_reality(here, records)]
    table, sizes = by_size(here, say)
    lines += ["", "## Replicas and load", "", *table]
    lines += ["", "## One front", "", *one_front(here, say)]
    table, balances = by_balance(here, say)
    lines += ["", "## Who gets the next request", "", *table]
    lines += ["", "## Many fronts", "", *by_order(here, say)]
    lines += ["", "## Bursts and failures", "", *in_trouble(here, say)]
    table, days = by_scaling(here, say)
    lines += ["", "## A day's curve", "", *table]
    into.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    try:
        plot(into.with_suffix(".svg"), sizes, balances, days)
    except ImportError as error:
        print(f"No plot: {error}")
    print("\n".join(lines))


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=Path, default=calibration.RECORDS)
    parser.add_argument("--into", type=Path, help="where .md and .svg go; beside the records")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--price", type=float, default=0.1, help="of a machine's hour")
    parser.add_argument("--quick", action="store_true", help="less of everything, seconds")
    options = parser.parse_args()
    records = Records(options.records)
    try:
        here = world(records, options.seed, options.price, options.quick)
    except ValueError as error:
        print(f"bench: {error}: python -m bench.calibration speed lengths front", file=sys.stderr)
        return 1
    run(here, records, options.into or options.records)
    return 0


if __name__ == "__main__":
    sys.exit(main())
