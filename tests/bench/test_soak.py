"""The soak: what it claims, and that its claims hold of the real server."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from bench.soak import Reading, Verdict
from tests.conftest import ROOT

IDLE = Reading(threads=4, descriptors=9, resident=100, gauges={"sequences_used": 0.0})
GOOD = Verdict(
    before=IDLE, first_tenth=100, after=IDLE, same_bytes=True, traceback=False, failures=[]
)


def failing(verdict: Verdict) -> list[str]:
    return [claim for claim, holds in verdict.claims() if not holds]


def test_every_claim_holds_of_a_server_that_is_as_before() -> None:
    assert failing(GOOD) == []
    assert failing(replace(GOOD, after=replace(IDLE, resident=105))) == []


@pytest.mark.parametrize(
    ("verdict", "claim"),
    [
        (replace(GOOD, after=replace(IDLE, resident=106)), "resident"),
        (replace(GOOD, after=replace(IDLE, threads=5)), "threads 5, 4 before"),
        (replace(GOOD, after=replace(IDLE, descriptors=10)), "descriptors 10, 9 before"),
        (replace(GOOD, after=replace(IDLE, gauges={"kv_used_ratio": 0.1})), "kv_used_ratio 0.1"),
        (replace(GOOD, same_bytes=False), "same bytes"),
        (replace(GOOD, traceback=True), "traceback"),
        (replace(GOOD, failures=["reads_to_the_end: hung"]), "visits that failed: 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_claim_that_does_not_hold_is_said_so(verdict: Verdict, claim: str) -> None:
    (failed,) = failing(verdict)
    assert claim in failed


def test_streams_that_end_as_they_like_leave_nothing_behind() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.soak", "--seconds", "60"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILS" not in done.stdout
    assert "left" in done.stdout, "no estimate"
