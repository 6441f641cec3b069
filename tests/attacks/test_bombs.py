"""Small requests that would take much time or memory: each is answered, soon and with little."""

from __future__ import annotations

import gzip
import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.memory import tmx
from engine.translation import formats
from tests.attacks.conftest import memory, translate, upload
from tests.conftest import ServerProcess

pytestmark = pytest.mark.usefixtures("unharmed")

ROOM = 150.0  # MiB that an attack may take; those here would take a gigabyte or more
PAIR = {"source_lang": "en", "target_lang": "de"}


@contextmanager
def little_memory(server: ServerProcess) -> Iterator[None]:
    before = memory(server)
    yield
    assert memory(server) - before < ROOM


# What is packed


@cache
def gzip_bomb() -> bytes:
    return gzip.compress(b'{"text": "' + bytes(200_000_000), 1)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "identity"])
@pytest.mark.parametrize("path", ["/translate", "/v2/translate", "/v1/completions", "/detect"])
def test_packed_bodies_are_not_unpacked(
    victim: ServerProcess, http: httpx.Client, path: str, coding: str
) -> None:
    headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
    with little_memory(victim):
        assert http.post(path, content=gzip_bomb(), headers=headers).status_code == 400


def zlib_bomb(head: bytes, size: int) -> bytes:
    """A zlib stream that begins with `head` as it is and unpacks to `size` more bytes."""
    stored = b"\0" + len(head).to_bytes(2, "little") + (0xFFFF - len(head)).to_bytes(2, "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    check = zlib.adler32(bytes(size), zlib.adler32(head))
    return (
        b"\x78\x9c"
        + stored
        + head
        + packer.compress(bytes(size))
        + packer.flush()
        + (check.to_bytes(4, "big"))
    )


def test_a_file_cannot_name_zlib_as_its_encoding(victim: ServerProcess, http: httpx.Client) -> None:
    bomb = zlib_bomb(b'<?xml encoding="zlib"?>', 300_000_000)
    assert len(zlib.decompress(bomb)) > 300_000_000
    with little_memory(victim):
        assert upload(http, "a.xml", bomb).status_code == 400


@pytest.mark.parametrize(
    "codec",
    [
        "zlib",
        "bz2",
        "hex",
        "base64",
        "rot13",
        "uu",
        "quopri",
        "idna",
        "punycode",
        "undefined",
        "unicode_escape",
        "raw_unicode_escape",
        "utf-7",
        "mbcs",
        "nothing",
    ],
)
def test_only_encodings_decode_files(http: httpx.Client, codec: str) -> None:
    text = f"charset={codec}\nGrüße aus Köln, \\x41 +AEE-".encode("cp1252")
    answer = upload(http, "a.txt", text)
    assert answer.status_code == 200, answer.text
    assert answer.content == text
    assert codec not in answer.headers["content-type"]


@pytest.mark.parametrize("name", ["a.docx", "a.odt", "a.epub", "a.zip", "a.gz", "a.txt", "a.json"])
def test_archives_are_no_documents(victim: ServerProcess, http: httpx.Client, name: str) -> None:
    with little_memory(victim):
        assert upload(http, name, gzip_bomb()).status_code == 400


# XML

ATTRIBUTES = " ".join(f'b{number} CDATA "x"' for number in range(3_000))
DECLARED = f"<!DOCTYPE r [<!ATTLIST a {ATTRIBUTES}>]><r>{'<a/>' * 20_000}</r>"
LAUGHS = (
    '<!DOCTYPE a [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
    + "]><a>&j;</a>"
)
SECRET = "file:///etc/hostname"
EXTERNAL = f'<!DOCTYPE a [<!ENTITY a SYSTEM "{SECRET}">]><a>&a;</a>'
PARAMETER = f'<!DOCTYPE a [<!ENTITY % a SYSTEM "{SECRET}">%a;]><a/>'
XML = {"attributes": DECLARED, "laughs": LAUGHS, "external": EXTERNAL, "parameter": PARAMETER}


@pytest.mark.parametrize("name", XML)
@pytest.mark.parametrize("format_", ["xml", "xliff"])
def test_xml_bombs_are_refused(
    victim: ServerProcess, http: httpx.Client, format_: str, name: str
) -> None:
    with little_memory(victim):
        answer = translate(http, XML[name], format_)
    assert answer.status_code == 400
    assert "cannot be read as XML" in answer.json()["error"]


def test_declared_attributes_are_not_given_to_each_element(
    victim: ServerProcess, http: httpx.Client
) -> None:
    few = DECLARED.replace(ATTRIBUTES, " ".join(ATTRIBUTES.split()[: 3 * 900]))
    with little_memory(victim):
        assert translate(http, few, "xml").json()["translation"] == few


@pytest.mark.parametrize("name", XML)
def test_tbx_bombs_are_refused(victim: ServerProcess, http: httpx.Client, name: str) -> None:
    headers = {"Content-Type": "application/x-tbx"}
    with little_memory(victim):
        answer = http.put("/glossaries/g", content=XML[name], params=PAIR, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("This is no TBX that can be read")


@pytest.mark.parametrize("name", XML)
def test_tmx_bombs_are_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "a.tmx"
    file.write_text(XML[name])
    with pytest.raises(tmx.UnreadableTmx):
        list(tmx.read(file))


@pytest.mark.parametrize("kind", ["xml", "html", "tbx"])
def test_no_document_makes_the_server_ask_for_another(http: httpx.Client, kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.3)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/x"
        document = (
            f'<!DOCTYPE a SYSTEM "{address}"><a><img src="{address}"/>'
            f'<x:include xmlns:x="http://www.w3.org/2001/XInclude" href="{address}"/></a>'
        )
        if kind == "tbx":
            headers = {"Content-Type": "application/x-tbx"}
            answer = http.put("/glossaries/g", content=document, params=PAIR, headers=headers)
            assert answer.status_code == 400
        else:
            assert translate(http, document, kind).json()["translation"] == document
        with pytest.raises(TimeoutError):
            listening.accept()


# Documents of a kind that a careless pattern takes for ever to look at, or a parser to leave

CUE = "1\n00:00:01,000 --> 00:00:02,000\n"
DOCUMENTS = {
    "tags in a line of subtitles": ("srt", f"{CUE}{'.<' * 400_000}\nHello\n"),
    "the same with quotes": ("vtt", f"WEBVTT\n\n{CUE}{'.<a ' * 30_000}\nHello\n"),
    "lines of one cue": ("srt", CUE + "a\n" * 100_000),
    "open tags": ("html", "<b>" * 60_000),
    "open comments": ("html", "<!--" * 200_000),
    "attributes": ("html", f"<a {'b=c ' * 100_000}>"),
    "a document in code": ("html", f"<pre>{'<b>' * 60_000}"),
    "elements": ("xml", "<a>" * 20_000 + "</a>" * 20_000),
    "brackets of JSON": ("json", "[" * 100_000 + "]" * 100_000),
    "digits of JSON": ("json", f"[{'9' * 500_000}]"),
    "brackets of Markdown": ("markdown", "[a](" * 60_000),
    "stars": ("markdown", "*a_ " * 60_000),
    "quotations": ("markdown", ">" * 40_000 + " a"),
    "code in Markdown": ("markdown", f"a <code>{'*a*' * 60_000}"),
    "dollars": ("markdown", "$a" * 60_000),
    "empty strings of PO": ("po", 'msgid ""\n' + '""\n' * 100_000 + 'msgstr ""\n'),
    "units of XLIFF": ("xliff", f"<xliff>{'<unit>' * 20_000}{'</unit>' * 20_000}</xliff>"),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_take_no_longer_than_they_are_long(http: httpx.Client, name: str) -> None:
    format_, document = DOCUMENTS[name]
    assert translate(http, document, format_).json()["translation"] == document


def test_a_document_nested_without_end_is_refused(http: httpx.Client) -> None:
    assert translate(http, ">" * 1_000_000, "markdown").status_code == 400


IN_PIECES = (
    *("lines of one cue", "open tags", "a document in code", "elements", "stars", "dollars"),
    *("brackets of Markdown", "quotations", "code in Markdown"),
)


@pytest.mark.parametrize("name", IN_PIECES)
def test_no_step_through_a_document_is_long(name: str) -> None:
    """Between two parts others on the event loop have their turn."""
    format_, document = DOCUMENTS[name]
    assert max(len(part.raw) for part in formats.parts(format_, document)) < 40_000


# Tables of terms


def deepl(http: httpx.Client, entries: str, **more: Any) -> httpx.Response:
    return http.post("/v2/glossaries", json={"name": "n", **PAIR, "entries": entries, **more})


def test_a_thousand_terms_are_found_as_quickly_as_one(http: httpx.Client) -> None:
    terms = [[f"a {number} {'x' * 190}", "y"] for number in range(20_000)]
    assert http.put("/glossaries/many", json={"terms": terms}).status_code in (200, 201)
    text = ("a " * 700 + ". ") * 40
    answer = translate(http, text, "text", glossary="many")
    assert answer.json()["translation"] == text


@pytest.mark.parametrize(
    ("entries", "format_", "status"),
    [
        ("a," + "b" * 200_000, "csv", 400),
        ('a,"' + "b" * 200_000, "csv", 400),
        ("a\x07\tb\x1b", "tsv", 400),
        ("a\0,b", "csv", 400),
        ("a,b\n" * 1_500_000, "csv", 413),
        ("\n" * 1_500_000, "csv", 400),
    ],
    ids=["long cell", "open quote", "control characters", "NUL", "lines", "empty lines"],
)
def test_tables_of_deepls_are_bounded(
    victim: ServerProcess, http: httpx.Client, entries: str, format_: str, status: int
) -> None:
    with little_memory(victim):
        assert deepl(http, entries, entries_format=format_).status_code == status


def test_one_client_cannot_fill_the_disk_with_glossaries(http: httpx.Client) -> None:
    entries = "\n".join(f"{number} {'漢' * 190}\t{'字' * 200}" for number in range(1_000))
    pairs = [{"source_lang": "en", "target_lang": f"x{n}", "entries": entries} for n in range(5)]
    made, status = [], 201
    for _ in range(20):
        answer = http.post("/v3/glossaries", json={"name": "n", "dictionaries": pairs})
        if (status := answer.status_code) != 201:
            break
        made.append(answer.json()["glossary_id"])
    assert status == 413
    assert len(made) < 20
    for each in made:
        assert http.delete(f"/v3/glossaries/{each}").status_code == 204


@pytest.mark.parametrize("kind", ["text/csv", "text/tab-separated-values", "application/x-tbx"])
def test_tables_of_millions_of_terms_are_refused(
    victim: ServerProcess, http: httpx.Client, kind: str
) -> None:
    rows = {"text/csv": "a,b\n", "text/tab-separated-values": "a\tb\n"}
    entry = "<termEntry><langSet xml:lang='{}'><term>a</term></langSet></termEntry>"
    tbx = f"<a>{entry.format('en') * 30_000}</a>"
    content = rows[kind] * 1_500_000 if kind in rows else tbx
    with little_memory(victim):
        answer = http.put(
            "/glossaries/g", content=content, params=PAIR, headers={"Content-Type": kind}
        )
    assert answer.status_code == 400


def test_terms_of_a_megabyte_are_refused(http: httpx.Client) -> None:
    for terms in ({"a" * 1_000_000: "b"}, [["a", "b"]] * 100_000):
        answer = translate(http, "a", "text", glossary=terms)
        assert answer.status_code in (400, 413)


# JSON and forms

NUMBER = b"9" * 4_000
BODIES = {
    "lists": b'{"text": [' + b"[]," * 2_000_000 + b"[]]}",
    "objects": b'{"x": [' + b'{"a":1},' * 900_000 + b"1]}",
    "names": b"{" + b",".join(b'"%d":1' % n for n in range(600_000)) + b"}",
    "long numbers": b'{"x": [' + b",".join([NUMBER] * 2_000) + b"]}",
    "one number": b'{"x": ' + b"9" * 8_000_000 + b"}",
    "nesting": b"[" * 4_000_000,
    "quotes": b'"' * 8_000_000,
    "tag names": b'{"text": "a", "ignore_tags": [' + b"1," * 200_000 + b"1]}",
    "long language": b'{"text": "a", "target_lang": "' + b"de-" * 2_000_000 + b'"}',
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("path", ["/translate", "/v1/chat/completions", "/v2/translate"])
def test_json_is_not_made_into_millions_of_objects(
    victim: ServerProcess, http: httpx.Client, path: str, name: str
) -> None:
    answer = http.post(path, content=BODIES[name])
    assert answer.status_code in (400, 413), answer.text[:200]
    assert len(answer.content) < 2_000


def test_text_of_nothing_but_marks_is_not_taken_for_values(http: httpx.Client) -> None:
    text = ',[{"\\' * 60_000 + "9" * 10_000
    assert translate(http, text, "text").json()["translation"] == text


def part(head: str, value: str = "v") -> str:
    return f"--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n"


FORMS = {
    "fields": ("application/x-www-form-urlencoded", "q=a&" * 1_000_000),
    "parts": ("multipart/form-data; boundary=x", part('name="q"') * 100_000 + "--x--\r\n"),
    "a long head": ("multipart/form-data; boundary=x", part(f'name="{"q" * 999_999}"') + "--x--"),
    "parameters": ("multipart/form-data; boundary=x", part(";" * 9_000) + "--x--\r\n"),
    "heads": ("multipart/form-data; boundary=x", part("\r\nA: b" * 500_000) + "--x--\r\n"),
    "no end": ("multipart/form-data; boundary=x", "--x\r\n" * 1_000_000),
    "a long boundary": (f"multipart/form-data; boundary={'x' * 20_000}", "--x--"),
    "an empty boundary": ('multipart/form-data; boundary=""', "----\r\n" * 100_000),
    "forms in a form": (
        "multipart/form-data; boundary=x",
        part('name="q"', part('name="target"').replace("--x", "--y")) + "--x--\r\n",
    ),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("path", ["/translate", "/translate/file", "/v2/document"])
def test_forms_are_bounded(victim: ServerProcess, http: httpx.Client, path: str, name: str) -> None:
    kind, body = FORMS[name]
    with little_memory(victim):
        answer = http.post(path, content=body, headers={"Content-Type": kind})
    assert answer.status_code == 400


# All at once


def test_others_are_served_meanwhile(http: httpx.Client, victim: ServerProcess) -> None:
    """While one client sends what takes a second or more, another one is answered all the time."""
    over = threading.Event()
    answers: list[int] = []

    def ask() -> None:
        with httpx.Client(base_url=victim.url, timeout=40) as other:
            while not over.is_set():
                answers.append(other.get("/health").status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        assert translate(http, "<b>" * 300_000, "html").status_code == 200
    finally:
        over.set()
        asking.join()
    assert set(answers) == {200}
    assert len(answers) > 20
