"""Keys: what they look like, what is kept of them, and how one is recognised.

A key is `bb_`, its id and a secret of 192 random bits. Only a SHA-256 of the whole is kept.
Passwords need a slow hash because they can be guessed; nobody can guess 192 bits however fast the
hash is, and a slow one would cost every request its time.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from engine.access.rates import Rate
from engine.errors import BabelbrookError

_PREFIX = "bb"
_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_NO_HASH = bytes(32)  # compared with where no key has the id, so that both take the same time


class AccessError(BabelbrookError):
    """Keys cannot be used as they are written; the sentence says why."""

    code = "access_error"


class Role(enum.StrEnum):
    """What a key is for."""

    TRANSLATE = "translate"
    ADMIN = "admin"  # models, glossaries, keys; and all that the others may
    OBSERVE = "observe"  # the dashboard, /events and /metrics


def _rate(value: object) -> object:
    return Rate.parse(value) if isinstance(value, str) else value


class Key(BaseModel):
    """What is kept of a key."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    id: str = Field(pattern=r"^[a-z0-9]{8}$")
    name: str = Field(min_length=1, max_length=100)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    roles: frozenset[Role] = Field(default=frozenset({Role.TRANSLATE}), min_length=1)
    rate: Annotated[Rate | None, BeforeValidator(_rate)] = None
    tokens_per_day: int | None = Field(default=None, ge=0)

    def entry(self) -> dict[str, object]:
        """The key as it is written into a file: what has its default is left out."""
        entry: dict[str, object] = {"id": self.id, "name": self.name, "sha256": self.sha256}
        entry["roles"] = sorted(self.roles)
        if self.rate is not None:
            entry["rate"] = str(self.rate)
        if self.tokens_per_day is not None:
            entry["tokens_per_day"] = self.tokens_per_day
        return entry


def generate(
    name: str, roles: frozenset[Role], rate: Rate | None, tokens_per_day: int | None
) -> tuple[str, Key]:
    """A new key: the text that its owner gets, once, and what is kept of it."""
    key_id = "".join(secrets.choice(_ID_LETTERS) for _ in range(8))
    text = f"{_PREFIX}_{key_id}_{secrets.token_urlsafe(24)}"
    key = Key(
        id=key_id,
        name=name,
        sha256=_digest(text).hex(),
        roles=roles,
        rate=rate,
        tokens_per_day=tokens_per_day,
    )
    return text, key


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


class KeyRing:
    """All keys that are valid."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        """Raises AccessError where two keys share a name or an id."""
        self._by_id: dict[str, Key] = {}
        names: set[str] = set()
        for key in keys:
            if key.id in self._by_id or key.name in names:
                raise AccessError(f"There are two keys with the name or id of '{key.name}'.")
            self._by_id[key.id] = key
            names.add(key.name)
        self._hashes = {key.id: bytes.fromhex(key.sha256) for key in self}

    def __iter__(self) -> Iterator[Key]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def by_id(self, key_id: str) -> Key | None:
        """The key with that id."""
        return self._by_id.get(key_id)

    def find(self, text: str) -> Key | None:
        """The key that `text` is. How much of a secret is right makes no difference in time."""
        key_id = text[len(_PREFIX) + 1 :].partition("_")[0]
        right = hmac.compare_digest(_digest(text), self._hashes.get(key_id, _NO_HASH))
        return self._by_id.get(key_id) if right else None
