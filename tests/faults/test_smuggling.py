"""Requests whose end two parties may see in two places: one meaning or none, never two answers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import ServerProcess
from tests.faults.wire import LAST, answers, exchange

BODY = b'{"text": "one two", "target_lang": "ja"}'
SIZE = b"%d" % len(BODY)
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
# What an attacker would like to be taken for a request of its own.
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: hidden.localhost\r\n\r\n"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server of the echo engine; nothing here leaves a traceback in its log."""
    server = ServerProcess("--engine", "echo")
    yield server.port
    log = server.log()
    server.close()
    assert "Traceback" not in log, log
    assert "/hidden" not in log, log
    assert not {"\x85", "\x9b"} & set(log)
    assert max(map(len, log.splitlines())) < 1000


def post(headers: bytes, body: bytes, version: bytes = b"1.1") -> bytes:
    return b"POST /translate HTTP/%b\r\nHost: localhost\r\n%b\r\n%b" % (version, headers, body)


CL = b"Content-Length: "
TE = b"Transfer-Encoding: "
CHUNKED = TE + b"chunked\r\n"

UNCLEAR_LENGTHS = {
    "both, length first": CL + SIZE + b"\r\n" + CHUNKED,
    "both, chunks first": CHUNKED + CL + SIZE + b"\r\n",
    "both, length of nothing": CL + b"0\r\n" + CHUNKED,
    "two lengths": CL + SIZE + b"\r\n" + CL + b"0\r\n",
    "two lengths in one line": CL + SIZE + b", 0\r\n",
    "a length with a plus": CL + b"+" + SIZE + b"\r\n",
    "a length with a minus": CL + b"-" + SIZE + b"\r\n",
    "a negative zero": CL + b"-0\r\n",
    "a length in hexadecimal": CL + b"0x28\r\n",
    "a length with an exponent": CL + b"4e1\r\n",
    "a length with an underscore": CL + b"4_0\r\n",
    "a length with a fraction": CL + b"40.0\r\n",
    "a length in Arabic digits": CL + "٤٠".encode() + b"\r\n",
    "a length in superscript": CL + b"4\xb2\r\n",
    "a length in quotes": CL + b'"' + SIZE + b'"\r\n',
    "a length of two numbers": CL + b"4 0\r\n",
    "an empty length": CL + b"\r\n",
    "a length behind a comma": CL + b"," + SIZE + b"\r\n",
    "a length before a semicolon": CL + SIZE + b";\r\n",
    "a length above every limit": CL + b"9" * 30 + b"\r\n",
    "a length that int() refuses": CL + b"9" * 5000 + b"\r\n",
    "a length behind a vertical tab": CL + b"\x0b" + SIZE + b"\r\n",
    "a length before a NUL": CL + SIZE + b"\0\r\n",
    "a length with control characters for the log": CL + b"\x9b31m\x85x\r\n",
    "a blank before the length's colon": b"Content-Length : " + SIZE + b"\r\n",
    "a tab before the length's colon": b"Content-Length\t: " + SIZE + b"\r\n",
    "a length on a folded line": b"Content-Length:\r\n " + SIZE + b"\r\n",
    "a blank before the header's name": b" " + CL + SIZE + b"\r\n",
    "chunks before the header's name": b"X: y\r\n " + CHUNKED + CL + SIZE + b"\r\n",
}

UNCLEAR_CODINGS = {
    "chunked twice": TE + b"chunked, chunked\r\n",
    "chunked on two lines": CHUNKED + CHUNKED,
    "chunked, then identity": TE + b"chunked, identity\r\n",
    "identity, then chunked": TE + b"identity, chunked\r\n",
    "identity": TE + b"identity\r\n",
    "gzip, then chunked": TE + b"gzip, chunked\r\n",
    "a comma before chunked": TE + b",chunked\r\n",
    "a comma behind chunked": TE + b"chunked,\r\n",
    "a letter too many": TE + b"xchunked\r\n",
    "a letter too many behind": TE + b"chunkedx\r\n",
    "chunked with a parameter": TE + b"chunked;q=1\r\n",
    "chunked in quotes": TE + b'"chunked"\r\n',
    "a vertical tab before chunked": TE + b"\x0bchunked\r\n",
    "a NUL behind chunked": TE + b"chunked\0\r\n",
    "a Kelvin sign for the k": TE + "chun\u212aed".encode() + b"\r\n",
    "a byte of Latin-1 for the blank": TE + b"\xa0chunked\r\n",
    "control characters for the log": TE + b"\x9b31m\x85chunked\r\n",
    "a value too long for the log": TE + b"x" * 20_000 + b"\r\n",
    "empty": TE + b"\r\n",
    "a blank before the colon": b"Transfer-Encoding : chunked\r\n",
    "folded": b"Transfer-Encoding:\r\n chunked\r\n",
    "folded with a tab": b"Transfer-Encoding:\r\n\tchunked\r\n",
    "behind a bare CR": b"X: y\r" + CHUNKED,
    "behind a bare CR in its own name": b"Transfer-Encoding\r: chunked\r\n",
    "a NUL in the name": b"Transfer-Encoding\0: chunked\r\n",
    "no colon": b"Transfer-Encoding chunked\r\n",
    "no name": b": chunked\r\n",
}

BAD_CHUNKS = {
    "no number": b"zz\r\n",
    "empty size": b"\r\n",
    "a plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "a minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "hexadecimal as in Python": b"0x5\r\nhello\r\n0\r\n\r\n",
    "an underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "a blank before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "a blank behind the size": b"5 \r\nhello\r\n0\r\n\r\n",
    "an extension": b"5;a=b\r\nhello\r\n0\r\n\r\n",
    "an extension with a line feed": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "a line feed behind the size": b"5\nhello\r\n0\r\n\r\n",
    "a CR behind the size": b"5\rhello\r\n0\r\n\r\n",
    "a size beyond 64 bits": b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "a size above every limit": b"7fffffff\r\nhello\r\n0\r\n\r\n",
    "a size that wraps in 32 bits": b"100000005\r\nhello\r\n0\r\n\r\n",
    "a size with too many zeros": b"0" * 100 + b"5\r\nhello\r\n0\r\n\r\n",
    "more bytes than announced": b"4\r\nhello\r\n0\r\n\r\n",
    "fewer bytes than announced": b"6\r\nhello\r\n0\r\n\r\n",
    "no line break behind a chunk": b"5\r\nhello0\r\n\r\n",
    "line feeds behind a chunk": b"5\r\nhello\n0\n\n",
    "a trailer": b"5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    "a trailer that is a header": b"5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n",
    "a last chunk of several zeros": b"5\r\nhello\r\n000\r\nX: y\r\n\r\n",
    "a size in full-width digits": "５\r\nhello\r\n0\r\n\r\n".encode(),
}


def refused(port: int, request: bytes) -> None:
    """One bare 400 and the end of the connection, or its end alone; nothing behind it is read."""
    found = answers(exchange(port, request + HIDDEN + LAST))
    assert [answer.status for answer in found] in ([400], []), found
    assert all(answer.body == b"" for answer in found), found


@pytest.mark.parametrize("name", UNCLEAR_LENGTHS)
def test_an_unclear_length_is_refused_and_nothing_behind_it_is_read(port: int, name: str) -> None:
    refused(port, post(UNCLEAR_LENGTHS[name], BODY))


@pytest.mark.parametrize("name", UNCLEAR_CODINGS)
def test_an_unclear_coding_is_refused_and_nothing_behind_it_is_read(port: int, name: str) -> None:
    refused(port, post(UNCLEAR_CODINGS[name], CHUNKS))


@pytest.mark.parametrize("path", [b"/translate", b"/translate/stream", b"/health", b"/nope"])
@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_a_chunk_that_is_none_is_refused_and_nothing_behind_it_is_read(
    port: int, name: str, path: bytes
) -> None:
    refused(port, post(CHUNKED, BAD_CHUNKS[name]).replace(b"/translate", path, 1))


@pytest.mark.parametrize("connection", [b"", b"Connection: keep-alive\r\n"])
def test_chunks_in_http_1_0_are_refused(port: int, connection: bytes) -> None:
    refused(port, post(connection + CHUNKED, CHUNKS, version=b"1.0"))


def test_a_bad_chunk_behind_an_early_answer_brings_no_second_answer(port: int) -> None:
    """A method that nobody knows is answered before the body is read."""
    request = b"BREW /translate HTTP/1.1\r\nHost: localhost\r\n" + CHUNKED + b"\r\nzz\r\n"
    found = answers(exchange(port, request + HIDDEN + LAST))
    assert [answer.status for answer in found] == [405]


CLEAR = {
    "a length": (CL + SIZE + b"\r\n", BODY),
    "a length with zeros before it": (CL + b"000" + SIZE + b"\r\n", BODY),
    "the same length twice": ((CL + SIZE + b"\r\n") * 2, BODY),
    "the same length twice in one line": (CL + SIZE + b", " + SIZE + b"\r\n", BODY),
    "a length between tabs": (CL + b"\t" + SIZE + b"\t\r\n", BODY),
    "a length in small letters": (b"content-length:" + SIZE + b"\r\n", BODY),
    "chunks": (CHUNKED, CHUNKS),
    "chunks in capitals": (TE + b"CHUNKED\r\n", CHUNKS),
    "chunks between tabs": (TE + b"\tchunked\t\r\n", CHUNKS),
    "a chunk for each byte": (
        CHUNKED,
        b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n",
    ),
    "a size with zeros before it": (CHUNKED, b"000" + CHUNKS),
    "a size in capitals": (
        CHUNKED,
        b"%X\r\n%b\r\n0\r\n\r\n" % (len(BODY) + 19, b" " * 19 + BODY),
    ),
    "a name that only looks like the header's": (
        b"Transfer_Encoding: chunked\r\n" + CL + SIZE + b"\r\n",
        BODY,
    ),
}


@pytest.mark.parametrize("name", CLEAR)
def test_a_clear_body_is_read_to_its_end_and_no_further(port: int, name: str) -> None:
    translated, last = answers(exchange(port, post(*CLEAR[name]) + LAST))
    assert json.loads(translated.body)["translation"] == "one two"
    assert json.loads(last.body) == {"status": "ok"}


@pytest.mark.parametrize("path", [b"/health", b"/nope", b"/metrics"])
@pytest.mark.parametrize("framing", ["a length", "chunks"])
def test_a_body_that_nobody_asked_for_is_no_request(port: int, path: bytes, framing: str) -> None:
    headers = {"a length": CL + b"%d\r\n" % len(HIDDEN), "chunks": CHUNKED}[framing]
    body = {"a length": HIDDEN, "chunks": b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)}[framing]
    request = b"GET %b HTTP/1.1\r\nHost: localhost\r\n%b\r\n%b" % (path, headers, body)
    found = answers(exchange(port, request + LAST))
    assert [answer.status for answer in found] == [404 if path == b"/nope" else 200, 200]


def test_segments_of_one_byte_change_nothing(port: int) -> None:
    request = post(CHUNKED, CHUNKS) + LAST
    pieces = [request[at : at + 1] for at in range(len(request))]
    whole = answers(exchange(port, request))
    assert [one.body for one in answers(exchange(port, *pieces))] == [one.body for one in whole]


LINES = st.sampled_from(
    [
        line
        for table in (UNCLEAR_LENGTHS, UNCLEAR_CODINGS)
        for line in table.values()
        if len(line) < 1000
    ]
    + [headers for headers, _ in CLEAR.values()]
    + [
        b"Host: other.localhost\r\n",
        b"Expect: 100-continue\r\n",
        b"Connection: close\r\n",
        b"\n",
        b"\r",
    ]
)
BODIES = st.sampled_from([body for _, body in CLEAR.values()] + list(BAD_CHUNKS.values()))


@settings(deadline=None)  # a busy machine is no failure
@given(lines=st.lists(LINES, max_size=4), body=BODIES, version=st.sampled_from([b"1.1", b"1.0"]))
def test_no_mixture_brings_more_answers_than_requests_or_a_hang(
    port: int, lines: list[bytes], body: bytes, version: bytes
) -> None:
    """The last request may be read as part of a body, and the rest of a body as a request."""
    received = exchange(port, post(b"".join(lines), body, version) + b"\r\n\r\n" + LAST)
    found = answers(received)
    assert len(found) <= 3
    assert all(answer.status in (200, 400, 404, 405) for answer in found)
