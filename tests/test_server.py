"""The process: start, signals, drain, exit statuses."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import MODEL, ROOT, ServerProcess
from tests.faults.conftest import Peer, ask, wait_until

LONG = {"text": "He is old. She sings. " * 8, "ignore_eos": True, "max_tokens": 100}


@pytest.fixture
def start() -> Iterator[type[ServerProcess]]:
    """Starts servers and ends them."""
    started = []

    class Started(ServerProcess):
        def __init__(self, *flags: str) -> None:
            super().__init__("--engine.threads", "1", "--engine.sequences", "4", *flags)
            started.append(self)

    yield Started
    for server in started:
        server.close()


def run_server(*flags: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A start that is expected to fail."""
    return subprocess.run(
        [sys.executable, "server.py", "--port", "0", *flags],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(Path.home()), **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )


class LongStream(threading.Thread):
    """A stream that takes seconds; `frames` grows while it runs."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self.frames: list[str] = []
        self.first = threading.Event()
        self.start()
        assert self.first.wait(30)

    def run(self) -> None:
        try:
            with httpx.stream("POST", f"{self._url}/translate/stream", json=LONG, timeout=60) as it:
                for line in it.iter_lines():
                    self.frames += [line] if line else []
                    self.first.set()
        except httpx.TransportError:
            self.frames.append("cut")


def test_the_start_line_says_what_runs_and_where(start: type[ServerProcess]) -> None:
    server = start()
    assert re.fullmatch(
        r"Babelbrook \d+\.\d+\.\d+: model tatoeba-mini \(11\.5 M parameters\), context 512,"
        r" sequences 4, threads 1, http://127\.0\.0\.1:\d+",
        server.start_line,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_streams_finish(
    start: type[ServerProcess], number: signal.Signals
) -> None:
    server = start("--drain.deadline", "60")  # a busy machine may need long for the stream
    with Peer(server.port) as ready, Peer(server.port) as late, Peer(server.port) as idle:
        for peer in (ready, late, idle):
            peer.request("/health")
            assert peer.answer().status == 200
        stream = LongStream(server.url)
        server.process.send_signal(number)
        wait_until(lambda: "may finish" in server.log())
        ready.request("/ready")
        late.request("/translate", {"text": "Hello."})
        for peer in (ready, late):
            refused = peer.answer()
            assert refused.status == 503
            assert refused.json["code"] == "shutting_down"
            assert refused.header("retry-after")
            assert refused.header("connection") == "close"
            assert peer.read_to_end() == b""
        with pytest.raises(ConnectionRefusedError):
            Peer(server.port)
        stream.join()
        assert stream.frames[-1] == "data: [DONE]"
        assert server.process.wait(60) == 0  # whoever says nothing holds nobody up


def test_connections_are_accepted_during_the_delay_and_refused_in_words(
    start: type[ServerProcess],
) -> None:
    server = start("--drain.delay", "1")
    begun = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "may finish" in server.log())
    for path, body in (("/ready", None), ("/translate/stream", {"text": "Hello."})):
        answer = ask(server.port, path, body)
        assert (answer.status, answer.json["code"]) == (503, "shutting_down")
    assert ask(server.port, "/health").status == 200
    assert server.process.wait(30) == 0
    assert time.monotonic() - begun >= 1


def test_what_outlasts_the_deadline_ends_with_an_error_event(start: type[ServerProcess]) -> None:
    server = start("--drain.deadline", "0.1")
    stream = LongStream(server.url)
    assert server.stop() == 0
    stream.join()
    assert '"code":"shutting_down"' in stream.frames[-1]


def test_a_second_signal_ends_the_process_at_once(start: type[ServerProcess]) -> None:
    server = start()
    stream = LongStream(server.url)
    server.process.send_signal(signal.SIGINT)
    while "may finish" not in server.log():
        time.sleep(0.01)
    assert server.stop(signal.SIGINT) == 128 + signal.SIGINT
    stream.join()
    assert stream.frames[-1] != "data: [DONE]"


def test_the_access_log_tells_tokens_and_times(start: type[ServerProcess]) -> None:
    server = start()
    body = {"text": "Where is the station?"}
    for path in ("/translate", "/translate/stream"):
        httpx.post(server.url + path, json=body, headers={"X-Request-Id": "r-1"})
    server.stop()
    lines = [line for line in server.log().splitlines() if "request_id=r-1" in line]
    assert "method=POST path=/translate status=200" in lines[0]
    assert "method=POST path=/translate/stream status=200" in lines[1]
    for line in lines:
        assert re.search(
            r" ttft_ms=[\d.]+ prompt_tokens=\d+ tokens=[1-9]\d* total_ms=[\d.]+$", line
        )
    assert "station" not in server.log()


@pytest.mark.parametrize(
    ("flags", "environ", "sentence"),
    [
        (["--prot", "1"], {}, "--port"),
        (["--engine.sequence", "1"], {}, "--engine.sequences"),
        ([], {"BABELBROOK_SERVER__PROT": "1"}, "BABELBROOK_SERVER__PORT"),
        (["--engine.sequences", "many"], {}, "engine.sequences"),
    ],
)
def test_a_mistyped_setting_ends_the_start_with_status_2(
    flags: list[str], environ: dict[str, str], sentence: str
) -> None:
    done = run_server(*flags, **environ)
    assert done.returncode == 2
    assert done.stderr.startswith("server.py: error: ")
    assert sentence in done.stderr


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--model", "nope"], "There is no model 'nope'"),
        (["--model", "nope.gguf"], "cannot be read"),
        (["--model", "gemma-2-9b-it"], "python server.py models download gemma-2-9b-it"),
        (["--model", "README.md"], "There is no model"),
        (["--engine.sequences", "256", "--engine.context", "1000000"], "are free for it"),
        (["--host", "256.1.1.1"], "Cannot listen on 256.1.1.1"),
        (["--host", "a..b"], "Cannot listen on a..b"),
        (["--translation.target_lang", "klingon"], "translation.target_lang: "),
        (["--translation.source_lang", "it"], "translation.source_lang: "),
        (
            ["--models.entries", '[{"name": "a", "file": "a.gguf", "prompt": {"template": "x"}}]'],
            "models.entries is wrong",
        ),
    ],
)
def test_what_cannot_start_ends_with_status_1_and_a_sentence(
    flags: list[str], sentence: str
) -> None:
    done = run_server(*flags)
    assert done.returncode == 1, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_that_makes_llama_cpp_abort_is_a_sentence(tmp_path: Path) -> None:
    """The first load of a new file happens in a child process."""
    data = bytearray(MODEL.read_bytes())
    key = b"llama.block_count"
    value = data.index(key) + len(key) + 4  # behind the name comes the type, then the number
    assert data[value : value + 4] == b"\x06\0\0\0"
    data[value : value + 4] = b"\0\0\0\0"
    (tmp_path / "broken.gguf").write_bytes(data)
    done = run_server("--model", str(tmp_path / "broken.gguf"))
    assert done.returncode == 1
    assert "SIGABRT: llama.cpp gave up on" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_start_line_that_cannot_be_written_is_no_reason_to_stop() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with open("/dev/full", "w") as full:
        flags = ["--port", str(port), "--engine.threads", "1"]
        process = subprocess.Popen(
            [sys.executable, "server.py", *flags], cwd=ROOT, stdout=full, stderr=subprocess.PIPE
        )
        with process, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                try:
                    if client.get("/ready").status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.05)
            assert client.post("/translate", json={"text": "Hello."}).status_code == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
            assert process.stderr is not None
            log = process.stderr.read().decode()
    assert "start-up line could not be written" in log
    assert "Traceback" not in log


def test_an_answer_that_is_still_being_sent_is_sent_to_its_end(start: type[ServerProcess]) -> None:
    server = start()
    text = "1 " * 1_000_000  # given back as it is: more than the kernel's buffers hold
    with httpx.stream("POST", f"{server.url}/translate", json={"text": text}, timeout=60) as answer:
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        body = answer.read()
    assert len(body) == int(answer.headers["content-length"])
    assert server.process.wait(30) == 0


def test_a_port_in_use_is_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run_server("--server.port", str(port))
    assert done.returncode == 2 or "Cannot listen" in done.stderr


def test_help_names_every_section() -> None:
    done = run_server("--help")
    assert done.returncode == 0
    for section in (
        "server",
        "limits",
        "engine",
        "models",
        "translation",
        "streams",
        "drain",
        "log",
    ):
        assert f"--{section}." in done.stdout


def test_the_echo_engine_needs_no_model(start: type[ServerProcess]) -> None:
    server = start("--engine", "echo", "--model", "none")
    answer = httpx.post(f"{server.url}/translate", json={"text": " Hello  there.\n"})
    assert answer.json()["translation"] == " Hello  there.\n"
