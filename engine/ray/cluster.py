"""The connection to a Ray cluster and to the replicas there.

Some of Ray's calls wait for other machines, and the event loop may wait for none. So all of them
are made on a thread with a loop of its own, and what it brings goes to the event loop in one
callback however much there is.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from engine.errors import ModelError, UpstreamFailed
from engine.generation import Job
from engine.llama import machine
from engine.ray import deployment
from engine.ray.messages import Item, Reading
from engine.settings import Ray

logger = logging.getLogger("babelbrook.ray")
T = TypeVar("T")

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 5.0  # for a replica to say what it does
_DISCONNECT_SECONDS = 4.0  # 1.7 on two cores; the server gives its engine five
_FAREWELL = 1.0  # seconds for calls that are cancelled, and for the last answers
_STORE_BYTES = 80 * 2**20  # near the least that Ray takes; nothing large goes through its store
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing leaves the machine
    "RAY_SERVE_LOG_TO_STDERR": "0",  # replicas and Serve have files of their own for it
    "RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "2",  # ten seconds by themselves
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",  # it would log a SIGTERM as a crash
    "GRPC_ENABLE_FORK_SUPPORT": "0",  # or it logs a line for each child process
}
_LOOPBACK = "127.0.0.1"
_TOKEN = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")  # where Ray looks for one, and in this file
_TOKEN_FILE = Path("~/.ray/auth_token")

_News = Item | BaseException | None
"""What comes of a call; None is its end."""


def require_ray(settings: Ray) -> None:
    """Import Ray, which is done for this engine alone. Raises ModelError where it is not installed.

    Ray reads its environment as soon as it is imported, so that is made before.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if settings.address == "local":
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # the name misleads
        _make_token()
    else:
        _use_token()
    try:
        from ray import serve  # noqa: F401
    except ImportError as error:
        raise ModelError(
            "engine.kind is ray, but Ray cannot be imported"
            f" ({error}). Install it: python -m pip install -r requirements-ray.txt"
        ) from None
    for name in ("ray", "ray.serve"):
        logging.getLogger(name).setLevel(logging.ERROR)


def attach(settings: Ray) -> None:
    """Connect this process to the cluster, or start one. Raises ModelError; waits for the network.

    A cluster of our own listens on the loopback interface, but for the ports of Serve's replicas,
    which ask for Ray's token as all of its ports do.
    """
    require_ray(settings)
    import ray
    from ray import serve

    where: dict[str, Any] = {"address": settings.address}
    if settings.address == "local":
        _check_room(settings)
        where |= {
            "num_cpus": machine.cores(),
            "include_dashboard": False,
            "object_store_memory": _STORE_BYTES,
            "_node_ip_address": _LOOPBACK,
        }
    elif settings.address != "auto":
        _check_reachable(settings.address)
    try:
        ray.init(**where, log_to_driver=False, configure_logging=False, namespace="babelbrook")
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise _no_cluster(settings.address, str(error)) from None
    serve.start(proxy_location="Disabled")


def _make_token() -> None:
    """A token of its own for a cluster of our own, which nobody else is to use."""
    if not any(name in os.environ for name in ("RAY_AUTH_MODE", *_TOKEN)):
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def _use_token() -> None:
    """Show a token where there is one: unasked, Ray does so only for clusters that it finds."""
    if any(name in os.environ for name in _TOKEN) or _TOKEN_FILE.expanduser().is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def _check_reachable(address: str) -> None:
    """Raises ModelError for an address where nobody listens: Ray itself would try for long."""
    host, _, port = address.rpartition(":")
    if address.startswith("ray://") or not host or not port.isdecimal():
        raise ModelError(
            f"ray.address must be local, auto, or host and port of the cluster's head, such as"
            f' 10.0.0.1:6379, not "{address}".'
        )
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except OSError as error:
        raise _no_cluster(address, error.strerror or str(error)) from None


def _no_cluster(address: str, told: str) -> ModelError:
    reason = told.strip().partition("\n")[0].rstrip(".")
    token = "Where it asks for a token, that must be in RAY_AUTH_TOKEN or ~/.ray/auth_token."
    return ModelError(
        f"No Ray cluster can be had at ray.address {address}: {reason}."
        + ("" if address == "local" else f" {token}")
    )


def _check_room(settings: Ray) -> None:
    """Raises ModelError where this machine has no room for the replicas that always run."""
    wanted, there = settings.min_replicas * settings.replica_cpus, machine.cores()
    if wanted > there:
        raise ModelError(
            f"{settings.min_replicas} replicas of {settings.replica_cpus:g} CPUs need {wanted:g},"
            f" but this machine has {there}. Lower ray.replica_cpus or ray.min_replicas."
        )


class Cluster:
    """The application's replicas, as the event loop sees them."""

    def __init__(self, settings: Ray, application: Callable[[], Any]) -> None:
        """`application` makes what is deployed where there is none."""
        self._settings, self._application = settings, application
        self._main = asyncio.get_running_loop()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="ray", daemon=True)
        self._news: deque[tuple[_Inbox, _News]] = deque()
        self._told = False  # a callback of the event loop will look at the news
        self._handle: Any = None
        self._deployed = False  # by us
        self._holds = 0  # a serial number
        self._leaving: set[asyncio.Future[None]] = set()  # calls that are cancelled

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def start(self) -> None:
        """Connect, and deploy the application where it is missing. Raises ModelError."""
        self._thread.start()
        await asyncio.wrap_future(self._submit(self._connect()))

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _connect(self) -> None:
        attach(self._settings)
        from ray import serve

        if not deployment.runs():
            self._deployed = True
            deployment.deploy(self._application())
        try:
            deployment.wait(self._settings.start_timeout)
        except ModelError:
            self._take_away()
            raise
        self._handle = serve.get_app_handle(deployment.APPLICATION)

    # A job --------------------------------------------------------------------------------------

    async def answer(self, number: str, job: Job) -> AsyncGenerator[Item, None]:
        """What a replica of Ray's choice makes of a job; leaving cancels it there.

        Raises UpstreamFailed where that replica has ended.
        """
        inbox = _Inbox()
        call = self._submit(self._ask(inbox, number, job))
        try:
            while (item := await inbox.next()) is not None:
                yield item
        finally:
            call.cancel()

    async def _ask(self, inbox: _Inbox, number: str, job: Job) -> None:
        """On Ray's thread."""
        response = self._handle.options(stream=True, method_name="answer").remote(number, job)
        try:
            async for item in response:
                self._hand_over(inbox, item)
            self._hand_over(inbox, None)
        except asyncio.CancelledError as error:  # by us, or by Serve when it ends a replica
            response.cancel()
            self._hand_over(inbox, error)
            task = asyncio.ensure_future(_see_off(response))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
            raise
        except Exception as error:
            self._hand_over(inbox, error)

    def _hand_over(self, inbox: _Inbox, item: _News) -> None:
        self._news.append((inbox, item))
        if not self._told:
            self._told = True
            with suppress(RuntimeError):  # the loop is closed
                self._main.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._told = False  # first: what comes from now on calls again
        while self._news:
            inbox, item = self._news.popleft()
            inbox.put(item)

    def hold(self, number: str, held: bool) -> None:
        """Let the replica that has a job read no more of it, or go on; returns at once."""
        self._holds += 1
        self._submit(self._tell("hold", number, held, self._holds))

    # All replicas -------------------------------------------------------------------------------

    async def readings(self) -> list[Reading] | None:
        """What each replica is and does; None where one of them takes too long to say so."""
        # Shielded: Ray complains of calls to all that are left.
        return await asyncio.shield(asyncio.wrap_future(self._submit(self._tell("reading"))))

    async def _tell(self, method: str, *args: Any) -> list[Any] | None:
        """Call all replicas; their answers, without those that failed."""
        from ray.serve.exceptions import DeploymentUnavailableError

        try:
            answers = await self._handle.broadcast(method, *args).results_async(
                timeout_s=_ANSWER_SECONDS, return_exceptions=True
            )
        except DeploymentUnavailableError:  # there are none
            return []
        except Exception as error:  # Serve's and Ray's have no base in common
            logger.warning("The replicas could not be asked: %s", str(error) or type(error))
            return None
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    async def close(self) -> None:
        """End what we have started; what was there before goes on.

        From a cluster of others the end of the process takes leave: threads of Serve use Ray until
        then, and after a shutdown Ray ends the process of whoever does so, with status 1.
        """
        if not self._thread.is_alive():
            return
        try:
            end = asyncio.wrap_future(self._submit(self._disconnect()))
            await asyncio.wait_for(end, _DISCONNECT_SECONDS)
        except TimeoutError:
            logger.warning("Ray takes too long to end; what is left of it ends with this process.")
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _disconnect(self) -> None:
        import ray

        if ray.is_initialized():
            await self._end_calls()
            self._take_away()
            if self._settings.address == "local":
                await self._end_router()
                ray.shutdown()

    async def _end_calls(self) -> None:
        """Let what is under way on Ray's thread come to its end, the rest is cancelled."""
        own, end = {asyncio.current_task()}, time.monotonic() + _FAREWELL
        while (others := asyncio.all_tasks() - own) and time.monotonic() < end:
            await asyncio.wait(others, timeout=0.1)
        for task in others:
            task.cancel()

    async def _end_router(self) -> None:
        """Stop Serve's own thread: Ray ends a process, with status 1, that uses it afterwards."""
        router = getattr(self._handle, "_router", None)
        if router is not None:
            await self._handle.shutdown_async()
            router.event_loop.call_soon_threadsafe(router.event_loop.stop)
            while router.event_loop.is_running():
                await asyncio.sleep(0.005)

    def _take_away(self) -> None:
        """Delete the application where we have brought it into a cluster of others."""
        from ray import serve

        if not self._deployed or self._settings.address == "local":
            return
        try:
            serve.delete(deployment.APPLICATION, _blocking=False)
        except Exception as error:  # whatever it is, the end goes on
            logger.warning("The replicas could not be ended: %s", error)


async def _see_off(response: Any) -> None:
    """Hold on to a cancelled call until it has ended, or Serve would count it for ever."""
    with suppress(Exception, asyncio.CancelledError):
        async for _ in response:
            pass


class _Inbox:
    """What has come of a call and was not taken yet, on the event loop."""

    def __init__(self) -> None:
        self._items: deque[_News] = deque()
        self._come = asyncio.Event()

    def put(self, item: _News) -> None:
        self._items.append(item)
        self._come.set()

    async def next(self) -> Item | None:
        """The next one, None at the end. Raises UpstreamFailed."""
        while not self._items:
            self._come.clear()
            await self._come.wait()
        item = self._items.popleft()
        if isinstance(item, BaseException):
            reason = str(item).strip().partition("\n")[0]
            logger.warning("A call of a replica failed: %s", reason or type(item).__name__)
            raise UpstreamFailed("The replica that worked on this has ended.") from None
        return item


def new_number() -> str:
    """The name of a call, as nobody else's."""
    return uuid.uuid4().hex
