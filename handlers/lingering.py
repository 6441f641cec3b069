"""Closing without losing what was said last.

A socket that is closed while bytes of its peer are unread sends a reset, and the peer's kernel may
then throw away an answer that has arrived but was not read yet. So the sending side is closed
first, and what the peer still sends is read and dropped for a moment (RFC 9112, section 9.6).
"""

from __future__ import annotations

import asyncio
import socket

SECONDS = 2.0  # that a peer has to read the answer and close its side
MOST = 256  # sockets at a time; beyond it they are closed at once


class Lingering:
    """The sockets on their way out."""

    def __init__(self) -> None:
        self._timers: dict[socket.socket, asyncio.TimerHandle] = {}

    def add(self, leaving: socket.socket) -> None:
        """Close a socket that does not block, now or a little later."""
        try:
            if len(self._timers) >= MOST:
                raise OSError
            leaving.shutdown(socket.SHUT_WR)
        except OSError:
            leaving.close()
            return
        loop = asyncio.get_running_loop()
        self._timers[leaving] = loop.call_later(SECONDS, self._end, leaving)
        loop.add_reader(leaving, self._read, leaving)

    def close(self) -> None:
        """Close all of them now."""
        for leaving in list(self._timers):
            self._end(leaving)

    def _read(self, leaving: socket.socket) -> None:
        try:
            data = leaving.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end(leaving)

    def _end(self, leaving: socket.socket) -> None:
        self._timers.pop(leaving).cancel()
        asyncio.get_running_loop().remove_reader(leaving)
        leaving.close()
