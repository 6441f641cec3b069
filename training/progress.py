"""Progress of a run: a line a person reads, and a JSON line a program reads."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

Record = dict[str, float | str]


def append(path: Path, record: Record) -> None:
    """Append one record to a JSON Lines file, flushed."""
    with path.open("a", encoding="utf-8") as out:
        out.write(json.dumps(record) + "\n")


def read(path: Path) -> list[Record]:
    """Read a JSON Lines file; a last line cut off by an interruption is left out."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def clock(seconds: float) -> str:
    """Return whole seconds as h:mm:ss.

    >>> clock(3725.9)
    '1:02:05'
    """
    return str(timedelta(seconds=int(max(0.0, seconds))))


def line(record: Record, budget: float) -> str:
    """Return one line of progress with the time left."""
    seconds = float(record["seconds"])
    return (
        f"{seconds / budget:6.1%}  step {record['step']:>6}  loss {record['loss']:.3f}"
        f"  rate {record['rate']:.2e}  {record['tokens_per_second']:,.0f} tok/s"
        f"  {clock(seconds)} gone, {clock(budget - seconds)} left"
    )


def show(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(text, file=sys.stdout, flush=True)
