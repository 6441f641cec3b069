"""A client whose connection breaks as often as a test likes, and which resumes its stream."""

from __future__ import annotations

import re
from typing import Any

from tests.faults.conftest import Answer, Peer

RESUME = {"resume": True, "usage": True}
BODY = {
    "text": "Where is the station? He is old. I like tea.",
    "target_lang": "ja",
    "cache": False,
    "stream_options": RESUME,
}
LONG = {**BODY, "text": "Where is the station?", "ignore_eos": True, "max_tokens": 400}


class Client:
    """Reads one stream over as many connections as it takes, in HTTP/1.0: no chunks."""

    def __init__(self, port: int, body: dict[str, Any]) -> None:
        self.port = port
        self.frames: list[bytes] = []
        self._peer = Peer(port)
        self._peer.request(body=body, version="1.0")
        head, _, self._body = self._peer.read_until(b"\r\n\r\n").partition(b"\r\n\r\n")
        found = re.search(rb"\r\nStream-Id: ([A-Za-z0-9_-]{22})\r\n", head)
        assert found, head
        self.id = found[1].decode()

    @property
    def path(self) -> str:
        return f"/translate/stream/{self.id}"

    @property
    def last_id(self) -> str:
        return f"{self.id}:{len(self.frames)}"

    def read(self, size: int) -> bool:
        """Read about `size` bytes more; whether the connection goes on."""
        wanted = len(self._body) + size
        while len(self._body) < wanted and (data := self._peer.read(wanted - len(self._body))):
            self._body += data
        return len(self._body) >= wanted

    def read_frames(self, count: int) -> None:
        """Read until `count` whole frames have come on this connection."""
        while self._body.count(b"\n\n") < count:
            assert self.read(1)

    def cut(self) -> None:
        """Break the connection; of what came, whole frames count."""
        *whole, _ = self._body.split(b"\n\n")
        self.frames += [frame for frame in whole if not frame.startswith(b":")]
        self._peer.reset()

    def resume(self) -> int:
        """Come back; the status."""
        self._peer = Peer(self.port)
        headers = f"Last-Event-ID: {self.last_id}\r\n" if self.frames else ""
        self._peer.request(self.path, version="1.0", headers=headers)
        head, _, self._body = self._peer.read_until(b"\r\n\r\n").partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1])

    def finish(self) -> list[bytes]:
        """Read to the end: all frames, without the id of the stream."""
        while self.read(65536):
            pass
        self.cut()
        return [frame.replace(self.id.encode(), b"ID") for frame in self.frames]

    def ask(self, method: str = "GET", query: str = "", last_id: str | None = None) -> Answer:
        """Another request for this stream that has a whole answer."""
        with Peer(self.port) as peer:
            headers = f"Last-Event-ID: {last_id}\r\n" if last_id is not None else ""
            peer.request(
                self.path + query, method=method, headers=headers + "Connection: close\r\n"
            )
            head, _, body = peer.read_to_end().partition(b"\r\n\r\n")
        return Answer(head, body)
