"""The units for systemd and the Containerfile, as far as they can be tried without running them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.declared import SETTINGS
from tests.conftest import ROOT
from tests.deploy.conftest import DEPLOY

MOST_EXPOSED = 20  # tenths; systemd calls up to 40 OK


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """The units with a Python that is there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    service = (DEPLOY / "babelbrook.service").read_text()
    python = "/opt/babelbrook/.venv/bin/python"
    assert python in service
    (tmp_path / "babelbrook.service").write_text(service.replace(python, sys.executable))
    shutil.copy(DEPLOY / "babelbrook.socket", tmp_path)
    return [str(tmp_path / f"babelbrook.{kind}") for kind in ("service", "socket")]


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_systemd_finds_nothing_wrong_with_the_units(units: list[str]) -> None:
    done = analyze("verify", *units)
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_finds_the_service_well_locked_in(units: list[str]) -> None:
    done = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", units[0])
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["babelbrook.service", "Containerfile"])
def test_variables_are_those_of_settings(name: str) -> None:
    named = set(re.findall(r"BABELBROOK_\w+", (DEPLOY / name).read_text()))
    assert named
    assert named <= {setting.variable for setting in SETTINGS.values()}


def test_what_the_container_copies_is_there_and_sent_to_the_builder() -> None:
    copies = re.findall(r"^COPY (?!--)(.*)$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    sources = [word for line in copies for word in line.split()[:-1]]
    sent = (ROOT / ".containerignore").read_text().splitlines()
    assert len(sources) > 5
    for source in sources:
        assert (ROOT / source).exists()
        assert f"!{source}" in sent


def test_the_container_has_all_that_the_server_imports() -> None:
    program = "import sys, server, handlers; print(*{m.partition('.')[0] for m in sys.modules})"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    ours = {name for name in done.stdout.split() if (ROOT / name / "__init__.py").exists()}
    assert {"engine", "handlers"} <= ours
    text = (DEPLOY / "Containerfile").read_text()
    assert [name for name in ours if f"COPY {name} {name}\n" not in text] == []
