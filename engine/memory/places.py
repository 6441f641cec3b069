"""Where a translation memory may lie, as `memory.path` says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from engine import shared_redis
from engine.config import data_folder
from engine.memory.redis_store import RedisStore
from engine.memory.similar import Similar, Which
from engine.memory.store import FileStore, Store
from engine.settings import Settings

_SERVING = 0.25  # seconds that a server's thread waits for a Redis
_AT_LEISURE = 10.0  # the same for a command


class Place(Protocol):
    """Where segments are kept."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def rest(self) -> float:
        """Seconds without it after it has failed."""

    @property
    def shared(self) -> bool:
        """Whether servers on other machines use it, which tell models by what their files hold."""

    def open(self) -> Store:
        """Raises sqlite3.Error or OSError."""

    def similar(self) -> Similar | None:
        """What looks for segments that are like another one, where that is wanted and can be."""


@dataclass(frozen=True, slots=True)
class FilePlace:
    """A file, or `:memory:`; `room` is how many bytes of segments may be kept.

    `which` says among whose translations similar ones are looked for.
    """

    name: str
    room: int
    which: Which = "off"
    rest = 60.0
    shared = False

    def open(self) -> Store:
        """See `Place`."""
        return FileStore(self.name, self.room, similar=self._has_index)

    def similar(self) -> Similar | None:
        """See `Place`."""
        return Similar(self.name, self.which) if self._has_index else None

    @property
    def _has_index(self) -> bool:
        return self.which != "off" and self.name != ":memory:"  # which no second thread can read


@dataclass(frozen=True, slots=True)
class RedisPlace:
    """A Redis; `timeout` (seconds) bounds what one answer takes."""

    url: str
    room: int
    timeout: float
    rest = 5.0
    shared = True

    @property
    def name(self) -> str:
        """Without the password."""
        return shared_redis.place(self.url)

    def open(self) -> Store:
        """See `Place`. Raises WrongRedisUrl, too."""
        return RedisStore(self.url, self.room, self.timeout)

    def similar(self) -> Similar | None:
        """None: a Redis has no index of trigrams."""
        return None


def of_server(settings: Settings) -> Place | None:
    """Where a server's memory lies; None where it has none."""
    return _place(settings, _SERVING)


def of_command(settings: Settings) -> Place | None:
    """The same for a command, which has time; None also for `:memory:`, which ends with it."""
    return None if settings.memory.path == ":memory:" else _place(settings, _AT_LEISURE)


def _place(settings: Settings, timeout: float) -> Place | None:
    memory = settings.memory
    match memory.path:
        case "off":
            return None
        case ":memory:":
            return FilePlace(":memory:", memory.room)
        case "redis":
            return RedisPlace(settings.redis.url, memory.room, timeout)
        case file:
            return FilePlace(str(data_folder(settings) / file), memory.room, memory.similar)
