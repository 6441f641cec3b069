"""What prompts of 2,000 tokens do to the gaps of other streams: `python -m bench.gaps`.

The loads `STEADY` (eight clients with short texts) and `MIXED` (the same while long prompts arrive)
of bench/loads.py, in turns on one server with the 0.5B Q4_0 model of random weights. `python -m
bench.compare --models 0.5B-q4_0` has both loads beside llama-server.
"""

from __future__ import annotations

import argparse
from typing import Any

from bench import loads, peers, servers
from bench.figures import median
from bench.models import MODELS

SEQUENCES, CONTEXT = 16, 2304
MODEL = MODELS["0.5B-q4_0"]


def _groups(server: servers.Server, load: loads.Load, number: int, lap: int) -> list[Any]:
    asked = loads.requests(
        load, "babelbrook", MODEL.prompting, tokens=MODEL.tokens, number=number, start=lap * number
    )
    groups: list[Any] = loads.run(server, asked)["groups"]
    return groups


def main() -> None:
    """Measure and print a table; the ratio is that of the gaps' 95th percentiles."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    path = MODEL.file(peers.default_folder().parent / "bench-models", peers.vocabulary)
    template, ratios = MODEL.prompting.template, []
    print("| gap p50 / p95 ms | with long prompts | ratio of p95 | TTFT p50 of the long ones s |")
    print("| --- | --- | --: | --: |")
    with servers.babelbrook(path, template, sequences=SEQUENCES, context=CONTEXT) as server:
        for lap in range(1, options.rounds + 1):
            without = _groups(server, loads.STEADY, 30, lap)[0]
            short, long = _groups(server, loads.MIXED, 14, lap)
            ratios.append(short["gap_p95"] / without["gap_p95"])
            cells = (
                f"{1000 * g['gap_p50']:.0f} / {1000 * g['gap_p95']:.0f}" for g in (without, short)
            )
            print(
                f"| {' | '.join(cells)} | {ratios[-1]:.2f} | {long['ttft_p50']:.1f} |", flush=True
            )
    print(f"\nmedian {median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")


if __name__ == "__main__":
    main()
