"""A hub of Hugging Face and its store of bytes on the loopback interface, with their faults.

It speaks as the real one does: HEAD and GET of `/{repository}/resolve/{revision}/{file}` answer
with X-Repo-Commit, X-Linked-Size and X-Linked-Etag and redirect to another host with a signed
address, which knows ranges; errors carry X-Error-Code. `test_download.py` lets the library's own
download function take a file from it, which would notice a wrong accent.
"""

from __future__ import annotations

import hashlib
import re
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
# Beside the endpoint, where its files are: `models.hosts` of tests with it.
STORE_HOSTS = ("localhost",)
_RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


class Fault(Exception):
    """An answer other than the right one."""

    def __init__(self, status: int, error: str = "", **headers: str) -> None:
        super().__init__(status)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if error:
            self.headers["X-Error-Code"] = error


class Hub:
    """The files by "repository/file", what goes wrong and what was asked for.

    Each list of faults is used up from its front, None for none: `looks` for the HEADs, `gets` for
    the GETs at the hub; `cuts` are bytes of the body after which the store closes the connection,
    `stalls` those after which it sends nothing more until `go_on` is set.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.told: dict[str, Any] = {}  # size or sha256 other than the file's
        self.looks: list[Fault | None] = []
        self.gets: list[Fault | None] = []
        self.cuts: list[int | None] = []
        self.stalls: list[int | None] = []
        self.ranges = True  # whether the store knows them
        self.token: str | None = None  # that is wanted
        self.go_on = threading.Event()
        self.requests: list[tuple[str, str, dict[str, str]]] = []  # place and method, path, headers
        self._servers = [_serve(self, _HubHandler), _serve(self, _StoreHandler)]
        self.url = f"http://127.0.0.1:{self._servers[0].server_port}"
        self.store_url = f"http://localhost:{self._servers[1].server_port}"

    def close(self) -> None:
        """End both servers."""
        self.go_on.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def add(self, repository: str, file: str, content: bytes) -> str:
        """Offer a file; returns its sha256."""
        self.files[f"{repository}/{file}"] = content
        return hashlib.sha256(content).hexdigest()

    def asked(self, place: str) -> list[dict[str, str]]:
        """The headers of all requests such as "hub HEAD" or "store GET"."""
        return [headers for kind, _, headers in self.requests if kind == place]


def _serve(hub: Hub, handler: type[_Handler]) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (handler,), {"hub": hub}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    place = ""

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client has left
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _note(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.hub.requests.append((f"{self.place} {self.command}", self.path, headers))

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class _HubHandler(_Handler):
    place = "hub"

    def do_HEAD(self) -> None:
        self._resolve(self.hub.looks)

    def do_GET(self) -> None:
        self._resolve(self.hub.gets)

    def _resolve(self, faults: list[Fault | None]) -> None:
        self._note()
        try:
            if faults and (fault := faults.pop(0)):
                raise fault
            headers = self._found()
        except Fault as fault:
            self._answer(fault.status, fault.headers)
            return
        self._answer(302, headers)

    def _found(self) -> dict[str, str]:
        hub = self.hub
        asked = _RESOLVE.fullmatch(urlsplit(self.path).path)
        if asked is None:
            raise Fault(404)
        repository, revision, file = asked.groups()
        known = [name for name in hub.files if name.startswith(f"{repository}/")]
        private = hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}"
        if not known or private:
            raise Fault(401, "RepoNotFound")
        if revision not in ("main", COMMIT):
            raise Fault(404, "RevisionNotFound")
        content = hub.files.get(f"{repository}/{file}")
        if content is None:
            raise Fault(404, "EntryNotFound")
        sha256 = hub.told.get("sha256", hashlib.sha256(content).hexdigest())
        return {
            "X-Repo-Commit": COMMIT,
            "X-Linked-Size": str(hub.told.get("size", len(content))),
            "X-Linked-Etag": f'"{sha256}"',
            "ETag": '"9f3a1cf2"',
            "Accept-Ranges": "bytes",
            "Location": f"{hub.store_url}/{repository}/{file}?Signature=abc",
        }


class _StoreHandler(_Handler):
    place = "store"

    def do_GET(self) -> None:
        self._note()
        content = self.hub.files[urlsplit(self.path).path.removeprefix("/")]
        start = 0
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted and self.hub.ranges:
            start = int(wanted[1])
            if start >= len(content):
                self._answer(416, {"Content-Range": f"bytes */{len(content)}"})
                return
        headers = {"Content-Length": str(len(content) - start)}
        if wanted and self.hub.ranges:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._answer(206 if "Content-Range" in headers else 200, headers)
        self._send(content[start:])

    def _send(self, body: bytes) -> None:
        cut = self._next(self.hub.cuts)
        stall = self._next(self.hub.stalls)
        try:
            if stall is not None:
                self.wfile.write(body[:stall])
                self.hub.go_on.wait()
                body = body[stall:]
            self.wfile.write(body[:cut])
        except OSError:  # the client has left
            self.close_connection = True
        if cut is not None:
            self.close_connection = True

    @staticmethod
    def _next(faults: list[int | None]) -> int | None:
        return faults.pop(0) if faults else None
