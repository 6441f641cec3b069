"""A machine that stands still spoils what is measured meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from bench import compare, stalls
from bench.stalls import Watch
from tests.conftest import ROOT


def test_a_working_machine_is_no_stall() -> None:
    with Watch() as watch:
        time.sleep(0.5)
    assert not watch.stalled


def test_a_stopped_process_sees_that_it_was_stopped() -> None:
    program = (
        "from bench.stalls import Watch; import sys\n"
        "with Watch() as watch: print('watching', flush=True); sys.stdin.read()\n"
        "print(watch.stalled, watch.worst)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        os.kill(child.pid, signal.SIGSTOP)
        time.sleep(stalls.STALL + 0.5)
        os.kill(child.pid, signal.SIGCONT)
        time.sleep(0.5)
        child.stdin.close()
        assert child.stdout.read().startswith(b"True")


def test_a_spoiled_measurement_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter((stalls.STALL + 1, 0.0))

    class Told(Watch):
        def __exit__(self, *error: Any) -> None:
            super().__exit__(*error)
            self.worst = next(seen)

    monkeypatch.setattr(compare, "Watch", Told)
    results = iter(("spoiled", "good"))
    assert compare._undisturbed(lambda: next(results)) == "good"
