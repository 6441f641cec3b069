"""Tokens per second of a server that runs already: `python -m bench.streams --port 8080`.

Loads of several numbers of clients take turns; no peer is needed. `bench.compare` measures the
peers beside it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys

from bench.client import Group, Load, StreamFailed, run
from bench.dialects import DIALECTS
from bench.figures import ratio
from bench.report import cell_line
from bench.texts import sentences

_DIALECT = DIALECTS["babelbrook"]


def load(port: int, clients: int, requests: int, tokens: int, start: int) -> Load:
    """`clients` that ask `requests` times together for `tokens` each, from text `start` on."""
    # One sentence each: of a longer text even a lone client would have several decoded at once.
    known = sentences()
    texts = [known[(start + number) % len(known)] for number in range(requests)]
    bodies = [json.dumps(_DIALECT.body(text, tokens)).encode() for text in texts]
    return Load("babelbrook", port, [Group(clients, bodies)])


def measure(options: argparse.Namespace) -> None:
    """Run all loads `rounds` times in turn; print each and the ratios to the first."""
    rates: dict[int, dict[int, float]] = {clients: {} for clients in options.clients}
    most = max(options.clients)
    run(load(options.port, most, most, options.tokens, 0))
    for number in range(1, options.rounds + 1):
        for clients in options.clients:
            requests = max(options.requests, 2 * clients)
            seen = run(load(options.port, clients, requests, options.tokens, number * requests))
            rate = seen["groups"][0]["tokens"] / seen["seconds"]
            rates[clients][number] = rate
            print(f"{clients:3} clients  {cell_line(seen | {'contestant': '', 'rate': rate})}")
    first = options.clients[0]
    for clients in options.clients:
        median = statistics.median(rates[clients].values())
        against = ratio(rates[clients], rates[first])
        print(f"{clients:3} clients  median {median:,.0f} tok/s, {against} of {first}")


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.streams", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=48, help="requests of a load, in all")
    parser.add_argument("--tokens", type=int, default=24, help="output tokens of a request")
    try:
        measure(parser.parse_args())
    except (StreamFailed, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
