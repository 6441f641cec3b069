"""The measurement of many dashboards."""

from __future__ import annotations

from pathlib import Path

from bench import connections
from bench.connections import FIGURES, OURS, PEER, PEER_WITHOUT
from bench.records import Records


def test_dashboards_are_connected_and_heard() -> None:
    with connections.babelbrook(50) as server:
        figures = connections.measure(server, 50, 2.0)
    assert set(figures) == set(FIGURES)
    assert figures["delivered"] > 0
    assert figures["connect_rate"] > 0
    assert 0 < figures["age_p50"] <= figures["age_p95"]


def test_the_table_compares_round_by_round(tmp_path: Path) -> None:
    records = Records(tmp_path / "run.jsonl")
    records.add("run", dashboards=10_000, seconds=10)
    for number, cpu in ((1, 0.1), (2, 0.2)):
        for who, times in ((OURS, 1), (PEER, 4), (PEER_WITHOUT, 2)):
            figures = dict.fromkeys(FIGURES, 1.0) | {"cpu": cpu * times}
            records.add("cell", contestant=who, round=number, **figures)
    lines = connections.markdown(records).splitlines()
    assert "10,000 dashboards at 1 Hz for 10 s a turn." in lines[2]
    [cpu_line] = [line for line in lines if line.startswith("| CPU")]
    assert cpu_line == (
        "| CPU seconds a second | 0.150 | 0.600 | 0.25 (0.25-0.25) | 0.300 | 0.50 (0.50-0.50) |"
    )
