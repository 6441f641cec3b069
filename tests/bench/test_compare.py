"""A whole comparison: the real Babelbrook beside programs that answer like the peers."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from bench import compare
from bench.loads import HALF, plain
from bench.records import Records

PEER = """\
import json, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        assert asked["prompt"].startswith("<2ja>") and asked["prompt"].endswith("<sep>")
        for number in range(asked["n_predict"]):
            time.sleep(0.002)
            self.frame({"content": "a", "stop": False})
        self.frame({"stop": True, "tokens_predicted": number + 1, "tokens_evaluated": 9})

    def frame(self, value):
        self.wfile.write(f"data: {json.dumps(value, separators=(',', ':'))}\\n\\n".encode())

    def log_message(self, *_):
        pass

port = int(sys.argv[sys.argv.index("--port") + 1])
ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""

LIMIT = """\
import sys
sequences = sys.argv[sys.argv.index("-npl") + 1].split(",")
for count in sequences:
    print('{"pl": %s, "speed_tg": 1000.5, "t": 0.5}' % count)
"""


@pytest.fixture
def peers(tmp_path: Path) -> Path:
    """A folder with programs in the peers' places."""
    folder = tmp_path / "peers"
    folder.mkdir()
    for name, source in (("llama-server", PEER), ("llama-batched-bench", LIMIT)):
        program = folder / name
        program.write_text(f"#!{sys.executable}\n{source}")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the run writes its files; its loads are few."""
    monkeypatch.setattr(compare, "RESULTS", tmp_path / "results")
    monkeypatch.setitem(compare.QUICK, "embedded", (plain(2), HALF))
    return tmp_path / "results"


def run(monkeypatch: pytest.MonkeyPatch, peers: Path, *more: str) -> int:
    command = ["--quick", "--models", "embedded", "--rounds", "2", "--seconds", "0.05"]
    command += ["--settings", "--engine.threads 1", "--peers", str(peers), "--name", "test"]
    monkeypatch.setattr(sys, "argv", ["compare", *command, *more])
    return compare.main()


def test_a_run_measures_everybody_and_can_be_resumed(
    monkeypatch: pytest.MonkeyPatch,
    peers: Path,
    results: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, peers) == 0
    records = Records(results / "test.jsonl")
    for load in (plain(2), HALF):
        for contestant in ("babelbrook", "llama-server"):
            assert set(records.cells("embedded", load.name, contestant)) == {1, 2}
    assert set(records.cells("embedded", "2 clients", "limit")) == {1, 2}
    cell = records.cells("embedded", "2 clients", "babelbrook")[1]
    assert cell["engine"]["decode_steps"] > 0
    assert cell["memory"] > 2**20
    assert "| 2 clients |" in (results / "test.md").read_text()

    with pytest.raises(SystemExit, match="--resume"):
        run(monkeypatch, peers)

    # As if it had been stopped in the last load's second round.
    lines = (results / "test.jsonl").read_text().splitlines(keepends=True)
    (results / "test.jsonl").write_text("".join(lines[:-2]))
    capsys.readouterr()
    assert run(monkeypatch, peers, "--resume") == 0
    assert capsys.readouterr().out.count("    round ") == 1
    assert len(Records(results / "test.jsonl").all) == len(lines)


def test_a_peer_that_does_not_start_is_told_with_its_words(
    monkeypatch: pytest.MonkeyPatch,
    peers: Path,
    results: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (peers / "llama-server").write_text("#!/bin/sh\necho no such flag\nexit 1\n")
    assert run(monkeypatch, peers) == 1
    shown = capsys.readouterr()
    assert "no such flag" in shown.out
    assert "llama-server does not run on tatoeba-mini-q8_0.gguf" in shown.err
