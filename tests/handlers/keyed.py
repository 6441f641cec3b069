"""Keys for servers under test."""

from __future__ import annotations

from pathlib import Path

from engine.access import keyfile
from engine.access.keys import Key, Role, generate
from engine.access.rates import Rate
from tests.conftest import ServerProcess

ECHO = ("--engine", "echo", "--model", "none")


class Keyed:
    """A folder with keys, and flags that let a server use them."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "keys.json"
        self.flags = ("--data.folder", str(folder))
        self._keys: list[Key] = []

    def add(
        self, name: str, *roles: str, rate: str | None = None, tokens: int | None = None
    ) -> str:
        """Write one more key; returns its text."""
        parsed = Rate.parse(rate) if rate else None
        text, key = generate(name, frozenset(map(Role, roles)), parsed, tokens)
        self._write([*self._keys, key])
        return text

    def remove(self, name: str) -> None:
        """Write all keys but one."""
        self._write([key for key in self._keys if key.name != name])

    def _write(self, keys: list[Key]) -> None:
        self._keys = keys
        keyfile.write(self.file, keys)

    def serve(self, *flags: str) -> ServerProcess:
        """A server that gives texts back."""
        return ServerProcess(*ECHO, *self.flags, *flags)


def bearer(text: str) -> dict[str, str]:
    """The header of a key."""
    return {"Authorization": f"Bearer {text}"}
