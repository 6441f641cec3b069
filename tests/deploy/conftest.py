"""The proxies of deploy/, as Debian has them, in front of two servers."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT, ServerProcess
from tests.faults.conftest import gauge, wait_until

DEPLOY = ROOT / "deploy"
FLAGS = (
    *("--engine.threads", "1", "--engine.sequences", "4", "--events.interval", "0.1"),
    *("--server.trusted_proxies", '["127.0.0.1"]', "--drain.delay", "2"),
    *("--server.allowed_hosts", '["translate.example.org"]'),
)


@dataclass
class Deployment:
    """A proxy and what is behind it."""

    url: str
    servers: list[ServerProcess]

    @property
    def busy(self) -> list[ServerProcess]:
        """Those of the servers that are at work."""
        return [each for each in self.servers if gauge(each, "requests_running")]

    def working(self) -> ServerProcess:
        """The one that has taken a stream."""
        wait_until(lambda: bool(self.busy))
        [server] = self.busy
        return server

    def idle(self) -> None:
        """Wait until nothing runs."""
        wait_until(lambda: not self.busy)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def replaced(text: str, changes: dict[str, str]) -> str:
    """A configuration with the ports of a test; nothing else is changed."""
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def nginx(folder: Path, port: int, servers: list[ServerProcess]) -> list[str]:
    """Write what Debian's nginx.conf would include deploy/nginx.conf in; returns the arguments."""
    changes = {"listen 80;": f"listen 127.0.0.1:{port};"}
    changes |= {
        f"127.0.0.1:808{number};": f"127.0.0.1:{server.port};"
        for number, server in enumerate(servers)
    }
    site = folder / "babelbrook.conf"
    site.write_text(replaced((DEPLOY / "nginx.conf").read_text(), changes))
    temporary = "".join(
        f"  {name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = folder / "nginx.conf"
    main.write_text(
        f"daemon off; user root; worker_processes 1; pid {folder}/pid; error_log stderr;\n"
        f"events {{}}\nhttp {{\n  access_log off;\n{temporary}  include {site};\n}}\n"
    )
    return ["-c", str(main)]


def haproxy(folder: Path, port: int, servers: list[ServerProcess]) -> list[str]:
    """Write deploy/haproxy.cfg with other ports; returns the arguments."""
    changes = {"bind :80 ": f"bind 127.0.0.1:{port} "}
    changes |= {
        f"{name} 127.0.0.1:808{number}": f"{name} 127.0.0.1:{servers[number].port}"
        for number, name in enumerate(("one", "two"))
    }
    site = folder / "haproxy.cfg"
    site.write_text(replaced((DEPLOY / "haproxy.cfg").read_text(), changes))
    return ["-db", "-f", str(site)]


PROXIES = {"nginx": nginx, "haproxy": haproxy}


@pytest.fixture(scope="module", params=list(PROXIES))
def deployed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """One proxy after the other."""
    # Debian puts them where only root looks.
    program = shutil.which(request.param, path="/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin")
    if program is None:
        pytest.skip(f"needs {request.param}")
    folder, port = tmp_path_factory.mktemp(request.param), free_port()
    servers = [ServerProcess(*FLAGS) for _ in range(2)]
    with (folder / "log").open("w") as log:
        command = [program, *PROXIES[request.param](folder, port, servers)]
        proxy = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until(lambda: _answers(port) or proxy.poll() is not None)
        assert proxy.poll() is None, (folder / "log").read_text()
        yield Deployment(f"http://127.0.0.1:{port}", servers)
    finally:
        proxy.terminate()
        proxy.wait(20)
        for server in servers:
            server.close()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        time.sleep(0.05)
        return False
    return True
