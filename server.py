"""Babelbrook: the command line, the wiring, signals and the drain.

python server.py --config config.yaml
python server.py models list
python server.py keys add NAME
python server.py translate TEXT --to LANG
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import engine
from engine import log
from engine.access.keys import AccessError
from engine.config import ConfigError, load, models_folder, read_command_line
from engine.errors import BabelbrookError, ModelError, UnknownLanguage
from engine.interface import Engine
from engine.models import catalogue
from engine.models.loading import Loader
from engine.models.pool import Pool
from engine.settings import Drain, Settings
from engine.shared_redis import WrongRedisUrl

if TYPE_CHECKING:
    from handlers import Api
    from handlers.activity import Activity
    from handlers.auth import Gate
    from handlers.connections import Server
    from handlers.feed import Feed

logger = logging.getLogger("babelbrook")
T = TypeVar("T")

_STOP_GRACE = 5.0  # seconds for the decode thread to come back and streams to get their last event
EXIT_USAGE, EXIT_STUCK = 2, 70


def main(argv: Sequence[str]) -> int:
    """Run the server, or what the first word says; returns the exit status."""
    if argv[:1] and argv[0] in ("models", "keys", "memory", "translate"):
        return _manage(argv[0], argv[1:])
    try:
        command = read_command_line(argv, os.environ, version=engine.__version__)
    except ConfigError as error:
        return _complain(str(error), EXIT_USAGE)
    settings = command.settings
    log.set_up(settings.log)
    try:
        if command.check:
            return asyncio.run(_check(settings))
        return asyncio.run(_serve(settings, lambda: load(argv, os.environ)))
    except (AccessError, ModelError, WrongRedisUrl) as error:
        return _complain(error.sentence, 1)
    except KeyboardInterrupt:  # a SIGINT before the server's own handler is in place
        return 130


def _manage(what: str, argv: Sequence[str]) -> int:
    from engine.access.command import run as manage_keys
    from engine.memory.command import run as manage_memory
    from engine.models.command import run as manage_models
    from engine.translation.command import run as translate

    manage: dict[str, Callable[[Sequence[str], Mapping[str, str]], int]] = {
        "models": manage_models,
        "keys": manage_keys,
        "memory": manage_memory,
        "translate": partial(translate, make_engine=_make_engine),
    }
    try:
        return manage[what](argv, os.environ)
    except ConfigError as error:
        return _complain(str(error), EXIT_USAGE)
    except BabelbrookError as error:
        return _complain(error.sentence, 1)
    except KeyboardInterrupt:
        return 130


def _complain(sentences: str, status: int) -> int:
    for sentence in sentences.splitlines():
        print(f"server.py: error: {sentence}", file=sys.stderr)
    return status


def _entry(settings: Settings) -> catalogue.ModelEntry:
    models = settings.models
    entry = catalogue.find(models.selected, models_folder(settings), models.entries)
    if entry.source is not None and not entry.downloaded:
        raise ModelError(
            f"The model {entry.name} is not here yet. Get it with: python server.py models download"
            f" {entry.name}"
        )
    return entry


async def _check(settings: Settings) -> int:
    """`--check`: does the installed llama.cpp run the configured model on this machine?"""
    from engine.llama import check

    entry = _entry(settings)
    result = await check.run(entry, settings.engine)
    print("\n".join(result.lines), file=sys.stdout if result.ok else sys.stderr)
    if result.ok:
        check.remember(entry.file)
    return 0 if result.ok else 1


async def _make_engine(settings: Settings) -> Pool:
    """The pool with the selected model's engine. Raises ModelError."""
    if settings.engine.kind == "echo":
        from engine.echo import EchoEngine

        return Pool(EchoEngine())
    models = settings.models
    known = catalogue.Catalogue(models_folder(settings), models.entries)
    if settings.engine.kind == "remote":
        from engine.remote.engine import connect

        return Pool(await connect(known.find(models.selected), known, settings.remote))
    if settings.engine.kind == "ray":
        from engine.ray import engine as ray_engine

        return Pool(await ray_engine.connect(known.find(models.selected), known, settings))
    loader = Loader(known, settings.engine, models.hosts)
    first = await loader.make(_entry(settings))
    return Pool(first, loader, models.max_loaded, settings.drain.deadline)


async def _serve(settings: Settings, read_again: Callable[[], Settings]) -> int:
    """Run the server; `read_again` reads the settings for a reload."""
    from engine.translation import origin
    from handlers import listener, make_application, tls
    from handlers.activity import Activity
    from handlers.auth import Gate
    from handlers.connections import Server, most_connections
    from handlers.http1 import printable

    logging.getLogger("tornado.general").addFilter(printable)
    stop = _Stop(settings.drain.deadline)
    translator = await stop.unless_wanted(_make_engine(settings))
    if translator is None:
        return 0
    _check_default_languages(settings, translator.entry)
    connections = most_connections(settings.limits, listener.raise_descriptor_limit())
    sockets = _bind(settings)
    if sockets is None:
        return 1
    certificate = tls.context(settings.server)
    listening = listener.address(sockets[0], "http" if certificate is None else "https")
    activity, gate = Activity(), Gate(settings, public=listener.is_public(sockets))
    application = make_application(translator, settings, activity, gate)
    application.feed.start()
    await gate.start()
    http = Server(application, settings, connections, certificate)
    again = partial(_reload, read_again, gate, http, application.feed)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, again)
    application.metrics.connections.set_function(lambda: http.open)
    http.listen_on(sockets)
    try:
        await stop.unless_wanted(translator.start())
        if stop.wanted.done():
            _leave(0)  # stopped while a model loads, which nothing can interrupt
        _announce(translator, listening)
        _tell_systemd("READY=1")
        detection = asyncio.ensure_future(origin.prepare(translator.entry))
        await stop.wanted
        detection.cancel()
        _tell_systemd("STOPPING=1")
        await _drain(http, activity, application, translator, settings.drain)
        await gate.stop()
    finally:
        if application.memory is not None:
            application.memory.close()
        translator.stop()  # or the decode thread would keep the process alive for ever
    if translator.loading:
        _leave(0)  # nothing can interrupt a load, and its thread would be waited for
    if not translator.stopped:
        logger.error("The decode thread did not come back; the process ends without it.")
        _leave(EXIT_STUCK)
    if settings.engine.kind == "ray":
        _leave(0)  # Ray has threads that an orderly exit would trip over
    return 0


def _reload(read_again: Callable[[], Settings], gate: Gate, http: Server, feed: Feed) -> None:
    """SIGHUP: go by keys, origins and certificate as they are; what is wrong changes nothing."""
    from handlers import tls

    try:
        settings = read_again()
        certificate = tls.context(settings.server)
        keys = gate.reload(settings)
    except (ConfigError, AccessError) as error:
        logger.error("SIGHUP: nothing is changed. %s", error)
        return
    if (certificate is None) == (http.certificate is None):  # TLS is not begun or ended
        http.certificate = certificate
    feed.keep_only(gate.observers)
    logger.info("SIGHUP: keys, origins and certificate are read again; there are %d keys.", keys)


def _tell_systemd(state: str) -> None:
    """What sd_notify(3) tells a service manager that waits for it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.connect(f"\0{address[1:]}" if address.startswith("@") else address)
            manager.send(state.encode())
    except OSError as error:
        logger.warning("systemd could not be told %s: %s.", state, error.strerror)


async def _drain(
    http: Server, activity: Activity, application: Api, translator: Engine, drain: Drain
) -> None:
    """Refuse new requests, let running ones finish, end the rest with an error."""
    activity.draining = True
    application.feed.end()
    application.streams.drain()
    http.close_after_answers()
    _, finished = await asyncio.gather(
        _stop_accepting(http, drain.delay), activity.idle(drain.deadline)
    )
    if not finished:
        logger.warning("%d requests did not finish in time.", activity.running)
    translator.stop()
    if not await _came_back(translator):
        activity.give_up()
    await activity.idle(_STOP_GRACE)  # for the last event of each stream
    await http.close_all_connections()


async def _stop_accepting(http: Server, delay: float) -> None:
    await asyncio.sleep(delay)
    http.stop()


async def _came_back(translator: Engine) -> bool:
    """Whether the decode thread ends in time."""
    end = asyncio.get_running_loop().time() + _STOP_GRACE
    while not translator.stopped and asyncio.get_running_loop().time() < end:
        await asyncio.sleep(0.01)
    return translator.stopped


def _check_default_languages(settings: Settings, entry: catalogue.ModelEntry) -> None:
    """Raises ModelError where a request without languages could never be answered."""
    from engine.translation import languages

    defaults = settings.translation
    for name, code, known in (
        ("target_lang", defaults.target_lang, entry.target_langs),
        ("source_lang", defaults.source_lang, entry.source_langs),
    ):
        if name == "source_lang" and code.lower() == "auto":
            continue
        try:
            languages.choose(code, known)
        except UnknownLanguage as error:
            raise ModelError(f"translation.{name}: {error.sentence}") from None


def _announce(translator: Engine, url: str) -> None:
    """The start-up line."""
    try:
        print(f"Babelbrook {engine.__version__}: {translator.describe()}, {url}", flush=True)
    except OSError as error:
        logger.warning("The start-up line could not be written: %s.", error.strerror)


class _Stop:
    """The first SIGINT or SIGTERM asks for a drain, the second ends the process at once."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
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

    async def unless_wanted(self, work: Coroutine[Any, Any, T]) -> T | None:
        """The result of `work`, or None where a signal came first; then `work` is cancelled."""
        task = asyncio.ensure_future(work)
        either: set[asyncio.Future[Any]] = {task, self.wanted}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait({task}, timeout=_STOP_GRACE)
        return None


def _leave(status: int) -> NoReturn:
    logging.shutdown()
    os._exit(status)


def _bind(settings: Settings) -> list[socket.socket] | None:
    from handlers import listener

    server, streams = settings.server, settings.streams
    # The kernel counts a closed window as no answer: slow readers have their own time.
    timeout = max(streams.dead_peer_timeout, streams.stall_timeout)
    try:
        return listener.bind(server, dead_peer_timeout=timeout)
    except (OSError, ValueError) as error:
        unix = server.unix_socket != "none"
        place = server.unix_socket if unix else f"{server.host}, port {server.port}"
        reason = getattr(error, "strerror", None) or (str(error) if unix else "no such name")
        _complain(f"Cannot listen on {place}: {reason}.", 1)
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
