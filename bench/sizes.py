"""Memory and tokens/s by the size of a model: `python -m bench.sizes`, less than a minute.

Models of random weights and a real shape, with the defaults that the server takes on this machine.
Adds to bench/results/sizes.jsonl and prints the rows of the table in docs/deployment.md, the sizes
that were not measured computed from those that were.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import loads, peers, servers
from bench.compare import RESULTS, describe_machine
from bench.loads import Load, plain
from bench.models import MODELS
from bench.records import Record, Records
from bench.report import table

RECORDS = RESULTS / "sizes.jsonl"
SEQUENCES, CONTEXT = 16, 512
_CLIENTS = (1, 16)
_TOKENS = 32


@dataclass(frozen=True)
class Size:
    """What a model is by its makers' configuration: parameters and file in billions.

    `kv` is the KV cache of a token in bytes: 2 * layers * key heads * head width * 2.
    """

    name: str
    parameters: float
    file: float
    kv: int


# Bytes of the KV cache a token, of bench.shapes' models.
_KV = {"0.5B-q4_0": 12_288, "0.5B-q8_0": 12_288, "1.5B-q4_0": 28_672}
# https://huggingface.co/Qwen/Qwen2-7B/blob/main/config.json and the same of others; files as they
# are published in Q4_0.
LARGER = (
    Size("3 B (Qwen2.5)", 3.1, 1.82, 36_864),
    Size("7 B (Qwen2.5)", 7.6, 4.43, 57_344),
    Size("14 B (Qwen2.5)", 14.8, 8.52, 196_608),
)


def measure(records: Records, name: str) -> None:
    """One model with 1 and 16 clients."""
    model = MODELS[name]
    path = model.file(peers.default_folder().parent / "bench-models", peers.vocabulary)
    template = model.prompting.template
    with servers.babelbrook(path, template, sequences=SEQUENCES, context=CONTEXT) as server:
        for clients in _CLIENTS:
            load = Load(plain(clients).name, clients, SEQUENCES)
            asked = loads.requests(
                load,
                "babelbrook",
                model.prompting,
                tokens=_TOKENS,
                number=max(4, 2 * clients),
                start=clients * 101,
            )
            figures = loads.run(server, asked)
            size = path.stat().st_size
            records.add("cell", model=name, clients=clients, file=size, **figures)
            print(f"{name:10} {clients:2} {figures['rate']:8.1f} tok/s", flush=True)


def rows(records: Records) -> list[str]:
    """The table: what was measured, and what follows from the largest model of it."""
    head = ["model", "file GB", "decoding alone tok/s", "16 clients tok/s", "TTFT p50 ms (16)"]
    head += ["peak memory MiB", ""]
    made = []
    names = list(dict.fromkeys(record["model"] for record in records.find("cell")))
    for name in names:
        one, many = (list(records.find("cell", model=name, clients=n)) for n in _CLIENTS)
        made.append(
            [
                name,
                f"{one[0]['file'] / 1e9:.2f}",
                f"{_decoding(one):,.0f}",
                f"{_median(many, 'rate'):,.0f}",
                f"{statistics.median(c['groups'][0]['ttft_p50'] for c in many) * 1e3:,.0f}",
                f"{max(cell['memory'] for cell in many) / 2**20:,.0f}",
                "measured",
            ]
        )
    made += [_computed(size, records, names[-1]) for size in LARGER] if names else []
    return table(head, made)


def _computed(size: Size, records: Records, largest: str) -> list[str]:
    """In proportion to the file of the largest model that was measured.

    One stream reads it once a token; sixteen rows are bound by arithmetic, which grows alike.
    """
    one, many = (list(records.find("cell", model=largest, clients=n)) for n in _CLIENTS)
    share = one[0]["file"] / (size.file * 1e9)
    memory = _memory(records, size.file * 1e9) + SEQUENCES * CONTEXT * size.kv
    ttft = statistics.median(c["groups"][0]["ttft_p50"] for c in many) / share
    return [
        size.name,
        f"{size.file:.2f}",
        f"{_decoding(one) * share:,.0f}",
        f"{_median(many, 'rate') * share:,.0f}",
        f"{ttft * 1e3:,.0f}",
        f"{memory / 2**20:,.0f}",
        "computed",
    ]


def _decoding(cells: Sequence[Record]) -> float:
    """Tokens a second of one stream between its first and its last."""
    return statistics.median(1 / float(cell["groups"][0]["token_gap"]) for cell in cells)


def _memory(records: Records, file: float) -> float:
    """Bytes without the KV cache: on the line through the smallest and the largest that we know.

    It rises by more than the file: kernels want some weights in an order of their own.
    """
    known = sorted(
        (cell["file"], cell["memory"] - SEQUENCES * CONTEXT * _KV[cell["model"]])
        for cell in records.find("cell", clients=_CLIENTS[-1])
    )
    (small, least), (large, most) = known[0], known[-1]
    slope = (most - least) / (large - small) if large > small else most / large
    return float(most + slope * (file - large))


def _median(cells: Sequence[Record], key: str) -> float:
    return statistics.median(float(cell[key]) for cell in cells)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", default=["0.5B-q4_0", "1.5B-q4_0"])
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("--table", action="store_true", help="only print the table")
    options = parser.parse_args()
    records = Records(options.records)
    if not options.table:
        records.add("run", **describe_machine("none"))
        for name in options.models:
            measure(records, name)
    print("\n".join(rows(records)))


if __name__ == "__main__":
    main()
