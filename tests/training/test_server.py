"""Asking a running server, spoken to over a real socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar
from urllib.error import HTTPError

import pytest

from training.server import TEXTS_PER_REQUEST, ServerTranslator


class Shouting(BaseHTTPRequestHandler):
    """A translator that puts everything into capitals, and refuses Klingon."""

    bodies: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.bodies.append(body | {"path": self.path})
        answer = json.dumps({"translation": [text.upper() for text in body["text"]]}).encode()
        self.send_response(400 if body["target_lang"] == "tlh" else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def url() -> Iterator[str]:
    """The address of a server that runs while the test does."""
    Shouting.bodies.clear()
    server = HTTPServer(("127.0.0.1", 0), Shouting)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_many_texts_go_in_several_requests_and_come_back_in_order(url: str) -> None:
    texts = [f"text {n}" for n in range(TEXTS_PER_REQUEST + 1)]
    assert ServerTranslator(url)(texts, "en", "de") == [text.upper() for text in texts]
    assert [len(body["text"]) for body in Shouting.bodies] == [TEXTS_PER_REQUEST, 1]


def test_the_request_is_the_wire_contract_s_without_the_cache(url: str) -> None:
    ServerTranslator(url)(["Hallo."], "de", "en")
    assert Shouting.bodies == [
        {
            "text": ["Hallo."],
            "source_lang": "de",
            "target_lang": "en",
            "cache": False,
            "on_failure": "keep_source",
            "path": "/translate",
        }
    ]


def test_a_refusal_is_an_error(url: str) -> None:
    with pytest.raises(HTTPError, match="400") as refusal:
        ServerTranslator(url)(["Hello."], "en", "tlh")
    refusal.value.close()
