"""Another Babelbrook server as a translator, for the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from engine.errors import BabelbrookError, BadRequest

_TOLD = ("detected_source_lang", "notes", "untranslated", "ignored")
_TIMEOUT = 60.0  # seconds without a byte; heartbeats come more often


class ServerFailed(BabelbrookError):
    """The other server cannot be reached, or answers with an error."""

    status = 502
    code = "server_failed"


class Answer:
    """The pieces of a translation as a server streams them; `told` is what it tells at the end.

    `body` is that of `POST /translate/stream`. Iterating raises ServerFailed.
    """

    def __init__(self, server: str, body: dict[str, Any], key: str | None = None) -> None:
        if not server.startswith(("http://", "https://")):
            raise BadRequest(
                f"'{server}' is no address of a server; it begins with http:// or https://."
            )
        headers = {"Content-Type": "application/json"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        self._server = server
        url = f"{server.rstrip('/')}/translate/stream"
        self._request = Request(url, json.dumps(body).encode(), headers)
        self.told: dict[str, Any] = {}

    def __iter__(self) -> Iterator[str]:
        try:
            with urlopen(self._request, timeout=_TIMEOUT) as lines:
                yield from self._pieces(lines)
        except HTTPError as error:
            raise ServerFailed(_sentence(error)) from None
        except (URLError, OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise ServerFailed(f"No answer from {self._server}: {reason}.") from None

    def _pieces(self, lines: Iterator[bytes]) -> Iterator[str]:
        """The texts of an event stream. Raises ServerFailed where it ends too early."""
        event = ""
        for line in lines:
            field, _, value = line.decode().rstrip("\r\n").partition(": ")
            if field == "event":
                event = value
            elif field == "data" and event:
                self._hear(event, json.loads(value))
                event = ""
            elif field == "data":
                if value == "[DONE]":
                    return
                data = json.loads(value)
                if not isinstance(data, str):
                    sentence = data.get("error", "The server sent what is not known here.")
                    raise ServerFailed(str(sentence))
                yield data
        raise ServerFailed("The stream of the server ended before the translation did.")

    def _hear(self, event: str, told: Any) -> None:
        if event == "usage" and isinstance(told, dict):
            self.told = {name: told[name] for name in _TOLD if name in told}


def _sentence(error: HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError):
        return f"The server answered {error.code} {error.reason}."
