"""Statistics, records and the table that is made of them."""

from __future__ import annotations

import doctest
import importlib
import math
from pathlib import Path
from typing import Any

import pytest

from bench import figures, flags, limit, report
from bench.flags import Flags
from bench.loads import MIXED, STEADY
from bench.records import Records


@pytest.mark.parametrize("name", ["figures", "flags", "limit", "peers", "texts"])
def test_the_examples_in_the_docstrings_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"bench.{name}"))
    assert result.attempted > 0
    assert result.failed == 0


def test_quantiles_are_values_that_were_seen() -> None:
    values = [float(number) for number in range(1, 101)]
    assert figures.quantile(values, 0.5) == 50
    assert figures.quantile(values, 0.95) == 95
    assert figures.quantile([7.0], 0.95) == 7
    assert figures.quantile([], 0.5) == 0
    assert math.isnan(figures.median([]))


def test_a_ratio_takes_only_rounds_that_both_have() -> None:
    assert figures.ratio({1: 4.0, 2: 9.0}, {1: 2.0}) == figures.Ratio(2.0, 2.0, 2.0)
    assert figures.ratio({1: 4.0}, {2: 2.0}) is None


def test_the_search_keeps_what_is_faster_and_goes_on_from_there() -> None:
    def measure(candidate: Flags) -> float:
        return 100 + 20 * candidate.unified - 10 * (candidate.threads == 1) - candidate.batch / 1e3

    best, tried = flags.search(2, measure, quick=False)
    assert (best.threads, best.unified, best.batch) == (2, True, 256)
    assert max(rate for _, rate in tried) == measure(best)


def test_flags_that_do_not_work_are_not_taken() -> None:
    best, _ = flags.search(1, lambda candidate: float(not candidate.unified), quick=False)
    assert not best.unified


def test_the_limits_lines_are_found_among_others() -> None:
    lines = ["", "main: n_kv_max = 512", '{"pl": 2, "speed_tg": 3.5}', "{broken"]
    assert [row["speed_tg"] for row in limit.parse(lines)] == [3.5]


def streams(tokens: int, gap: float) -> dict[str, Any]:
    """The figures of a group of clients."""
    keys = ("ttft_p50", "ttft_p95", "gap_p50", "gap_p95", "token_gap")
    return {"requests": 8, "tokens": tokens, "frames": tokens} | dict.fromkeys(keys, gap)


def add_cell(records: Records, contestant: str, number: int, rate: float, load: str) -> None:
    engine = {"decode_steps": 100, "decode_seconds": 0.9, "step_seconds": 1.0}
    records.add(
        "cell",
        model="tiny",
        load=load,
        clients=8,
        contestant=contestant,
        round=number,
        rate=rate,
        seconds=2.0,
        memory=2**20 * 50,
        groups=[streams(1000, 8 / rate), streams(6, 0.5)],
        **({"engine": engine} if contestant == "babelbrook" else {}),
    )


def recorded(path: Path) -> Records:
    """Two rounds of three loads, as a run leaves them."""
    records = Records(path)
    records.add("run", time="today", machine="a machine", commit="abc", llama_cpp_python="1.2")
    records.add("flags", model="tiny", flags={"threads": 2}, text="-t 2")
    for number in (1, 2):
        for load in ("8 clients", STEADY.name, MIXED.name):
            add_cell(records, "babelbrook", number, 200.0 * number, load)
            add_cell(records, "llama-server", number, 100.0, load)
        records.add(
            "cell",
            model="tiny",
            load="8 clients",
            clients=8,
            contestant="limit",
            round=number,
            rate=400.0,
            whole=250.0,
        )
    return records


def test_the_table_shows_medians_and_ratios_by_round(tmp_path: Path) -> None:
    table = report.markdown(recorded(tmp_path / "run.jsonl"))
    row = next(line for line in table.splitlines() if line.startswith("| 8 clients |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:4] == ["300", "100", "3.00 (2.00-4.00)"]
    assert cells[4:6] == ["250", "2.50 (2.50-2.50)"]
    assert cells[7:] == ["400", "0.75 (0.50-1.00)"]
    assert "| 1.00 ms | 10.0 % | 45.0 % | 50.0 | 50.0 |" in table
    assert "`-t 2`" in table
    assert "| llama-server | 80.0 (80.0) | 80.0 (80.0) | 1.00 (1.00-1.00) |" in table


def test_a_limit_without_whole_requests_leaves_a_dash(tmp_path: Path) -> None:
    records = recorded(tmp_path / "run.jsonl")
    for cell in records.all:
        cell.pop("whole", None)
    row = next(line for line in report.markdown(records).splitlines() if "| 8 clients |" in line)
    assert [cell.strip() for cell in row.strip("|").split("|")][4:6] == ["-", "-"]


def test_table_and_plot_lie_beside_the_records(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    written = report.write(recorded(tmp_path / "run.jsonl"))
    assert [path.name for path in written] == ["run.md", "run.svg"]
    assert "</svg>" in written[1].read_text()


def test_records_survive_a_kill_in_the_middle_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    before = recorded(path)
    with path.open("a") as file:
        file.write('{"kind": "cell", "mod')
    after = Records(path)
    assert after.all == before.all
    after.add("done", model="tiny", load="8 clients")
    assert Records(path).last("done", model="tiny") is not None
    assert set(after.cells("tiny", "8 clients", "limit")) == {1, 2}
