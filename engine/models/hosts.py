"""From which hosts model files may come: the hub's, and those that the settings name.

A hub answers with a redirect to a store of bytes. One that was taken over, or a mirror, could send
this server to an address that only it can reach (an address of the cloud's metadata, a service on
the same network) and have what that answers kept as a file. So each address on the way is looked at
before it is asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from httpx import URL

_HUB = ("huggingface.co", "*.huggingface.co", "*.hf.co")
"""Hugging Face's hub and its stores."""


class Hosts:
    """The hub's hosts, those of a list (each a name, or `*.` and its end), and an endpoint."""

    def __init__(self, names: Sequence[str], endpoint: str) -> None:
        """`endpoint` is the hub's address; it alone decides whether TLS may be done without."""
        self._names = [*_HUB, *(name.lower().rstrip(".") for name in names)]
        self._endpoint = URL(endpoint)

    def allow(self, url: URL) -> bool:
        """Whether a file may be asked for there."""
        own = self._endpoint
        if (url.scheme, url.host, url.port) == (own.scheme, own.host, own.port):
            return True
        encrypted = url.scheme == "https" or (url.scheme == "http" and own.scheme == "http")
        return encrypted and any(_is(name, url.host.lower().rstrip(".")) for name in self._names)


def _is(name: str, host: str) -> bool:
    """An address is never below a name."""
    return host.endswith(name[1:]) if name.startswith("*.") else host == name
