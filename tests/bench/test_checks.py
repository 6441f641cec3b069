"""`python -m bench.checks` counts false alarms and planted faults."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

ROWS = """de\tI paid 350 euros for the old car.\tIch habe 350 Euro für das alte Auto bezahlt.
de\tWe met in 1999.\tWir trafen uns 1998.
ja\tWhere is the station?\t駅はどこですか。
"""


def test_a_wrong_reference_is_an_alarm_and_planted_faults_are_seen(tmp_path: Path) -> None:
    file = tmp_path / "rows.tsv"
    file.write_text(ROWS, "utf-8")
    command = [sys.executable, "-m", "bench.checks", str(file), "--show", "numbers"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, encoding="utf-8")
    assert "6 translations" in done.stdout
    assert "| `numbers` | 2 (33.33%) | another number | 100.0% |" in done.stdout
    assert done.stderr.splitlines()[0].startswith("We met in 1999. | Wir trafen uns 1998.")
