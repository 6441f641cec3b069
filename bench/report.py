"""From the records of a run to a table and a plot: `python -m bench.report FILE.jsonl`."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.figures import Ratio, median, ratio
from bench.loads import MIXED, STEADY
from bench.records import Record, Records

OURS, PEER, OLD_PEER, LIMIT = "babelbrook", "llama-server", "llama_cpp.server", "limit"
Value = Callable[[Record], float]


def cell_line(cell: Record) -> str:
    """One cell, for somebody who watches the run."""
    line = f"{cell['contestant']:16} {cell['rate']:8,.1f} tok/s"
    if "groups" not in cell:
        return line
    streams = cell["groups"][0]
    line += "".join(
        f"  {name} {_ms(streams[key + '_p50'])}/{_ms(streams[key + '_p95'])} ms"
        for name, key in (("TTFT", "ttft"), ("gap", "gap"))
    )
    if "engine" in cell:
        line += f"  outside {_percent(outside(cell))}"
    return line


def outside(cell: Record) -> float:
    """Share of the decode loop's steps that is spent outside llama_decode; NaN where unknown."""
    engine = cell.get("engine") or {}
    if not engine.get("step_seconds"):
        return float("nan")
    return 1.0 - float(engine["decode_seconds"] / engine["step_seconds"])


def outside_per_step(cell: Record) -> float:
    """The same in seconds per step."""
    engine = cell.get("engine") or {}
    if not engine.get("decode_steps"):
        return float("nan")
    spent = engine["step_seconds"] - engine["decode_seconds"]
    return float(spent / engine["decode_steps"])


def in_decode(cell: Record) -> float:
    """Share of the wall time that llama_decode had; the rest is ours, the network's or idle."""
    engine = cell.get("engine") or {}
    return float(engine.get("decode_seconds", float("nan")) / cell["seconds"])


def decode_rate(cell: Record) -> float:
    """Tokens per second while all streams decode: streams over the median gap of their tokens."""
    if "groups" not in cell:
        return float(cell["rate"])
    gap = cell["groups"][0]["token_gap"]
    return float(cell["clients"] / gap) if gap else 0.0


def whole_rate(cell: Record) -> float:
    """Output tokens per second of whole requests; NaN for a limit that was measured without."""
    return float(cell["rate"] if "groups" in cell else cell.get("whole", float("nan")))


def _stream(key: str) -> Value:
    return lambda cell: float(cell["groups"][0][key])


class Measured:
    """The cells of one load of one model, by contestant and round."""

    def __init__(self, records: Records, model: str, name: str) -> None:
        self.name = name
        self.by_contestant = {
            contestant: records.cells(model, name, contestant)
            for contestant in (OURS, PEER, OLD_PEER, LIMIT)
        }

    def value(self, contestant: str, value: Value) -> float:
        """The median over the rounds, NaN for a contestant that took no part."""
        return median(list(self.rounds(contestant, value).values()))

    def ratio(self, value: Value, ours: str = OURS, theirs: str = PEER) -> Ratio | None:
        """The ratio by rounds."""
        return ratio(self.rounds(ours, value), self.rounds(theirs, value))

    def rounds(self, contestant: str, value: Value) -> dict[int, float]:
        """A contestant's figure by round, where it is known."""
        found = {number: value(cell) for number, cell in self.by_contestant[contestant].items()}
        return {number: figure for number, figure in found.items() if not math.isnan(figure)}


def loads_of(records: Records) -> dict[str, list[Measured]]:
    """The measured loads by model, in the order of measurement."""
    names: dict[str, dict[str, None]] = {}
    for cell in records.find("cell"):
        names.setdefault(cell["model"], {})[cell["load"]] = None
    return {
        model: [Measured(records, model, name) for name in found] for model, found in names.items()
    }


def markdown(records: Records) -> str:
    """The tables of a run: medians over the rounds, ratios with the range they were seen in."""
    run = records.last("run") or {}
    lines = [
        f"# Benchmark of {run.get('time', '?')}",
        "",
        f"{run.get('machine', '?')}; Babelbrook {run.get('commit', '?')}, llama-cpp-python"
        f" {run.get('llama_cpp_python', '?')} and the peers of its own sources. Medians over the"
        " rounds; ratios are taken round by round, with their range in brackets.",
    ]
    if run.get("settings"):
        lines += ["", f"Babelbrook ran with `{run['settings']}`."]
    for model, loads in loads_of(records).items():
        flags = records.last("flags", model=model)
        lines += ["", f"## {model}", ""]
        lines += [f"llama-server at its best: `{flags['text']}`", ""] if flags else []
        lines += [*_throughput(loads), "", *_latency(loads), "", *_engine(loads)]
        lines += _old_peer(loads)
        lines += _long_prompts(loads)
    return "\n".join(lines) + "\n"


def _throughput(loads: Sequence[Measured]) -> list[str]:
    head = ["load", "Babelbrook tok/s", "llama-server tok/s", "ratio"]
    head += ["limit tok/s", "limit / llama-server", "decode tok/s", "its limit", "decode / limit"]
    rows = [
        [
            load.name,
            _number(load.value(OURS, whole_rate)),
            _number(load.value(PEER, whole_rate)),
            _ratio(load.ratio(whole_rate)),
            _number(load.value(LIMIT, whole_rate)),
            _ratio(load.ratio(whole_rate, ours=LIMIT)),
            _number(load.value(OURS, decode_rate)),
            _number(load.value(LIMIT, decode_rate)),
            _ratio(load.ratio(decode_rate, theirs=LIMIT)),
        ]
        for load in loads
    ]
    return table(head, rows)


def _latency(loads: Sequence[Measured]) -> list[str]:
    keys = ("ttft_p50", "ttft_p95", "gap_p50", "gap_p95")
    names = [key.replace("ttft", "TTFT").replace("_", " ") for key in keys]
    head = ["load", *(f"{name} ms (peer)" for name in names), *(f"{n} ratio" for n in names)]
    rows = []
    for load in loads:
        row = [load.name]
        for key in keys:
            ours, theirs = (_ms(load.value(who, _stream(key))) for who in (OURS, PEER))
            row.append(f"{ours} ({theirs})")
        rows.append([*row, *(_ratio(load.ratio(_stream(key))) for key in keys)])
    return table(head, rows)


def _engine(loads: Sequence[Measured]) -> list[str]:
    head = ["load", "outside llama_decode per step", "share of the step"]
    head += ["llama_decode of wall time", "peak MiB", "llama-server peak MiB"]
    rows = [
        [
            load.name,
            f"{_ms(load.value(OURS, outside_per_step))} ms",
            _percent(load.value(OURS, outside)),
            _percent(load.value(OURS, in_decode)),
            *(_number(load.value(who, _memory)) for who in (OURS, PEER)),
        ]
        for load in loads
    ]
    return table(head, rows)


def _old_peer(loads: Sequence[Measured]) -> list[str]:
    with_it = [load for load in loads if load.by_contestant[OLD_PEER]]
    if not with_it:
        return []
    head = ["load", "llama_cpp.server tok/s", "TTFT p50 ms", "Babelbrook / llama_cpp.server"]
    rows = [
        [
            load.name,
            _number(load.value(OLD_PEER, lambda cell: float(cell["rate"]))),
            _ms(load.value(OLD_PEER, _stream("ttft_p50"))),
            _ratio(load.ratio(lambda cell: float(cell["rate"]), theirs=OLD_PEER)),
        ]
        for load in with_it
    ]
    return ["", *table(head, rows)]


def _long_prompts(loads: Sequence[Measured]) -> list[str]:
    """What long prompts do to the gaps of streams that run already, for each contestant."""
    named = {load.name: load for load in loads}
    if STEADY.name not in named or MIXED.name not in named:
        return []
    without, with_them = named[STEADY.name], named[MIXED.name]
    head = ["while 2,000-token prompts arrive", "gap p50 ms (without)", "gap p95 ms (without)"]
    head += ["p50 with / without", "p95 with / without", "TTFT p50 of the long prompts ms"]
    rows = []
    for who in (OURS, PEER):
        row, ratios = [who], []
        for key in ("gap_p50", "gap_p95"):
            value = _stream(key)
            more, less = with_them.value(who, value), without.value(who, value)
            row.append(f"{_ms(more)} ({_ms(less)})")
            ratios.append(ratio(with_them.rounds(who, value), without.rounds(who, value)))
        ttft = with_them.value(who, lambda cell: float(cell["groups"][1]["ttft_p50"]))
        rows.append([*row, *map(_ratio, ratios), _ms(ttft)])
    return ["", *table(head, rows)]


def _memory(cell: Record) -> float:
    return float(cell["memory"]) / 2**20


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    rule = ["---", *["--:"] * (len(head) - 1)]
    return ["| " + " | ".join(row) + " |" for row in [head, rule, *rows]]


def _number(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _ms(seconds: float) -> str:
    return (
        "-"
        if seconds != seconds
        else _number(seconds * 1e3)
        if seconds >= 0.01
        else f"{seconds * 1e3:.2f}"
    )


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share * 100:.1f} %"


def _ratio(value: Ratio | None) -> str:
    return str(value) if value else "-"


def plot(records: Records, path: Path) -> None:
    """Tokens per second over the plain loads, one panel per model, as an SVG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    models = loads_of(records)
    figure, panels = pyplot.subplots(
        1, len(models), figsize=(4 * len(models), 3.2), squeeze=False, layout="constrained"
    )
    for panel, (model, loads) in zip(panels[0], models.items(), strict=True):
        _panel(panel, model, [load for load in loads if load.by_contestant[LIMIT]])
    panels[0][0].set_ylabel("tokens/s")
    panels[0][0].legend(fontsize="small")
    figure.savefig(path)
    pyplot.close(figure)


def _panel(panel: Any, model: str, loads: Sequence[Measured]) -> None:
    looks = {OURS: ("Babelbrook", "o-"), PEER: ("llama-server", "s-"), LIMIT: ("limit", "k:")}
    for contestant, (label, look) in looks.items():
        clients = [_clients(load) for load in loads]
        rates = [load.value(contestant, whole_rate) for load in loads]
        panel.plot(clients, rates, look, label=label)
    panel.set_title(model)
    panel.set_xlabel("clients")
    panel.set_ylim(bottom=0)
    panel.grid(alpha=0.3)


def _clients(load: Measured) -> int:
    return int(next(iter(load.by_contestant[OURS].values()))["clients"])


def write(records: Records) -> list[Path]:
    """Write the table and the plot beside the records; returns their paths."""
    table = records.path.with_suffix(".md")
    table.write_text(markdown(records), encoding="utf-8")
    print(markdown(records), flush=True)
    picture = records.path.with_suffix(".svg")
    try:
        plot(records, picture)
    except ImportError as error:
        print(f"No plot: {error}")
        return [table]
    return [table, picture]


if __name__ == "__main__":
    write(Records(Path(sys.argv[1])))
