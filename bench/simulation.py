"""Replicas behind fronts in simulated time, for `bench.simulate`.

A replica works as engine/llama/scheduler.py does: a step brings each running sequence one token,
and before it up to 64 tokens of newcomers' prompts are read. Steps in which nobody comes or goes
are taken together, so a request costs a few events however long its answer is. A front gives out
requests as engine/remote/engine.py does, and works on one core: what tokens leave of it is what
requests wait for, and beyond its whole the replicas are slowed by its readers.
"""

from __future__ import annotations

import heapq
import random
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import count
from typing import Any, Literal, Protocol

import simpy

Balance = Literal["least", "first of least", "round robin", "random"]
_PROMPT_TOKENS = 64  # of short prompts that are read before one step
_FULL = 0.98  # share of a front's core above which its tokens hold up everybody


@dataclass(frozen=True)
class Speed:
    """How fast a replica is: `steps` holds seconds by rows, `prefill` is seconds a prompt token.

    `request` is what a request takes beside the engine, in seconds. Between and beyond the measured
    rows a line goes through the nearest two. More than one row is filled up to whole tiles of
    `tile`, as engine/llama/pace.py does for weights whose kernels want it.
    """

    steps: tuple[tuple[int, float], ...]
    prefill: float = 0.0
    request: float = 0.0
    tile: int = 1

    def step(self, rows: int) -> float:
        """Seconds of a step with so many rows."""
        while rows >= len(self._table):
            self._table.append(self._between(len(self._table)))
        return self._table[rows]

    @cached_property
    def _table(self) -> list[float]:
        return []

    def _between(self, rows: int) -> float:
        if len(self.steps) == 1:
            return self.steps[0][1]
        if rows > 1:
            rows = -(-rows // self.tile) * self.tile
        place = bisect_left([measured for measured, _ in self.steps], rows)
        right = min(max(place, 1), len(self.steps) - 1)
        (low, fast), (high, slow) = self.steps[right - 1 : right + 1]
        return max(fast + (slow - fast) * (rows - low) / (high - low), self.steps[0][1] / 2)

    def slower(self, times: float) -> Speed:
        """The same replica on a core that takes so many times as long."""
        steps = tuple((rows, seconds * times) for rows, seconds in self.steps)
        return replace(self, steps=steps, prefill=self.prefill * times)

    def capacity(self, rows: int, prompt: float, tokens: float) -> float:
        """Requests a second with all rows in use, by the arithmetic of the model."""
        return 1 / (prompt * self.prefill + tokens * self.step(rows) / rows)


@dataclass(frozen=True)
class Failures:
    """Each replica fails after `between` seconds on average and is back after `restart`."""

    between: float
    restart: float


@dataclass(frozen=True)
class Scaling:
    """As many replicas as keep `target` requests each; a new one takes `delay` seconds.

    Looked at every `interval` seconds; fewer only after `patience` seconds in which fewer would do.
    """

    target: float
    delay: float
    most: int
    least: int = 1
    interval: float = 10.0
    patience: float = 300.0


@dataclass(frozen=True)
class Plan:
    """What is simulated. Seconds; `streams` are those that a front gives to one replica.

    `queue` is how many may wait at a front before others are refused. `front_request` and
    `front_token` are CPU seconds of a front for each of them; `network` is the way to a replica.
    `check` is how often a front looks whether a replica is back. Without `own_order` all fronts
    have the same list of replicas and begin at its top.
    """

    speed: Speed
    replicas: int = 1
    slots: int = 16
    fronts: int = 1
    streams: int = 64
    queue: int = 256
    balance: Balance = "least"
    front_request: float = 0.0
    front_token: float = 0.0
    network: float = 0.0
    check: float = 2.0
    own_order: bool = True
    failures: Failures | None = None
    scaling: Scaling | None = None


@dataclass(slots=True)
class Request:
    """One generation: what it asks for, and when what happened (seconds, None before)."""

    arrived: float
    prompt: int
    tokens: int
    characters: int = 0
    admitted: float | None = None
    first: float | None = None
    ended: float | None = None
    result: str = "open"  # then "done", "refused" or "failed"
    tries: int = 0
    on_end: Callable[[], None] | None = None


class Replica:
    """One engine: sequences in a batch, and requests that wait for a sequence."""

    def __init__(self, env: simpy.Environment, number: int, plan: Plan, fleet: Fleet) -> None:
        self.number = number
        self.ready = self.alive = True
        self.leaving = False
        self.busy = 0.0
        self.begun = env.now
        self.gone: float | None = None
        self._env, self._plan, self._fleet = env, plan, fleet
        self._queue: deque[Request] = deque()
        self._running: list[tuple[int, int, Request]] = []  # a heap: the step that ends it
        self._fresh: list[Request] = []  # whose prompts are read before the present step
        self._steps = 0
        self._jump = (0.0, 0.0, 0)  # when it began, seconds a step, steps
        self._version = 0  # of the present plan: events of older ones mean nothing
        self._order = count()
        self.rate = 0.0  # tokens a second at present

    @property
    def load(self) -> int:
        """Requests that it has."""
        return len(self._queue) + len(self._running) + len(self._fresh)

    @property
    def waiting(self) -> int:
        """Those without a sequence."""
        return len(self._queue)

    def submit(self, request: Request) -> None:
        """A request comes in."""
        self._queue.append(request)
        begun, pace, steps = self._jump
        if not steps:
            self._begin()
        elif steps > 1 and not self._fresh and len(self._running) < self._plan.slots:
            self._cut(begun, pace)

    def _cut(self, begun: float, pace: float) -> None:
        """End several steps that were taken together with the one that is under way."""
        steps = min(int((self._env.now - begun) / pace) + 1, self._jump[2])
        if steps < self._jump[2]:
            self._schedule(begun, pace, steps)

    def _begin(self) -> None:
        room = self._plan.slots - len(self._running)
        prompts = 0
        while self._queue and len(self._fresh) < room:
            if self._fresh and prompts + self._queue[0].prompt > _PROMPT_TOKENS:
                break
            request = self._queue.popleft()
            request.admitted = self._env.now
            prompts += request.prompt
            self._fresh.append(request)
        rows = len(self._running) + len(self._fresh)
        self._tell_rate(rows)
        if not rows:
            self._jump = (0.0, 0.0, 0)
            return
        slow = self._fleet.slowness
        pace = self._plan.speed.step(rows) * slow
        if self._fresh:
            pace += prompts * self._plan.speed.prefill
            self._schedule(self._env.now, pace, 1)
        else:
            self._schedule(self._env.now, pace, max(1, self._running[0][0] - self._steps))

    def _tell_rate(self, rows: int) -> None:
        rate = rows / self._plan.speed.step(rows) if rows else 0.0
        self._fleet.token_rate += rate - self.rate
        self.rate = rate

    def _schedule(self, begun: float, pace: float, steps: int) -> None:
        self._version += 1
        self._jump = (begun, pace, steps)
        _after(self._env, begun + pace * steps - self._env.now, partial(self._end, self._version))

    def _end(self, version: int) -> None:
        if version != self._version:
            return
        _, pace, steps = self._jump
        self.busy += pace * steps
        self._steps += steps
        for request in self._fresh:
            request.first = self._env.now
            entry = (self._steps + request.tokens - 1, next(self._order), request)
            heapq.heappush(self._running, entry)
        self._fresh.clear()
        ended = []
        while self._running and self._running[0][0] <= self._steps:
            ended.append(heapq.heappop(self._running)[2])
        self._jump = (0.0, 0.0, -1)  # between two steps: who comes now only joins the queue
        for request in ended:
            self._fleet.finish(request, self)
        self._begin()

    def fail(self) -> list[Request]:
        """Break down; returns what it had, which is up to the fronts now."""
        lost = [*self._fresh, *self._queue, *(entry[2] for entry in self._running)]
        self._fresh.clear()
        self._queue.clear()
        self._running.clear()
        self._version += 1
        self._jump = (0.0, 0.0, 0)
        self._tell_rate(0)
        self.alive = self.ready = False
        return lost


def _after(env: simpy.Environment, seconds: float, then: Callable[[], None]) -> None:
    event = env.timeout(max(0.0, seconds))
    assert event.callbacks is not None
    event.callbacks.append(lambda _: then())


class _Chooser(Protocol):
    def choose(self) -> Replica | None:
        """Who gets the next request, None where all are full."""

    def asked(self, replica: Replica) -> None:
        """It has got one."""

    def changed(self, replica: Replica) -> None:
        """It has less to do, is new, or is back."""


class _Least:
    """The least busy as this front sees it; of equals the longest unasked, or always the first."""

    def __init__(self, front: _Front, *, in_turn: bool, seed: int | None) -> None:
        """`seed` is for an order of its own."""
        self._front, self._in_turn = front, in_turn
        self._draw = None if seed is None else random.Random(seed)
        self._asked: dict[int, int] = {}  # the turn in which each was asked last
        self._turn = 0
        self._heap: list[tuple[int, int, int, Replica]] = []

    def choose(self) -> Replica | None:
        while self._heap:
            entry = self._heap[0]
            if entry[3].ready and entry[:3] == self._key(entry[3]):
                return entry[3] if entry[0] < self._front.plan.streams else None
            heapq.heappop(self._heap)
        return None

    def _key(self, replica: Replica) -> tuple[int, int, int]:
        number = replica.number
        if number not in self._asked:
            self._asked[number] = 0 if self._draw is None else -self._draw.randrange(1, 10**9)
        return self._front.outstanding.get(number, 0), self._asked[number], number

    def asked(self, replica: Replica) -> None:
        self._turn += 1
        if self._in_turn:
            self._asked[replica.number] = self._turn
        self.changed(replica)

    def changed(self, replica: Replica) -> None:
        if replica.ready:
            heapq.heappush(self._heap, (*self._key(replica), replica))


class _Turns:
    """One after the other, or any one, whatever they have to do."""

    def __init__(self, fleet: Fleet, draw: random.Random | None) -> None:
        self._fleet, self._draw, self._next = fleet, draw, 0

    def choose(self) -> Replica | None:
        ready = self._fleet.ready
        if not ready:
            return None
        if self._draw is not None:
            return self._draw.choice(ready)
        self._next = (self._next + 1) % len(ready)
        return ready[self._next]

    def asked(self, replica: Replica) -> None:
        pass

    def changed(self, replica: Replica) -> None:
        pass


class _Front:
    """A server in front: one core, its own view of the replicas, and a queue."""

    def __init__(self, env: simpy.Environment, plan: Plan, fleet: Fleet, seed: int) -> None:
        self.plan = plan
        self.outstanding: dict[int, int] = {}
        self.waiting: deque[Request] = deque()
        self._env, self._fleet = env, fleet
        self._free = 0.0  # when its core has done what has come so far
        self.worked = 0.0  # seconds
        self.chooser: _Chooser
        if plan.balance in ("least", "first of least"):
            order = seed if plan.own_order else None
            self.chooser = _Least(self, in_turn=plan.balance == "least", seed=order)
        else:
            draw = random.Random(seed) if plan.balance == "random" else None
            self.chooser = _Turns(fleet, draw)

    def arrive(self, request: Request) -> None:
        """Read and check it, then give it out."""
        cost = self.plan.front_request
        self.worked += cost + request.tokens * self.plan.front_token
        left = max(1 - _FULL, 1 - self._fleet.front_share)
        self._free = max(self._free, self._env.now) + cost / left
        wait = self._free - self._env.now + self.plan.network + self.plan.speed.request
        if wait > 0:
            _after(self._env, wait, partial(self.give_out, request))
        else:
            self.give_out(request)

    def give_out(self, request: Request) -> None:
        """To a replica, else into the queue, else away."""
        replica = None if self.waiting else self.chooser.choose()
        if replica is not None and replica.waiting < self.plan.queue:
            self._send(request, replica)
        elif len(self.waiting) < self.plan.queue and replica is None:
            self.waiting.append(request)
        else:
            self._fleet.close(request, "refused")

    def _send(self, request: Request, replica: Replica) -> None:
        request.tries += 1
        self._fleet.owner[id(request)] = self
        self.outstanding[replica.number] = self.outstanding.get(replica.number, 0) + 1
        self.chooser.asked(replica)
        replica.submit(request)

    def freed(self, replica: Replica) -> None:
        """A request has left it."""
        self.outstanding[replica.number] -= 1
        self.chooser.changed(replica)
        self.go_on()

    def go_on(self) -> None:
        """Give out what waits."""
        while self.waiting and (replica := self.chooser.choose()) is not None:
            self._send(self.waiting.popleft(), replica)


class Fleet:
    """All replicas and fronts of a plan, and every request that has come."""

    def __init__(self, plan: Plan, seed: int = 1) -> None:
        self.env = simpy.Environment()
        self.plan, self._seed = plan, seed
        self.requests: list[Request] = []
        self.replicas: list[Replica] = []
        self.ready: list[Replica] = []
        self.owner: dict[int, _Front] = {}
        self.token_rate = 0.0
        self.counts: list[tuple[float, int, int]] = []  # time, replicas, requests under way
        self.open = 0
        self.fronts = [_Front(self.env, plan, self, seed + n) for n in range(plan.fronts)]
        self._draw = random.Random(seed)
        for _ in range(plan.scaling.least if plan.scaling else plan.replicas):
            self._add()
        if plan.scaling is not None:
            self.env.process(self._scale(plan.scaling))

    @property
    def front_share(self) -> float:
        """Share of a front's core that tokens take."""
        return self.token_rate * self.plan.front_token / self.plan.fronts

    @property
    def slowness(self) -> float:
        """By how much the fronts hold up the replicas."""
        return max(1.0, self.front_share / _FULL)

    # What comes and goes ------------------------------------------------------------------------

    def run(self, arrivals: Iterable[Request], until: float) -> None:
        """Let requests come, in order of time, and go on to `until` (seconds)."""
        self.env.process(self._arrive(iter(arrivals)))
        self.env.run(until=until)

    def _arrive(self, arrivals: Iterator[Request]) -> Generator[Any, Any, None]:
        for request in arrivals:
            if request.arrived > self.env.now:
                yield self.env.timeout(request.arrived - self.env.now)
            self.come(request)

    def come(self, request: Request) -> None:
        """A request comes now, to any of the fronts."""
        self.requests.append(request)
        self.open += 1
        front = self.fronts[0] if self.plan.fronts == 1 else self._draw.choice(self.fronts)
        front.arrive(request)

    def finish(self, request: Request, replica: Replica) -> None:
        """A replica has answered."""
        self.owner.pop(id(request)).freed(replica)
        self.close(request, "done")
        if replica.leaving and not replica.load:
            replica.gone = self.env.now

    def close(self, request: Request, result: str) -> None:
        """It is over."""
        request.result, request.ended = result, self.env.now
        self.open -= 1
        if request.on_end is not None:
            request.on_end()

    # Replicas -----------------------------------------------------------------------------------

    def _add(self) -> None:
        replica = Replica(self.env, len(self.replicas), self.plan, self)
        self.replicas.append(replica)
        self._welcome(replica)
        if self.plan.failures is not None:
            self.env.process(self._break(replica, self.plan.failures))

    def _welcome(self, replica: Replica) -> None:
        replica.alive = replica.ready = True
        self.ready.append(replica)
        for front in self.fronts:
            front.outstanding.setdefault(replica.number, 0)
            front.chooser.changed(replica)
            front.go_on()

    def _break(self, replica: Replica, failures: Failures) -> Generator[Any, Any, None]:
        while True:
            yield self.env.timeout(self._draw.expovariate(1 / failures.between))
            if replica.leaving:
                return
            self.ready.remove(replica)
            for request in replica.fail():
                self._again(request, replica)
            # Back after its start, when the fronts look for it the next time.
            yield self.env.timeout(failures.restart + self._draw.uniform(0, self.plan.check))
            self._welcome(replica)

    def _again(self, request: Request, replica: Replica) -> None:
        """Before its first text it is tried elsewhere once; later it has failed."""
        front = self.owner.pop(id(request))
        front.outstanding[replica.number] -= 1
        if request.first is not None or request.tries > 1 or not self.ready:
            self.close(request, "failed")
            return
        request.admitted = None
        front.give_out(request)

    def _scale(self, scaling: Scaling) -> Generator[Any, Any, None]:
        coming, fewer_since = 0, self.env.now

        def came() -> None:
            nonlocal coming
            coming -= 1
            self._add()

        while True:
            yield self.env.timeout(scaling.interval)
            here = len(self.ready)
            wanted = min(scaling.most, max(scaling.least, -int(-self.open // scaling.target)))
            self.counts.append((self.env.now, here + coming, self.open))
            if wanted >= here + coming:
                fewer_since = self.env.now
            for _ in range(wanted - here - coming):
                coming += 1
                _after(self.env, scaling.delay, came)
            if self.env.now - fewer_since >= scaling.patience and here > wanted:
                self._dismiss(self.ready[-1])

    def _dismiss(self, replica: Replica) -> None:
        """It gets nothing more, and goes when it has answered what it has."""
        replica.leaving, replica.ready = True, False
        self.ready.remove(replica)
        if not replica.load:
            replica.gone = self.env.now

    def machine_seconds(self) -> float:
        """How long replicas have been there, all together, their starts too."""
        start = self.plan.scaling.delay if self.plan.scaling else 0.0
        now, first = self.env.now, self.plan.scaling.least if self.plan.scaling else 0
        late = max(0, len(self.replicas) - first) if self.plan.scaling else 0
        lives = sum((each.gone or now) - each.begun for each in self.replicas)
        return lives + late * start


@dataclass
class Outcome:
    """What came of the requests that arrived from `since` on. Seconds, but for the shares."""

    ttfts: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    totals: list[float] = field(default_factory=list)
    results: dict[str, int] = field(default_factory=dict)
    utilisation: float = 0.0
    front_share: float = 0.0
    tokens_per_second: float = 0.0
    characters: int = 0
    machine_hours: float = 0.0

    def price(self, hour: float) -> float:
        """Of a million characters, where a machine costs so much an hour."""
        return hour * self.machine_hours / self.characters * 1e6 if self.characters else 0.0

    def share(self, result: str) -> float:
        """Share of the requests that ended so."""
        total = sum(self.results.values())
        return self.results.get(result, 0) / total if total else 0.0


def outcome(fleet: Fleet, since: float = 0.0) -> Outcome:
    """Read what a fleet has done."""
    made, now = Outcome(), fleet.env.now
    tokens = 0
    for request in fleet.requests:
        if request.result == "done":
            made.characters += request.characters
            tokens += request.tokens
        if request.arrived < since:
            continue
        made.results[request.result] = made.results.get(request.result, 0) + 1
        if request.first is not None:
            made.ttfts.append(request.first - request.arrived)
        if request.admitted is not None:
            made.waits.append(request.admitted - request.arrived)
        if request.result == "done" and request.ended is not None:
            made.totals.append(request.ended - request.arrived)
    seconds = fleet.machine_seconds()
    made.machine_hours = seconds / 3600
    made.utilisation = sum(each.busy for each in fleet.replicas) / seconds
    made.front_share = sum(each.worked for each in fleet.fronts) / len(fleet.fronts) / now
    made.tokens_per_second = tokens / now
    return made


def closed_loop(fleet: Fleet, clients: int, work: Sequence[tuple[int, int]]) -> float:
    """Clients that each ask again when they are answered, until all `work` is done; its seconds.

    `work` are prompt and output tokens of each request.
    """
    left = iter(work)

    def ask() -> None:
        wanted = next(left, None)
        if wanted is not None:
            fleet.come(Request(fleet.env.now, *wanted, on_end=ask))

    for _ in range(clients):
        ask()
    fleet.env.run()
    return max(request.ended or 0.0 for request in fleet.requests)
