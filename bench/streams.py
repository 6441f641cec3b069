"""Tokens per second of one client and of several at once, interleaved in one run.

    python -m bench.streams --url http://127.0.0.1:8080 --clients 1 8 --rounds 5

Closed loop: each client sends its next request when its last has ended. Greedy, a fixed number of
output tokens (`ignore_eos`), every text another sentence, caches of answers off.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.client import StreamFailed, StreamTimes, stream

SENTENCES = Path(__file__).parents[1] / "tests" / "data" / "sentences.txt"


async def run_load(
    url: str, clients: int, requests: int, tokens: int, texts: Iterator[str]
) -> tuple[float, list[StreamTimes]]:
    """Seconds and streams of `clients` closed-loop clients with `requests` requests in all."""
    turns = iter(range(requests))

    async def client() -> list[StreamTimes]:
        return [
            await stream(
                url,
                {"text": next(texts), "max_tokens": tokens, "ignore_eos": True, "cache": False},
            )
            for _ in turns
        ]

    begun = time.perf_counter()
    streams = await asyncio.gather(*(client() for _ in range(clients)))
    return time.perf_counter() - begun, list(itertools.chain.from_iterable(streams))


def quantile(values: list[float], share: float) -> float:
    """The value below which `share` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def percentiles(seconds: list[float]) -> str:
    """Median and 95th percentile in milliseconds."""
    return f"p50 {quantile(seconds, 0.5) * 1e3:6.2f} p95 {quantile(seconds, 0.95) * 1e3:6.2f} ms"


async def measure(options: argparse.Namespace) -> None:
    """Run all loads `rounds` times in turn; print each and the ratios to the first."""
    texts = itertools.cycle(SENTENCES.read_text(encoding="utf-8").splitlines())
    rates: dict[int, list[float]] = {clients: [] for clients in options.clients}
    await run_load(options.url, max(options.clients), max(options.clients), options.tokens, texts)
    for number in range(1, options.rounds + 1):
        for clients in options.clients:
            requests = max(options.requests, 2 * clients)
            seconds, streams = await run_load(options.url, clients, requests, options.tokens, texts)
            rate = sum(times.tokens for times in streams) / seconds
            rates[clients].append(rate)
            gaps = [gap for times in streams for gap in times.gaps]
            ttfts = [times.ttft for times in streams]
            print(
                f"round {number}/{options.rounds}  {clients:3} clients  {rate:8,.0f} tok/s"
                f"  TTFT {percentiles(ttfts)}  gap {percentiles(gaps)}",
                flush=True,
            )
    first = options.clients[0]
    for clients in options.clients[1:]:
        ratios = [b / a for a, b in zip(rates[first], rates[clients], strict=True)]
        print(
            f"{clients} clients : {first} = {statistics.median(ratios):.2f}"
            f" (rounds {min(ratios):.2f} to {max(ratios):.2f})"
        )


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=48, help="requests of a load, in all")
    parser.add_argument("--tokens", type=int, default=24, help="output tokens of a request")
    try:
        asyncio.run(measure(parser.parse_args()))
    except (StreamFailed, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
