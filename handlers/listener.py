"""The listening sockets: their options, and how connections are taken from them."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
import sys
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any

from tornado.netutil import bind_sockets, bind_unix_socket

from engine.settings import Server

logger = logging.getLogger("babelbrook.http")

_BACKLOG = 1024  # connections that the kernel holds until they are accepted
_UNIX_MODE = 0o660  # for a proxy in the same group
_FIRST_INHERITED = 3  # SD_LISTEN_FDS_START
_AT_A_TIME = 128  # accepted before others on the event loop have a turn
_PAUSE = 1.0  # seconds without accepting, when there is no file descriptor for a connection
_WARN_EVERY = 60.0  # seconds
_OPEN_MAX = 10240  # what macOS allows a process whose hard limit is "unlimited"


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files to the hard one; returns the limit that holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize
    wanted = _OPEN_MAX if hard == resource.RLIM_INFINITY else hard
    if soft >= wanted:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:
        logger.warning("The limit of open files stays at %d: %s.", soft, error)
        return soft
    logger.info("Limit of open files: raised from %d to %d.", soft, wanted)
    return wanted


def bind(server: Server, *, dead_peer_timeout: float) -> list[socket.socket]:
    """Listen where systemd has opened sockets, else where the settings say.

    Raises OSError, and ValueError for a host that is no name or a file that is no socket.
    """
    sockets = _inherited()
    if not sockets and server.unix_socket != "none":
        sockets = [bind_unix_socket(server.unix_socket, _UNIX_MODE, _BACKLOG)]
    sockets = sockets or bind_sockets(server.port, server.host, backlog=_BACKLOG)
    for listening in sockets:
        if listening.family in (socket.AF_INET, socket.AF_INET6):
            notice_dead_peers(listening, dead_peer_timeout)
    return sockets


def _inherited() -> list[socket.socket]:
    """The sockets of socket activation, where it is meant for this process (sd_listen_fds(3))."""
    if os.environ.pop("LISTEN_PID", "") != str(os.getpid()):
        return []
    count = int(os.environ.pop("LISTEN_FDS", "0"))
    sockets = [socket.socket(fileno=_FIRST_INHERITED + number) for number in range(count)]
    for listening in sockets:
        listening.set_inheritable(False)
    return sockets


def address(listening: socket.socket, scheme: str) -> str:
    """Where a socket listens, as an address of the web."""
    if listening.family not in (socket.AF_INET, socket.AF_INET6):
        return f"unix:{listening.getsockname()}"
    host, port = listening.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def is_public(sockets: Sequence[socket.socket]) -> bool:
    """Whether other machines can reach one of them."""
    return any(
        each.family in (socket.AF_INET, socket.AF_INET6)
        and not ip_address(each.getsockname()[0].partition("%")[0]).is_loopback
        for each in sockets
    )


def notice_dead_peers(listening: socket.socket, seconds: float) -> None:
    """Let the kernel end connections whose peer has not answered for so long.

    Linux gives the options of the listening socket to every accepted one. Keep-alive probes find
    the dead peer of an idle connection; TCP_USER_TIMEOUT bounds how long data may stay without an
    acknowledgement, and a closed window too, so it must not be below the time that a slow reader
    has. Options that a system lacks are left out. See tcp(7).
    """
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", max(1, round(seconds / 2))),
        ("TCP_KEEPALIVE", max(1, round(seconds / 2))),  # the same on macOS
        ("TCP_KEEPINTVL", max(1, round(seconds / 6))),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", round(seconds * 1000)),
    ):
        if hasattr(socket, name):
            listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class Listener:
    """Accepts connections and hands them to `take`, which gets the socket and the address.

    Tornado's own accept handler logs a traceback at every turn of the event loop while there are
    no file descriptors left; this one pauses, and warns once a minute at most.
    """

    def __init__(
        self, sockets: Sequence[socket.socket], take: Callable[[socket.socket, Any], None]
    ) -> None:
        """Start to accept. Needs a running event loop."""
        self._loop = asyncio.get_running_loop()
        self._take = take
        self._sockets = list(sockets)
        self._paused: dict[socket.socket, asyncio.TimerHandle] = {}
        self._warned: float | None = None  # loop time
        for listening in self._sockets:
            listening.setblocking(False)
            self._loop.add_reader(listening, self._accept, listening)

    def stop(self) -> None:
        """Take what the kernel has accepted already, then close the sockets."""
        for listening in self._sockets:
            if listening not in self._paused:
                self._accept(listening)
            if listening in self._paused:
                self._paused.pop(listening).cancel()
            self._loop.remove_reader(listening)
            listening.close()
        self._sockets.clear()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_A_TIME):
            try:
                connection, address = listening.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:  # it has left again
                continue
            except OSError as error:  # no file descriptor, no memory
                self._pause(listening, error)
                return
            self._take(connection, address)

    def _pause(self, listening: socket.socket, error: OSError) -> None:
        now = self._loop.time()
        if self._warned is None or now - self._warned >= _WARN_EVERY:
            self._warned = now
            logger.warning(
                "No connection can be accepted (%s); the next try is in %g s.",
                error.strerror,
                _PAUSE,
            )
        self._loop.remove_reader(listening)
        self._paused[listening] = self._loop.call_later(_PAUSE, self._resume, listening)

    def _resume(self, listening: socket.socket) -> None:
        del self._paused[listening]
        self._loop.add_reader(listening, self._accept, listening)
