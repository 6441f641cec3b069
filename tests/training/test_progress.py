"""Progress lines and the log."""

from __future__ import annotations

from pathlib import Path

from training import progress


def test_a_line_tells_how_far_how_fast_and_how_long_still() -> None:
    record: progress.Record = {
        "seconds": 900.0,
        "step": 120,
        "loss": 2.5,
        "rate": 5e-4,
        "tokens_per_second": 3000.0,
    }
    text = progress.line(record, 3600.0)
    assert "25.0%" in text
    assert "3,000 tok/s" in text
    assert "0:45:00 left" in text


def test_a_log_that_was_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    progress.append(log, {"step": 1})
    progress.append(log, {"step": 2})
    log.write_text(log.read_text(encoding="utf-8") + '{"step": 3, "lo', encoding="utf-8")
    assert progress.read(log) == [{"step": 1}, {"step": 2}]
