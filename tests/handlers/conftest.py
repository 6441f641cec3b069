"""Reading a stream as the reference client does."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest


class Stream:
    """An event stream taken apart: texts of the default frames, named events, comments."""

    def __init__(self, raw: str) -> None:
        self.raw = raw
        self.texts: list[str] = []
        self.events: list[tuple[str, Any]] = []
        self.error: dict[str, str] | None = None
        self.done = False
        assert raw.endswith("\n\n"), raw
        for frame in raw.removesuffix("\n\n").split("\n\n"):
            self._take(frame)

    def _take(self, frame: str) -> None:
        assert not self.done, f"a frame after [DONE]: {frame}"
        lines = frame.split("\n")
        if lines[0].startswith(":"):
            return
        name = lines.pop(0).removeprefix("event: ") if lines[0].startswith("event: ") else ""
        assert len(lines) == 1, frame
        assert lines[0].startswith("data: "), frame
        data = lines[0].removeprefix("data: ")
        if data == "[DONE]":
            self.done = True
        elif name:
            self.events.append((name, json.loads(data)))
        elif isinstance(value := json.loads(data), str):
            self.texts.append(value)
        else:
            self.error = value

    @property
    def joined(self) -> str:
        """The translation."""
        return "".join(self.texts)


def post_stream(client: httpx.Client, **body: Any) -> Stream:
    """`POST /translate/stream`, read to its end."""
    answer = client.post("/translate/stream", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return Stream(answer.text)


@pytest.fixture
def post(client: httpx.Client) -> Any:
    """`post(text=..., ...)` gives the Stream of a request to the shared server."""
    return lambda **body: post_stream(client, **body)
