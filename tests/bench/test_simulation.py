"""The simulation against what is known of queues, against itself and against measured figures."""

from __future__ import annotations

import importlib.util
import math
import random
import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench import arrivals, calibration, simulate
from bench.arrivals import Lengths
from bench.compare import RESULTS
from bench.loads import plain
from bench.records import Records
from bench.report import Measured
from bench.simulation import (
    Balance,
    Failures,
    Fleet,
    Plan,
    Request,
    Scaling,
    Speed,
    closed_loop,
    outcome,
)

SPEED = Speed(((1, 0.008), (4, 0.015), (16, 0.035)), prefill=0.001)
LENGTHS = Lengths(prompt=0.2, output=0.3, around=3.0)


def erlang_c(servers: int, offered: float) -> float:
    """The share of arrivals that wait, of Poisson arrivals and exponential service (M/M/c).

    Erlang (1917); for instance Kleinrock, Queueing Systems I, 3.5.
    """
    terms = [offered**n / math.factorial(n) for n in range(servers)]
    last = offered**servers / math.factorial(servers) * servers / (servers - offered)
    return last / (sum(terms) + last)


def exponential(rate: float, mean: float, seed: int, until: float) -> Iterator[Request]:
    """Poisson arrivals whose work is exponential, in tokens."""
    draw = random.Random(seed)
    for now in arrivals.poisson(rate, draw):
        if now >= until:
            return
        yield Request(now, 0, max(1, round(draw.expovariate(1 / mean))))


@pytest.mark.parametrize("load", [0.6, 0.85])
@pytest.mark.parametrize("apart", [False, True], ids=["one replica", "replicas of one slot"])
def test_waits_are_those_of_erlangs_formula(apart: bool, load: float) -> None:
    """Steps of one length make sequences servers: 4 of one replica, or 4 replicas of one each."""
    servers, step, tokens = 4, 0.001, 1000.0  # service takes a second on average
    rate = load * servers / (step * tokens)
    plan = Plan(
        Speed(((1, step),)),
        replicas=servers if apart else 1,
        slots=1 if apart else servers,
        streams=1 if apart else 10**6,
        queue=10**6,
    )
    waited, means = [], []
    for seed in range(10):
        fleet = Fleet(plan, seed)
        fleet.run(exponential(rate, tokens, seed, 6000), until=6000)
        # A newcomer always waits for the step that is under way: half of one on average.
        waits = [wait - step / 2 for wait in outcome(fleet, since=200).waits]
        waited.append(sum(wait > step for wait in waits) / len(waits))
        means.append(statistics.mean(waits))
    share = erlang_c(servers, load * servers)
    for seen, expected in ((waited, share), (means, share / (servers * (1 - load)))):
        # Student's t for 10 runs, 99 % on both sides.
        reach = 3.25 * statistics.stdev(seen) / math.sqrt(len(seen))
        assert statistics.mean(seen) == pytest.approx(expected, abs=reach)
        assert reach < 0.3 * expected  # or it would say nothing


def fleet_of(plan: Plan, rate: float, seconds: float, seed: int = 3) -> Fleet:
    fleet = Fleet(plan, seed)
    times = arrivals.poisson(rate, random.Random(seed))
    fleet.run(arrivals.requests(times, LENGTHS, random.Random(seed), seconds), seconds + 1000)
    return fleet


@pytest.mark.parametrize("balance", ["least", "first of least", "round robin", "random"])
@pytest.mark.parametrize("failures", [None, Failures(between=20.0, restart=5.0)])
def test_no_request_is_lost_or_answered_twice(balance: Balance, failures: Failures | None) -> None:
    plan = Plan(SPEED, replicas=3, fronts=2, queue=8, balance=balance, failures=failures)
    capacity = SPEED.capacity(16, 16, 20) * 3
    fleet = fleet_of(plan, 1.2 * capacity, 60)
    results = outcome(fleet).results
    assert sum(results.values()) == len(fleet.requests) > 1000
    assert results.keys() <= {"done", "refused", "failed"}
    assert results["done"] > 0
    assert results["refused"] > 0
    assert bool(results.get("failed")) == bool(failures)
    assert fleet.open == 0
    assert not any(replica.load for replica in fleet.replicas)
    assert all(not any(front.outstanding.values()) for front in fleet.fronts)
    for request in fleet.requests:
        assert request.ended is not None
        if request.result == "done":
            assert request.admitted is not None
            assert request.first is not None
            assert request.arrived <= request.admitted < request.first <= request.ended
    assert fleet.token_rate == pytest.approx(0, abs=1e-6)


def test_work_takes_the_time_of_its_steps() -> None:
    """One request: its prompt and its steps, and nothing else."""
    fleet = Fleet(Plan(SPEED))
    fleet.run([Request(0.0, 30, 10)], until=100)
    [request] = fleet.requests
    assert request.first == pytest.approx(30 * 0.001 + 0.008)
    assert request.ended == pytest.approx(30 * 0.001 + 10 * 0.008)
    assert outcome(fleet).utilisation == pytest.approx(0.11 / 100)


def test_a_newcomer_waits_for_the_step_and_slows_the_others() -> None:
    fleet = Fleet(Plan(Speed(((1, 0.010), (2, 0.015)), prefill=0.001)))
    fleet.run([Request(0.0, 10, 5), Request(0.033, 20, 3)], until=100)
    first, second = fleet.requests
    # Steps of the first end at 20, 30 and 40 ms; then a prompt of 20 ms and steps of two rows.
    assert second.admitted == pytest.approx(0.040)
    assert second.first == pytest.approx(0.040 + 0.020 + 0.015)
    assert first.ended == pytest.approx(0.040 + 0.020 + 2 * 0.015)
    assert second.ended == pytest.approx(first.ended + 0.010)


def test_the_same_seed_gives_the_same_day() -> None:
    plan = Plan(SPEED, replicas=4, balance="random", failures=Failures(30.0, 5.0))
    one, two = (outcome(fleet_of(plan, 100, 30)) for _ in range(2))
    assert one == two
    assert outcome(fleet_of(plan, 100, 30, seed=4)).ttfts != one.ttfts


# Not the embedded model with many clients: its steps are so short that clients and server share the
# cores for a third of the time, of which the simulation knows nothing (docs/scaling.md).
RECORDED = [
    ("embedded", 1),
    ("0.5B-q4_0", 1),
    ("0.5B-q4_0", 8),
    ("0.5B-q4_0", 16),
]


@pytest.mark.parametrize(("model", "clients"), RECORDED)
def test_one_replica_does_what_was_measured(model: str, clients: int) -> None:
    """A closed loop in simulated time beside the recorded one, within what its rounds differ by."""
    records = Records(RESULTS / "quick.jsonl")
    cells = records.cells(model, plain(clients).name, "babelbrook")
    group = next(iter(cells.values()))["groups"][0]
    number, prompt = group["requests"], round(group["prompt_tokens"] / group["requests"])
    tokens = round(group["tokens"] / number)
    plan = Plan(calibration.speed(records, model), slots=clients)
    seconds = closed_loop(Fleet(plan), clients, [(prompt, tokens)] * number)
    rate = number * tokens / seconds
    measured = Measured(records, model, plain(clients).name)
    assert rate == pytest.approx(measured.value("babelbrook", lambda c: float(c["rate"])), rel=0.2)


def test_the_least_busy_keeps_nobody_waiting_while_there_is_room() -> None:
    rate = 0.9 * SPEED.capacity(16, 16, 20) * 8
    waits = {}
    for balance in ("least", "round robin", "random"):
        plan = Plan(SPEED, replicas=8, balance=balance, streams=16, queue=10**6)
        waits[balance] = statistics.mean(outcome(fleet_of(plan, rate, 60)).waits)
    assert waits["least"] < waits["random"] / 2
    assert waits["round robin"] < waits["random"]


def test_a_front_that_is_full_holds_up_everything() -> None:
    plan = Plan(SPEED, replicas=8, front_token=0.001)  # a core is full at 1,000 tokens a second
    rate = 0.7 * SPEED.capacity(16, 16, 20) * 8
    one = outcome(fleet_of(plan, rate, 30))
    eight = outcome(fleet_of(replace(plan, fronts=8), rate, 30))
    assert statistics.median(one.ttfts) > 5 * statistics.median(eight.ttfts)


def test_replicas_come_with_the_work_and_go_after_it() -> None:
    scaling = Scaling(target=8, delay=20, most=5, patience=60)
    fleet = Fleet(Plan(SPEED, queue=10**6, scaling=scaling))
    capacity = SPEED.capacity(16, 16, 20)
    times = arrivals.poisson(3 * capacity, random.Random(1))
    fleet.run(arrivals.requests(times, LENGTHS, random.Random(1), 300), until=2000)
    most = max(replicas for _, replicas, _ in fleet.counts)
    assert 4 <= most <= 5
    assert fleet.counts[-1][1] == 1
    assert outcome(fleet).results == {"done": len(fleet.requests)}
    assert fleet.machine_seconds() < 5 * 2000


@pytest.mark.parametrize("times", [arrivals.poisson, arrivals.bursts])
def test_arrivals_come_as_often_as_asked(times: object) -> None:
    counted = 0
    for now in times(5.0, random.Random(2)):  # type: ignore[operator]
        if now > 20_000:
            break
        counted += 1
    assert counted == pytest.approx(100_000, rel=0.02)


def test_a_day_has_its_noon() -> None:
    times = arrivals.daily(1.0, random.Random(1))
    hours = [0] * 24
    for now in times:
        if now >= arrivals.DAY:
            break
        hours[int(now // 3600)] += 1
    assert max(hours) in hours[9:15]
    assert min(hours) < 0.2 * max(hours)


def test_the_whole_is_written_down(tmp_path: Path) -> None:
    records = Records(RESULTS / "simulation.jsonl")
    here = simulate.world(records, seed=1, price=0.1, quick=True)
    simulate.run(here, records, tmp_path / "made.md")
    table = (tmp_path / "made.md").read_text(encoding="utf-8")
    for title in ("Beside reality", "Replicas and load", "One front", "A day's curve"):
        assert f"## {title}" in table
    assert "measured" in table
    assert "nan" not in table
    if importlib.util.find_spec("matplotlib"):  # only `make bench` brings it
        assert (tmp_path / "made.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_without_figures_it_says_what_to_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["simulate", "--records", str(tmp_path / "none.jsonl")])
    assert simulate.main() == 1
    assert "python -m bench.calibration" in capsys.readouterr().err
