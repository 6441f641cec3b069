"""Babelbrook: the command line, the wiring, signals and the drain.

python server.py --config config.yaml
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

import engine
from engine.config import ConfigError, models_folder, read_command_line
from engine.errors import ModelError
from engine.interface import Engine
from engine.models import catalogue
from engine.settings import Settings

logger = logging.getLogger("babelbrook")

_STOP_GRACE = 5.0  # seconds for the decode thread to come back and streams to get their last event
EXIT_USAGE, EXIT_STUCK = 2, 70


def main(argv: Sequence[str]) -> int:
    """Run the server; returns the exit status."""
    try:
        command = read_command_line(argv, os.environ, version=engine.__version__)
    except ConfigError as error:
        return _complain(str(error), EXIT_USAGE)
    settings = command.settings
    _set_up_logging(settings)
    try:
        if command.check:
            return _check(settings)
        return asyncio.run(_serve(settings))
    except ModelError as error:
        return _complain(error.sentence, 1)
    except KeyboardInterrupt:  # a SIGINT before the server's own handler is in place
        return 130


def _complain(sentences: str, status: int) -> int:
    for sentence in sentences.splitlines():
        print(f"server.py: error: {sentence}", file=sys.stderr)
    return status


def _set_up_logging(settings: Settings) -> None:
    logging.basicConfig(
        level=settings.log.level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.captureWarnings(True)


def _entry(settings: Settings) -> catalogue.ModelEntry:
    models = settings.models
    return catalogue.find(models.selected, models_folder(settings), models.entries)


def _check(settings: Settings) -> int:
    """`--check`: does the installed llama.cpp run the configured model on this machine?"""
    from engine.llama import check

    result = check.run(_entry(settings), settings.engine)
    print("\n".join(result.lines), file=sys.stdout if result.ok else sys.stderr)
    if result.ok:
        check.remember()
    return 0 if result.ok else 1


def _check_new_build(entry: catalogue.ModelEntry, settings: Settings) -> None:
    """Check a build that has never decoded here. Raises ModelError where the child crashed."""
    from engine.llama import check

    if not settings.engine.self_check or check.was_checked():
        return
    logger.info("Checking this build of llama.cpp, once.")
    result = check.run(entry, settings.engine)
    if not result.ok:
        raise ModelError("\n".join(result.lines))
    check.remember()


def _make_engine(settings: Settings) -> Engine:
    if settings.engine.kind == "echo":
        from engine.echo import EchoEngine

        return EchoEngine()
    entry = _entry(settings)
    _check_new_build(entry, settings)
    # Imported after the check: a library for another CPU may crash as soon as it is loaded.
    from engine.llama.engine import LocalEngine

    return LocalEngine(entry, settings.engine)


async def _serve(settings: Settings) -> int:
    from handlers import make_application
    from handlers.activity import Activity

    sockets = _bind(settings.server.host, settings.server.port)
    if sockets is None:
        return 1
    translator = _make_engine(settings)
    activity = Activity()
    stop = _Stop(activity, translator, settings.drain.deadline)
    http = _listen(make_application(translator, settings, activity), sockets, settings)
    loading = asyncio.ensure_future(translator.start())
    await asyncio.wait({loading, stop.wanted}, return_when=asyncio.FIRST_COMPLETED)
    if not loading.done():
        os._exit(0)  # stopped while a model loads, which nothing can interrupt
    loading.result()
    host, port = sockets[0].getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(
        f"Babelbrook {engine.__version__}: {translator.describe()}, http://{shown}:{port}",
        flush=True,
    )
    await stop.wanted
    await stop.drain()
    http.stop()
    await http.close_all_connections()
    if not translator.stopped:
        logger.error("The decode thread did not come back; the process ends without it.")
        _leave(EXIT_STUCK)
    return 0


class _Stop:
    """The first SIGINT or SIGTERM asks for a drain, the second ends the process at once."""

    def __init__(self, activity: Any, translator: Engine, deadline: float) -> None:
        self._activity, self._engine, self._deadline = activity, translator, deadline
        loop = asyncio.get_running_loop()
        self.wanted: asyncio.Future[None] = loop.create_future()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: signal.Signals) -> None:
        if self.wanted.done():
            logger.warning("Second signal: the process ends at once.")
            _leave(128 + number)
        logger.info("%s: running streams may finish within %g s.", number.name, self._deadline)
        self.wanted.set_result(None)

    async def drain(self) -> None:
        """Let running streams finish, then end the rest with an error event."""
        if not await self._activity.drain(self._deadline):
            logger.warning("%d requests did not finish in time.", self._activity.running)
        self._engine.stop()
        await self._activity.drain(_STOP_GRACE)
        waited = 0.0
        while not self._engine.stopped and waited < _STOP_GRACE:
            await asyncio.sleep(0.01)
            waited += 0.01


def _leave(status: int) -> None:
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)


def _bind(host: str, port: int) -> list[socket.socket] | None:
    from tornado.netutil import bind_sockets

    try:
        return bind_sockets(port, host)
    except OSError as error:
        _complain(f"Cannot listen on {host}, port {port}: {error.strerror}.", 1)
        return None


def _listen(application: Any, sockets: list[socket.socket], settings: Settings) -> Any:
    from tornado.httpserver import HTTPServer
    from tornado.iostream import IOStream

    class Server(HTTPServer):
        def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> Any:
            stream.set_nodelay(True)  # or Nagle's algorithm holds small frames back
            return super().handle_stream(stream, address)

    http = Server(application, max_body_size=settings.limits.body_bytes)
    http.add_sockets(sockets)
    return http


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
