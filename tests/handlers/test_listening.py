"""Where a server listens: TLS, Unix sockets, sockets that systemd opened, proxies in front."""

from __future__ import annotations

import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT, ServerProcess
from tests.faults.conftest import wait_until
from tests.handlers.keyed import ECHO

BODY = {"text": "Hello there."}


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext"),
            *("subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


@pytest.fixture
def started() -> Iterator[list[ServerProcess]]:
    """Servers that are ended after the test."""
    servers: list[ServerProcess] = []
    yield servers
    for server in servers:
        server.close()


@pytest.mark.slow
class TestTls:
    """A certificate of the server's own."""

    @pytest.fixture
    def files(self, tmp_path: Path) -> tuple[Path, Path]:
        return make_certificate(tmp_path, "first")

    def test_streams_and_dashboards_go_over_tls(
        self, files: tuple[Path, Path], started: list[ServerProcess]
    ) -> None:
        certificate, key = files
        flags = ("--server.certificate", str(certificate), "--server.private_key", str(key))
        started.append(server := ServerProcess(*ECHO, *flags, "--events.interval", "0.1"))
        assert server.url.startswith("https://127.0.0.1:")
        trust = ssl.create_default_context(cafile=str(certificate))
        with httpx.Client(base_url=server.url, verify=trust) as http:
            text = "Hello there. " * 20_000
            answer = http.post("/translate", json={"text": text})
            assert answer.json()["translation"] == text
            stream = http.post("/translate/stream", json=BODY)
            assert stream.text.endswith("data: [DONE]\n\n")
            cookie = http.post("/login", json={"key": "none"})
            assert cookie.status_code == 401
            with http.stream("GET", "/events") as events:
                lines = (line for line in events.iter_lines() if line.startswith("id: "))
                assert [next(lines) for _ in range(3)]
        with pytest.raises(httpx.TransportError):
            httpx.get(server.url.replace("https", "http"))
        assert httpx.get(f"{server.url}/health", verify=trust).status_code == 200
        assert "Traceback" not in server.log()

    def test_a_new_certificate_is_taken_without_a_restart(
        self, files: tuple[Path, Path], started: list[ServerProcess], tmp_path: Path
    ) -> None:
        both = tmp_path / "both.pem"
        both.write_bytes(files[0].read_bytes() + files[1].read_bytes())
        started.append(server := ServerProcess(*ECHO, "--server.certificate", str(both)))

        def presented() -> str:
            return ssl.get_server_certificate(("127.0.0.1", server.port))

        first = presented()
        second = b"".join(file.read_bytes() for file in make_certificate(tmp_path, "second"))
        both.write_bytes(second)
        assert presented() == first
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: presented() != first)
        both.write_text("damaged")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "nothing is changed. server.certificate" in server.log())
        assert presented() in second.decode()

    def test_what_is_no_certificate_is_a_sentence(self, tmp_path: Path) -> None:
        for name in ("missing.pem", "../../README.md"):
            with pytest.raises(AssertionError, match="cannot be used") as failure:
                ServerProcess(*ECHO, "--server.certificate", str(tmp_path / name))
            assert "Traceback" not in str(failure.value)

    def test_who_never_shakes_hands_is_closed(
        self, files: tuple[Path, Path], started: list[ServerProcess]
    ) -> None:
        flags = ("--server.certificate", str(files[0]), "--server.private_key", str(files[1]))
        started.append(server := ServerProcess(*ECHO, *flags, "--limits.header_timeout", "0.3"))
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as silent:
            assert silent.recv(1) == b""


@pytest.mark.slow
def test_a_unix_socket_takes_the_place_of_a_port(
    tmp_path: Path, started: list[ServerProcess]
) -> None:
    path = tmp_path / "b.sock"
    for _ in range(2):  # a socket that was left over is no obstacle
        started.append(server := ServerProcess(*ECHO, "--server.unix_socket", str(path)))
        assert server.url == f"unix:{path}"
        assert path.stat().st_mode & 0o777 == 0o660
        with httpx.Client(
            transport=httpx.HTTPTransport(uds=str(path)), base_url="http://localhost"
        ) as http:
            assert http.post("/translate", json=BODY).json()["translation"] == BODY["text"]
            assert http.post("/translate/stream", json=BODY).text.endswith("data: [DONE]\n\n")
        server.process.kill()
        server.process.wait(10)
    (tmp_path / "file").touch()
    with pytest.raises(AssertionError, match="Cannot listen on "):
        ServerProcess(*ECHO, "--server.unix_socket", str(tmp_path / "file"))


def test_sockets_that_systemd_opened_are_listened_on() -> None:
    activate = shutil.which("systemd-socket-activate")
    if activate is None:
        pytest.skip("needs systemd-socket-activate")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [activate, "--listen", f"127.0.0.1:{port}", sys.executable, "server.py", *ECHO]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        try:
            deadline = time.monotonic() + 20
            while True:
                try:
                    # The server starts with the first connection, which waits for it.
                    assert httpx.get(f"http://127.0.0.1:{port}/health", timeout=20).is_success
                    break
                except httpx.ConnectError:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    assert output.decode().strip().endswith(f"http://127.0.0.1:{port}")
    assert process.returncode == 0


def test_systemd_is_told_when_the_server_is_ready_and_when_it_stops(
    tmp_path: Path, started: list[ServerProcess]
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(20)
        manager.bind(str(tmp_path / "notify"))
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        started.append(server := ServerProcess(*ECHO, environ=environ))
        assert manager.recv(100) == b"READY=1"
        assert server.stop() == 0
        assert manager.recv(100) == b"STOPPING=1"


class TestProxies:
    """`X-Forwarded-*` counts from the proxies that are trusted, and from nobody else."""

    def remote(self, server: ServerProcess, forwarded: str) -> str:
        """The address that the log tells of a request with that header."""
        number = secrets.token_hex(4)
        headers = {"X-Forwarded-For": forwarded, "X-Request-Id": number}
        assert httpx.get(f"{server.url}/models", headers=headers).status_code == 200
        wait_until(lambda: f"request_id={number}" in server.log())
        line = server.log().rpartition(f"request_id={number} remote=")[2]
        return line.partition(" ")[0]

    @pytest.mark.parametrize(
        ("trusted", "clients"),
        [
            ("[]", {"10.9.9.9": "127.0.0.1"}),
            ('["10.0.0.0/8"]', {"10.9.9.9": "127.0.0.1"}),
            (
                '["127.0.0.0/8", "10.0.0.0/8"]',
                {
                    "203.0.113.9": "203.0.113.9",
                    "1.2.3.4, 203.0.113.9": "203.0.113.9",
                    "1.2.3.4, 203.0.113.9, 10.1.1.1": "203.0.113.9",
                    "10.2.2.2, 10.1.1.1": "10.2.2.2",
                    "2001:db8::1": "2001:db8::1",
                    "nonsense": "127.0.0.1",
                    "1.2.3.4, nonsense": "127.0.0.1",
                    "": "127.0.0.1",
                },
            ),
        ],
    )
    def test_the_last_address_that_is_no_proxy_is_the_client(
        self, started: list[ServerProcess], trusted: str, clients: dict[str, str]
    ) -> None:
        started.append(server := ServerProcess(*ECHO, "--server.trusted_proxies", trusted))
        for forwarded, expected in clients.items():
            assert self.remote(server, forwarded) == expected

    def test_the_host_that_a_proxy_tells_is_looked_at(self, started: list[ServerProcess]) -> None:
        trusted = ("--server.trusted_proxies", '["127.0.0.1"]')
        names = ("--server.allowed_hosts", '["translate.example"]')
        started.append(server := ServerProcess(*ECHO, *trusted, *names))
        for host, status in (("translate.example", 200), ("evil.example", 403)):
            headers = {"X-Forwarded-Host": host}
            assert httpx.get(f"{server.url}/health", headers=headers).status_code == status

    def test_what_is_no_address_is_a_sentence(self) -> None:
        with pytest.raises(AssertionError, match=r"server\.trusted_proxies: 'nonsense'"):
            ServerProcess(*ECHO, "--server.trusted_proxies", '["nonsense"]')
