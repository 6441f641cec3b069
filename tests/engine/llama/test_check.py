"""`--check` and the check that a new build gets by itself."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from engine.llama import check, wheel
from engine.models.catalogue import EMBEDDED
from engine.settings import Engine as EngineSettings
from tests.conftest import MODEL, ROOT, ServerProcess

ENTRY = EMBEDDED.model_copy(update={"file": MODEL})


def server_check(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "server.py", "--check", *flags], capture_output=True, text=True, cwd=ROOT
    )


def crashing(signal_name: str) -> list[str]:
    """A child that dies as a crashed library does."""
    return [sys.executable, "-c", f"import os, signal; os.kill(os.getpid(), signal.{signal_name})"]


def test_a_sound_build_passes_and_tells_what_it_found() -> None:
    done = server_check("--engine.threads", "1")
    assert (done.returncode, done.stderr) == (0, "")
    for label in ("llama-cpp-python  0.3", "CPU features", "threads           1", "tokens/s"):
        assert label in done.stdout


def test_a_model_that_is_missing_is_a_sentence_and_status_1() -> None:
    done = server_check("--model", "nowhere.gguf")
    assert done.returncode == 1
    assert "nowhere.gguf cannot be read: No such file" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "amx", "cause"),
    [
        ("SIGSEGV", True, "GCC PR 114098"),
        ("SIGSEGV", False, "does not fit this machine"),
        ("SIGILL", True, "compiled on another machine"),
    ],
)
def test_a_crash_is_explained_in_one_paragraph_with_its_cure(
    name: str, amx: bool, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheel, "cpu_features", lambda: ["amx_tile"] if amx else ["avx2"])
    result = asyncio.run(check.run(ENTRY, EngineSettings(), crashing(name)))
    assert not result.ok
    [paragraph] = result.lines
    assert name in paragraph
    assert cause in paragraph
    assert "python -m engine.llama.wheel" in paragraph


def test_a_child_that_says_nothing_is_no_success() -> None:
    result = asyncio.run(
        check.run(ENTRY, EngineSettings(), [sys.executable, "-c", "raise SystemExit(3)"])
    )
    assert not result.ok
    assert "status 3" in result.lines[0]


def test_a_new_build_is_checked_once(tmp_path: Path) -> None:
    environ = {"XDG_CACHE_HOME": str(tmp_path)}
    logs = []
    for _ in range(2):
        server = ServerProcess("--engine.threads", "1", environ=environ)
        server.stop()
        logs.append(server.log())
        server.close()
    assert "Checking this build" in logs[0]
    assert "Checking this build" not in logs[1]


def test_without_a_home_nothing_counts_as_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    check.remember(MODEL)
    assert not check.was_checked(MODEL)


def test_another_build_has_another_mark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    check.remember(MODEL)
    assert check.was_checked(MODEL)
    assert not check.was_checked(ROOT / "README.md")
    monkeypatch.setattr(wheel, "cpu_features", lambda: ["another CPU"])
    assert not check.was_checked(MODEL)
