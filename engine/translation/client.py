"""Another Babelbrook server as a translator, for the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from engine.errors import BabelbrookError, BadRequest

_TIMEOUT = 60.0  # seconds without a byte; heartbeats come more often


class ServerFailed(BabelbrookError):
    """The other server cannot be reached, or answers with an error."""

    status = 502
    code = "server_failed"


def translate(server: str, body: dict[str, Any], key: str | None = None) -> Iterator[str]:
    """The pieces of a translation as the server streams them. Raises ServerFailed.

    `body` is that of `POST /translate/stream`.
    """
    if not server.startswith(("http://", "https://")):
        raise BadRequest(
            f"'{server}' is no address of a server; it begins with http:// or https://."
        )
    headers = {"Content-Type": "application/json"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    url = f"{server.rstrip('/')}/translate/stream"
    try:
        with urlopen(Request(url, json.dumps(body).encode(), headers), timeout=_TIMEOUT) as answer:
            yield from _pieces(answer)
    except HTTPError as error:
        raise ServerFailed(_sentence(error)) from None
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ServerFailed(f"No answer from {server}: {reason}.") from None


def _pieces(lines: Iterator[bytes]) -> Iterator[str]:
    """The texts of an event stream. Raises ServerFailed where it ends too early."""
    for line in lines:
        field, _, value = line.decode().rstrip("\r\n").partition(": ")
        if field != "data":
            continue
        if value == "[DONE]":
            return
        data = json.loads(value)
        if not isinstance(data, str):
            raise ServerFailed(str(data.get("error", "The server sent what is not known here.")))
        yield data
    raise ServerFailed("The stream of the server ended before the translation did.")


def _sentence(error: HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError):
        return f"The server answered {error.code} {error.reason}."
