"""HTTP/1.1 as RFC 9112 has it, and what only looks like it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from tests.conftest import ServerProcess
from tests.faults.wire import LAST, Reply, answers, exchange

BODY = b'{"text": "one two", "target_lang": "ja"}'
POST = b"POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n" % len(BODY)


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """A server of the echo engine; nothing here leaves a traceback in its log."""
    process = ServerProcess("--engine", "echo")
    yield process
    log = process.log()
    process.close()
    assert "Traceback" not in log, log
    assert not {"\x85", "\x9b", "\0"} & set(log)


@pytest.fixture(scope="module")
def port(server: ServerProcess) -> int:
    return server.port


def get(target: bytes, headers: bytes = b"Host: localhost\r\n", method: bytes = b"GET") -> bytes:
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, headers)


def one(port: int, request: bytes, method: str = "GET") -> Reply:
    """The answer to a request that leaves the connection fit for a next one."""
    answer, last = answers(exchange(port, request + LAST), [method])
    assert json.loads(last.body) == {"status": "ok"}
    return answer


MALFORMED = {
    "a line without a version (HTTP/0.9)": b"GET /health\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3.0": b"GET /health HTTP/3.0\r\nHost: localhost\r\n\r\n",
    "HTTP/1.2": b"GET /health HTTP/1.2\r\nHost: localhost\r\n\r\n",
    "HTTP/1": b"GET /health HTTP/1\r\nHost: localhost\r\n\r\n",
    "HTTP/1.10": b"GET /health HTTP/1.10\r\nHost: localhost\r\n\r\n",
    "a protocol in small letters": b"GET /health http/1.1\r\nHost: localhost\r\n\r\n",
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40 + b"\r\n\r\n",
    "nothing but line breaks": b"\r\n\r\n\r\n\r\n",
    "two blanks": b"GET  /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tabs for blanks": b"GET\t/health\tHTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a blank before the method": b" GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a blank in the target": b"GET /he alth HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a NUL in the target": get(b"/health\0"),
    "an escape character in the target": get(b"/\x1b[31m"),
    "a bare CR for a line break": b"GET /health HTTP/1.1\rHost: localhost\r\n\r\n",
    "a bracket in the method": get(b"/health", method=b"G[T"),
    "a NUL in a value": get(b"/health", b"Host: localhost\r\nX: a\0b\r\n"),
    "a bare CR in a value": get(b"/health", b"Host: localhost\r\nX: a\rb\r\n"),
    "an escape character in a value": get(b"/health", b"Host: localhost\r\nX: \x1b[31m\r\n"),
    "a blank before a colon": get(b"/health", b"Host : test\r\n"),
    "a folded line": get(b"/health", b"Host: localhost\r\nX: a\r\n b\r\n"),
    "a first line that is folded": get(b"/health", b" Host: localhost\r\n"),
    "a line without a colon": get(b"/health", b"Host: localhost\r\nnonsense\r\n"),
    "a line without a name": get(b"/health", b"Host: localhost\r\n: x\r\n"),
    "a name of two words": get(b"/health", b"Host: localhost\r\nX Y: z\r\n"),
    "a name beyond ASCII": get(b"/health", b"Host: localhost\r\nX\xe9: z\r\n"),
    "no Host": get(b"/health", b""),
    "two Hosts": get(b"/health", b"Host: localhost\r\nHost: other.localhost\r\n"),
    "the same Host twice": get(b"/health", b"Host: localhost\r\nHost: localhost\r\n"),
    "two Hosts in one line": get(b"/health", b"Host: localhost, other\r\n"),
    "a Host with a path": get(b"/health", b"Host: localhost/x\r\n"),
    "a Host with an at sign": get(b"/health", b"Host: user@localhost\r\n"),
    "a Host with a blank": get(b"/health", b"Host: te st\r\n"),
    "too many query fields": get(b"/health?" + b"a&" * 5000),
    "a head above the limit": get(b"/health", b"Host: localhost\r\n" + b"X: y\r\n" * 20_000),
    "a value above the limit": get(b"/health", b"Host: localhost\r\nX: %b\r\n" % (b"y" * 100_000)),
    "a target above the limit": get(b"/" + b"y" * 100_000),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_malformed_is_refused_and_the_connection_closed(port: int, name: str) -> None:
    found = answers(exchange(port, MALFORMED[name] + LAST))
    assert len(found) <= 1, found
    assert all(answer.status in (400, 414, 431) for answer in found), found


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/health", 200),
        (b"/health?", 200),
        (b"/health?a=%00%zz&&=", 200),
        (b"http://test/health", 200),
        (b"HTTP://test:80/health?a=b", 200),
        (b"https://other/health", 200),
        (b"http://test", 200),
        (b"http://[/health", 200),
        (b"ftp://test/health", 404),
        (b"*", 404),
        (b"test:80", 404),
        (b"health", 404),
        (b"//health", 404),
        (b"/health/", 404),
        (b"/HEALTH", 404),
        (b"/health#part", 404),
        (b"/health;a=b", 404),
        (b"/%68ealth", 404),
        (b"/health%00", 404),
        (b"/health%0a", 404),
        (b"/%2e%2e/health", 404),
        (b"/./health", 404),
        (b"/x/../health", 404),
        (b"/../../../../etc/passwd", 404),
        (b"/..%5c..%2fetc%2fpasswd", 404),
        (b"/%ff%fe", 404),
        (b"/\xff\x85", 404),
        (b"/health" + b"?" * 30_000, 200),
        (b"/" + b"y" * 30_000, 404),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_target_is_taken_as_it_is_written(port: int, target: bytes, status: int) -> None:
    answer = one(port, get(target))
    assert answer.status == status
    if status == 404:
        assert json.loads(answer.body)["code"] == "not_found"


@pytest.mark.parametrize(
    "method", ["OPTIONS", "TRACE", "CONNECT", "PATCH", "get", "BREW", "GET_", "M-SEARCH", "!"]
)
@pytest.mark.parametrize(("path", "allowed"), [("/health", "GET, HEAD"), ("/translate", "POST")])
def test_an_unknown_method_is_a_405(port: int, method: str, path: str, allowed: str) -> None:
    """Where a body is taken piece by piece, the answer comes before it and ends the connection."""
    answer, *more = answers(exchange(port, get(path.encode(), method=method.encode()) + LAST))
    assert answer.status == 405
    assert answer.headers["Allow"] == allowed
    assert [other.status for other in more] in ([], [200])


@pytest.mark.parametrize("target", [b"test:443", b"*", b"/nope"])
@pytest.mark.parametrize("method", [b"CONNECT", b"OPTIONS"])
def test_nobody_is_connected_to_anything(port: int, method: bytes, target: bytes) -> None:
    assert one(port, get(target, method=method)).status in (404, 405)


@pytest.mark.parametrize("path", [b"/health", b"/languages", b"/metrics", b"/ready", b"/nope"])
def test_head_is_get_without_the_body(port: int, path: bytes) -> None:
    head = one(port, get(path, method=b"HEAD"), "HEAD")
    whole = one(port, get(path))
    assert head.status == whole.status
    assert head.body == b""
    assert head.headers["Content-Type"] == whole.headers["Content-Type"]
    if path != b"/metrics":  # its numbers move
        assert head.headers["Content-Length"] == whole.headers["Content-Length"]


def test_pipelined_requests_are_answered_in_their_order(port: int) -> None:
    texts = [f"number {number}" for number in range(50)]
    requests = b""
    for text in texts:
        body = json.dumps({"text": text, "target_lang": "ja"}).encode()
        requests += POST.replace(b"%d" % len(BODY), b"%d" % len(body)) + b"\r\n" + body
    found = answers(exchange(port, requests + LAST))
    assert [json.loads(answer.body).get("translation") for answer in found] == [*texts, None]


def test_a_request_behind_a_stream_waits_for_its_end(port: int) -> None:
    stream = POST.replace(b"/translate", b"/translate/stream") + b"\r\n" + BODY
    first, second, third = answers(exchange(port, stream + stream + LAST))
    for answer in (first, second):
        assert answer.body == b'data: "one"\n\ndata: " two"\n\ndata: [DONE]\n\n'
    assert json.loads(third.body) == {"status": "ok"}


@pytest.mark.parametrize("breaks", [b"\r\n", b"\n"])
def test_an_empty_line_before_a_request_is_passed_over(port: int, breaks: bytes) -> None:
    assert one(port, breaks + get(b"/health") + breaks).status == 200


def test_a_line_may_end_with_a_line_feed_alone(port: int) -> None:
    assert one(port, get(b"/health").replace(b"\r\n", b"\n")).status == 200


@pytest.mark.parametrize("value", [b"100-continue", b"100-Continue", b"100-CONTINUE"])
def test_a_client_that_asks_is_told_to_continue(port: int, value: bytes) -> None:
    received = exchange(port, POST + b"Expect: " + value + b"\r\n\r\n", BODY, LAST)
    assert received.startswith(b"HTTP/1.1 100 (Continue)\r\n\r\nHTTP/1.1 200 OK\r\n")
    translated, _ = answers(received)
    assert json.loads(translated.body)["translation"] == "one two"


def test_a_client_that_asks_with_a_wrong_method_is_not_told_to_continue(port: int) -> None:
    request = POST.replace(b"POST", b"BREW") + b"Expect: 100-continue\r\n\r\n"
    received = exchange(port, request)  # ... and so sends no body
    assert received.startswith(b"HTTP/1.1 405")
    assert len(answers(received)) == 1


@pytest.mark.parametrize("value", [b"100-continue", b"nonsense"])
def test_an_expectation_of_http_1_0_is_passed_over(port: int, value: bytes) -> None:
    request = POST.replace(b"1.1", b"1.0") + b"Expect: " + value + b"\r\n\r\n" + BODY
    received = exchange(port, request)
    assert received.startswith(b"HTTP/1.1 200 OK")
    (answer,) = answers(received)
    assert json.loads(answer.body)["translation"] == "one two"


@pytest.mark.parametrize(
    "options", [b"close", b"Close", b"TE, close", b"close, TE", b"close\r\nConnection: keep-alive"]
)
@pytest.mark.parametrize("target", [b"/health", b"/nope"])
def test_close_closes_behind_the_answer(port: int, options: bytes, target: bytes) -> None:
    request = get(target, b"Host: localhost\r\nConnection: " + options + b"\r\n")
    (answer,) = answers(exchange(port, request + get(b"/languages")))
    assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize(("headers", "kept"), [(b"", False), (b"Connection: keep-alive\r\n", True)])
def test_http_1_0_is_kept_only_where_it_asks(port: int, headers: bytes, kept: bool) -> None:
    request = b"GET /health HTTP/1.0\r\n%b\r\n" % headers
    assert len(answers(exchange(port, request + LAST))) == 1 + kept


@pytest.mark.parametrize(
    "upgrade",
    [
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        b"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
    ],
    ids=["websocket", "h2c", "tls"],
)
def test_an_upgrade_is_passed_over(port: int, upgrade: bytes) -> None:
    answer = one(port, get(b"/health", b"Host: localhost\r\n" + upgrade))
    assert answer.status == 200
    assert "Upgrade" not in answer.headers


def test_a_compressed_body_is_no_json(port: int) -> None:
    assert one(port, POST + b"Content-Encoding: gzip\r\n\r\n" + BODY).status == 200
    body = b"\x1f\x8b" + b"\0" * (len(BODY) - 2)
    answer = one(port, POST + b"Content-Encoding: gzip\r\n\r\n" + body)
    assert (answer.status, json.loads(answer.body)["error"]) == (400, "Invalid JSON")


def test_a_form_of_several_parts_is_not_taken_apart(port: int) -> None:
    form = b"Content-Type: multipart/form-data; boundary=x\r\n"
    assert one(port, POST + form + b"\r\n" + BODY).status == 200


@pytest.mark.parametrize("path", [b"/health", b"/nope"])
def test_a_broken_form_is_a_400(port: int, path: bytes) -> None:
    headers = (
        b"Host: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 3\r\n"
    )
    assert one(port, get(path, headers) + b"abc").status in (400, 404)


def test_what_a_client_cannot_see_is_never_in_a_header(port: int) -> None:
    """A request id that is no plain one is not given back."""
    for given in (b"a b", b"x" * 200, b"\xff", b"a\x85b"):
        answer = one(port, get(b"/health", b"Host: localhost\r\nX-Request-Id: " + given + b"\r\n"))
        assert answer.headers["X-Request-Id"].isalnum()


def test_half_a_request_ends_with_its_connection(server: ServerProcess) -> None:
    """Whoever closes its side in the middle of a request gets no answer, and the server goes on."""
    whole = POST + b"\r\n" + BODY
    for length in range(0, len(whole), 7):
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall(whole[:length])
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b""
    assert one(server.port, get(b"/health")).status == 200
