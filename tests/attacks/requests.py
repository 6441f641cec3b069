"""Good requests to every path of the API as bytes, and what becomes of them by chance."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from handlers.openapi import document

TEXT = {"text": "Where is the station?", "target_lang": "de", "source_lang": "en"}
TERMS = {"name": "n", "source_lang": "en", "target_lang": "de", "entries": "cat\tKatze"}
CHAT = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
FORM = (
    b'--x\r\nContent-Disposition: form-data; name="target_lang"\r\n\r\nde\r\n'
    b'--x\r\nContent-Disposition: form-data; name="target"\r\n\r\nde\r\n'
    b'--x\r\nContent-Disposition: form-data; name="source"\r\n\r\nen\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.html"\r\n\r\n'
    b"<p>Hello <b>there</b></p>\r\n--x--\r\n"
)
BODIES: dict[str, Any] = {
    "/translate": TEXT | {"format": "xml", "glossary": {"cat": "Katze"}, "alternatives": 1},
    "/translate/stream": TEXT | {"stream_options": {"usage": True, "checks": True}},
    "/detect": {"text": ["Hello there", "Guten Tag"]},
    "/models/select": {"model": "nothing"},
    "/login": {"key": "bb_abcdefgh_0123456789abcdef"},
    "/v1/chat/completions": CHAT | {"stream": True, "stop": ["x"], "n": 2},
    "/v1/completions": {"prompt": ["Hello", "World"], "max_tokens": 8},
    "/v2/translate": {**TEXT, "text": ["Hello"], "tag_handling": "html"},
    "/v2/glossaries": TERMS,
    "/v3/glossaries": {"name": "n", "dictionaries": [TERMS]},
    "/v3/glossaries/{id}": {"dictionaries": [TERMS]},
    "/v3/glossaries/{id}/dictionaries": TERMS,
    "/glossaries/{id}": {"terms": [["cat", "Katze"]], "target_lang": "de"},
    "/immersive": {"text_list": ["Hello"], "target_lang": "de"},
    "/deeplx/translate": TEXT,
}
FORMS = ("/translate/file", "/translate_file", "/v2/document")
PAGES = ("/", "/dashboard", "/login", "/web/0/js/api.js", "/nothing?a=b%20c")
TOKENS = [
    *(b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b";", b",", b"/", b"?", b"%"),
    *(b"\xff", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"%00", b"%0d%0a", b"%2e%2e%2f", b"../../"),
    *(b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"Expect: 100-continue\r\n", b"Host: evil.example\r\n", b"Range: bytes=0-\r\n"),
    *(
        b"Content-Encoding: gzip\r\n",
        b"Connection: Upgrade\r\n",
        b"Cookie: babelbrook_session=x\r\n",
    ),
    *(b"HTTP/0.9", b"HTTP/2.0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00"),
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b"null", b"true", b"-1", b"1e999", b"9" * 50, b"NaN"),
    *(b"\\ud800", b"\\u0000", b"<", b">", b"&", b"<!DOCTYPE a [", b"</s>", b"A" * 5_000),
    *(b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"--x\r\n", b"--x--\r\n", b"text/event-stream"),
]


def good_requests(headers: bytes = b"") -> list[bytes]:
    """One for each method of each path, with more `headers` (whole lines)."""
    made = [_request("GET", page, b"", headers) for page in PAGES]
    for path, operations in document()["paths"].items():
        for method in operations:
            if method in ("get", "post", "put", "patch", "delete", "head"):
                made += _requests(method.upper(), path, headers)
    return made


def _requests(method: str, path: str, headers: bytes) -> Iterator[bytes]:
    place = path.replace("{id}", "abc").replace("{name}", "abc")
    if method in ("POST", "PUT", "PATCH"):
        if path in FORMS:
            kind = b"Content-Type: multipart/form-data; boundary=x\r\n"
            yield _request(method, place, FORM, headers + kind)
            return
        body = json.dumps(BODIES.get(path, {})).encode()
        yield _request(method, place, body, headers + b"Content-Type: application/json\r\n")
        if path in ("/translate", "/v2/translate"):
            kind = b"Content-Type: application/x-www-form-urlencoded\r\n"
            yield _request(method, place, b"q=Hello&target=de&text=a%20b&target_lang=de", kind)
        return
    yield _request(method, place, b"", headers)


def _request(method: str, path: str, body: bytes, headers: bytes) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".encode()
    return with_length(head + headers, body) if body else head + headers + b"\r\n"


def with_length(head: bytes, body: bytes) -> bytes:
    """A request whose Content-Length is right; `head` ends with a line's end."""
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


@st.composite
def spoilt(draw: Any, requests: list[bytes]) -> bytes:
    """A request with some of its bytes changed; in half of them the length of the body is right."""
    request = draw(st.sampled_from(requests))
    head, _, body = request.partition(b"\r\n\r\n")
    if body and draw(st.booleans()):
        lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
        return with_length(b"\r\n".join(lines) + b"\r\n", _changed(draw, body, requests))
    return _changed(draw, request, requests)


def _changed(draw: Any, data: bytes, others: list[bytes]) -> bytes:
    for _ in range(draw(st.integers(1, 6))):
        start, end = sorted((draw(_place(data)), draw(_place(data))))
        piece: SearchStrategy[bytes] = st.one_of(
            st.just(b""),
            st.sampled_from(TOKENS),
            st.binary(max_size=8),
            st.just(data[start:end] * 2),
            st.sampled_from(others),
        )
        end = draw(st.sampled_from((start, min(start + 1, len(data)), end)))
        data = data[:start] + draw(piece) + data[end:]
    return data


def _place(data: bytes) -> SearchStrategy[int]:
    return st.integers(0, len(data))
