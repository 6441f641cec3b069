"""`deploy/ray/serve.yaml`, run in a cluster, with servers in front that find the replicas."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, ServerProcess
from tests.engine.ray.conftest import LOOPBACK, ray_server, refused
from tests.faults.conftest import SENTENCE, ask

pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-ray.txt")

HUGE = ("--engine.sequences", "256", "--engine.context", "1000000")
SERVE = [sys.executable, "-m", "ray.serve.scripts"]


def test_a_replica_that_cannot_load_its_model_says_why(head: str) -> None:
    said = refused("--ray.address", head, "--ray.replica_cpus", "0.5", *HUGE)
    assert said.startswith("A replica cannot start: 256 sequences of ")


def test_the_config_brings_replicas_that_outlive_their_servers(
    head: str, server: ServerProcess, tmp_path: Path
) -> None:
    text = (ROOT / "deploy" / "ray" / "serve.yaml").read_text()
    assert text.count("/opt/babelbrook\n") == 1
    config = tmp_path / "serve.yaml"
    config.write_text(text.replace("/opt/babelbrook\n", f"{ROOT}\n"))
    command = [*SERVE, "run", "--non-blocking", "--address", head, str(config)]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | LOOPBACK,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for _ in range(2):
        front = ray_server("--ray.address", head)
        here, local = (ask(each.port, "/translate", SENTENCE) for each in (front, server))
        assert here.body == local.body
        assert front.stop() == 0, front.log()
        front.close()
