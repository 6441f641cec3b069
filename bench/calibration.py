"""What the simulation goes by, measured here: `python -m bench.calibration STEP`.

    speed    steps by rows and prompts of one replica with a core of its own
    beside   the same while another replica is as busy on the other core
    lengths  tokens of real sentences by their characters
    front    CPU seconds of a front for a request and for a token
    one      a timetable of requests to one replica, to compare
    two      the same for a front with two replicas

Each takes less than a minute and adds its records to bench/results/simulation.jsonl, from which
`bench.simulate` reads its parameters.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from bench import arrivals, loads, openloop, peers, servers, texts
from bench.arrivals import Lengths
from bench.client import StreamFailed
from bench.compare import RESULTS, describe_machine
from bench.connections import cpu_seconds
from bench.loads import Load, plain
from bench.models import MODELS
from bench.records import Records
from bench.simulation import Speed

RECORDS = RESULTS / "simulation.jsonl"
MODEL, BESIDE = "0.5B-q4_0, 1 thread", "0.5B-q4_0, 1 thread, beside another"
SLOTS = 16
_CLIENTS = (1, 2, 4, 8, 12, 16)
_TOKENS = 32
_TILE = 4  # rows that llama.cpp's kernels for Q4_0 take at once: docs/performance.md, "Rows"
_FRONT_TOKENS = (4, 64)
_FRONT_CLIENTS = 16
SECONDS = 24.0  # of a timetable
LOADS = (0.5, 0.8)  # shares of the capacity that the timetables ask for


# Reading ------------------------------------------------------------------------------------------


def speed(records: Records, model: str) -> Speed:
    """A replica's speed from closed loops of equal requests. Raises ValueError without records.

    A step with n rows is the gap between tokens that n clients see. What one client's requests
    take beyond their steps is split: in the engine it is the prompt, outside it is the request.
    """
    cells = [
        cell
        for cell in records.find("cell", model=model, contestant="babelbrook")
        if cell["load"] == plain(cell["clients"]).name
    ]
    gaps: dict[int, list[float]] = {}
    for cell in cells:
        gaps.setdefault(cell["clients"], []).append(cell["groups"][0]["token_gap"])
    alone = [cell for cell in cells if cell["clients"] == 1]
    if not alone:
        raise ValueError(f"{records.path} has no figures of one client of {model}")
    steps = tuple((rows, statistics.median(seen)) for rows, seen in sorted(gaps.items()))
    prompts, outside = [], []
    for cell in alone:
        group, engine = cell["groups"][0], cell["engine"]
        prompts.append(
            (engine["step_seconds"] - engine["decode_steps"] * steps[0][1]) / group["prompt_tokens"]
        )
        outside.append((cell["seconds"] - engine["step_seconds"]) / group["requests"])
    tile = _TILE if "q4_0" in model else 1
    return Speed(steps, max(0.0, statistics.median(prompts)), statistics.median(outside), tile)


def lengths(records: Records, model: str) -> Lengths:
    """Tokens by characters. Raises ValueError without records."""
    found = records.last("lengths", model=model)
    if found is None:
        raise ValueError(f"{records.path} has no lengths of {model}")
    return Lengths(found["prompt"], found["output"], found["around"])


def front_cost(records: Records) -> tuple[float, float]:
    """CPU seconds of a front for a request and for a token. Raises ValueError without records."""
    cells = list(records.find("front"))
    if not cells:
        raise ValueError(f"{records.path} has no figures of a front")
    counts = np.array([[cell["requests"], cell["tokens"]] for cell in cells], float)
    spent = np.array([cell["cpu_seconds"] for cell in cells])
    request, token = np.linalg.lstsq(counts, spent, rcond=None)[0]
    return max(0.0, float(request)), max(0.0, float(token))


def timetable(rate: float, sizes: Lengths, seconds: float, seed: int) -> list[openloop.Planned]:
    """Requests of real sentences at `rate` a second, the same ones for the same seed."""
    draw = random.Random(seed)
    times = takewhile(lambda now: now < seconds, arrivals.poisson(rate, random.Random(seed + 1)))
    return [
        openloop.Planned(at, text, sizes.request(at, text).tokens)
        for at, text in zip(times, arrivals.texts(draw), strict=False)
    ]


# Measuring ----------------------------------------------------------------------------------------


@contextmanager
def replica(model: str = "0.5B-q4_0") -> Iterator[servers.Server]:
    """A server on one thread."""
    chosen = MODELS[model]
    path = chosen.file(peers.default_folder().parent / "bench-models", peers.vocabulary)
    template = chosen.prompting.template
    flags = ("--engine.threads", "1", "--engine.self_check", "false")
    with servers.babelbrook(path, template, sequences=SLOTS, context=512, flags=flags) as server:
        yield server


@contextmanager
def front(*behind: servers.Server) -> Iterator[servers.Server]:
    """A server in front of others."""
    urls = json.dumps([f"http://127.0.0.1:{each.port}" for each in behind])
    command = [sys.executable, "server.py", "--server.port", "{port}", "--engine", "remote"]
    command += ["--remote.upstreams", urls, "--log.level", "warning"]
    command += ["--remote.streams", str(SLOTS)]
    with servers.Server("babelbrook", command, "/ready") as server:
        yield server


def _closed(server: servers.Server, clients: int, tokens: int, number: int) -> dict[str, Any]:
    load = Load(plain(clients).name, clients, SLOTS)
    asked = loads.requests(
        load, "babelbrook", loads.PLAIN, tokens=tokens, number=number, start=clients * 101
    )
    return loads.run(server, asked)


def _speed_cells(server: servers.Server, records: Records, model: str) -> None:
    _closed(server, SLOTS, 4, SLOTS)  # warms up
    for clients in _CLIENTS:
        figures = _closed(server, clients, _TOKENS, max(6, 2 * clients))
        name = plain(clients).name
        records.add(
            "cell",
            model=model,
            load=name,
            clients=clients,
            contestant="babelbrook",
            round=1,
            **figures,
        )
        print(f"{name:12} {figures['rate']:8.1f} tok/s", flush=True)


def measure_speed(records: Records) -> None:
    """One replica with a core of its own."""
    with replica() as server:
        _speed_cells(server, records, MODEL)


def measure_beside(records: Records) -> None:
    """One replica while another one is busy."""
    over = threading.Event()

    def keep_busy(port: int) -> None:
        body = json.dumps({"text": "Hello.", "max_tokens": 64, "ignore_eos": True, "cache": False})
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/translate",
            body.encode(),
            {"Content-Type": "application/json"},
        )
        while not over.is_set():
            urllib.request.urlopen(request, timeout=60).read()

    with replica() as server, replica() as other:
        busy = [threading.Thread(target=keep_busy, args=[other.port]) for _ in range(4)]
        for thread in busy:
            thread.start()
        try:
            _speed_cells(server, records, BESIDE)
        finally:
            over.set()
            for thread in busy:
                thread.join()


def measure_lengths(records: Records) -> None:
    """Prompt tokens by both vocabularies, output tokens of the embedded model into German."""
    known = texts.sentences()[:160]
    output = 0.0
    for model in ("embedded", "0.5B-q4_0"):
        with replica(model) as server:
            points = []
            for text in known:
                body = {"text": text, "target_lang": "de", "cache": False}
                if model != "embedded":
                    body |= {"max_tokens": 1, "ignore_eos": True}
                points.append((len(text), *_usage(server, body)))
        sizes, prompts, outputs = np.array(points, float).T
        slope, around = np.polyfit(sizes, prompts, 1)
        if model == "embedded":  # random weights know no end
            output = float(outputs.sum() / sizes.sum())
        made = {"prompt": float(slope), "around": float(around), "output": output}
        records.add("lengths", model=model, texts=len(known), **made)
        print(model, made, flush=True)


def _usage(server: servers.Server, body: dict[str, Any]) -> tuple[int, int]:
    """Prompt and output tokens of a translation."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/translate/stream",
        json.dumps(body | {"stream_options": {"usage": True}}).encode(),
        {"Content-Type": "application/json"},
    )
    answer = urllib.request.urlopen(request, timeout=60).read().decode()
    usage = json.loads(answer.partition("event: usage\ndata: ")[2].partition("\n")[0])
    return usage["prompt_tokens"], usage["output_tokens"]


def measure_front(records: Records) -> None:
    """A front whose upstream is the quick embedded model, by answers of two lengths."""
    with replica("embedded") as behind, front(behind) as server:
        for tokens in _FRONT_TOKENS:
            before = cpu_seconds(server)
            figures = _closed(server, _FRONT_CLIENTS, tokens, 24_000 // (tokens + 16))
            spent = cpu_seconds(server) - before
            group = figures["groups"][0]
            records.add(
                "front",
                requests=group["requests"],
                tokens=group["tokens"],
                cpu_seconds=spent,
                rate=figures["rate"],
                memory=figures["memory"],
            )
            print(f"{group['requests']} x {tokens} tokens: {spent:.2f} CPU s", flush=True)


def _timetables(records: Records, server: servers.Server, replicas: int) -> None:
    sizes = lengths(records, "0.5B-q4_0")
    mean = mean_request(sizes)
    capacity = speed(records, MODEL).capacity(SLOTS, *mean) * replicas
    for share in LOADS:
        plan = timetable(share * capacity, sizes, SECONDS / len(LOADS), seed=replicas)
        seen = openloop.run(server.port, plan)
        records.add(
            "timetable",
            replicas=replicas,
            share=share,
            rate=share * capacity,
            seed=replicas,
            seconds=SECONDS / len(LOADS),
            seen=[asdict(each) for each in seen],
        )
        print(f"{len(seen)} requests at {share:.0%} of the capacity", flush=True)


def mean_request(sizes: Lengths, number: int = 2000) -> tuple[float, float]:
    """Mean prompt and output tokens."""
    drawn = arrivals.texts(random.Random(1))
    asked = [sizes.request(0.0, next(drawn)) for _ in range(number)]
    return sum(r.prompt for r in asked) / number, sum(r.tokens for r in asked) / number


def measure_one(records: Records) -> None:
    """One replica by itself."""
    with replica() as server:
        _closed(server, SLOTS, 4, SLOTS)
        _timetables(records, server, 1)


def measure_two(records: Records) -> None:
    """Two behind a front."""
    with ExitStack() as stack:
        behind = [stack.enter_context(replica()) for _ in range(2)]
        server = stack.enter_context(front(*behind))
        _closed(server, SLOTS, 4, 2 * SLOTS)
        _timetables(records, server, 2)


STEPS: dict[str, Callable[[Records], None]] = {
    "speed": measure_speed,
    "beside": measure_beside,
    "lengths": measure_lengths,
    "front": measure_front,
    "one": measure_one,
    "two": measure_two,
}


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("steps", nargs="+", choices=STEPS, metavar="STEP", help=", ".join(STEPS))
    parser.add_argument("--records", type=Path, default=RECORDS)
    options = parser.parse_args()
    records = Records(options.records)
    for step in options.steps:
        records.add("run", step=step, **describe_machine("none"))
        try:
            STEPS[step](records)
        except (ValueError, OSError, servers.ServerFailed, StreamFailed) as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
