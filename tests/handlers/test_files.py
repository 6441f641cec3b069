"""`POST /translate/file`: files come back translated, in their format, encoding and name."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import httpx
import lxml.html
import pytest

from tests.conftest import ROOT, ServerProcess
from tests.engine.translation.formats.test_markdown import skeleton
from tests.handlers.conftest import post_stream

PAGE = (ROOT / "tests" / "data" / "page.html").read_bytes()
XML = b'<?xml version="1.0"?>\r\n<r>\n  <p>Hello  <b>there</b> &#233;</p></r>\n'
SRT = b"1\r\n00:00:01,000 --> 00:00:02,000\r\nHello\r\nthere.\r\n\r\n"


@pytest.fixture(scope="module")
def echo() -> Iterator[httpx.Client]:
    """A server that gives every text back, with a small limit."""
    process = ServerProcess("--engine", "echo", "--limits.text_bytes", "100000")
    with httpx.Client(base_url=process.url, timeout=60) as http:
        yield http
    log = process.log()
    process.close()
    assert "Traceback" not in log, log


def send(client: httpx.Client, name: str, data: bytes, **fields: Any) -> httpx.Response:
    fields = {"target_lang": "de", "source_lang": "en", **fields}
    headers = fields.pop("headers", {})
    return client.post(
        "/translate/file", files={"file": (name, data)}, data=fields, headers=headers
    )


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("page.html", PAGE, "text/html"),
        ("README.md", (ROOT / "README.md").read_bytes(), "text/markdown"),
        ("a.xml", XML, "application/xml"),
        ("film.srt", SRT, "application/x-subrip"),
        ("film.vtt", b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello &amp; bye\n", "text/vtt"),
        ("a.json", rb'{"a": ["caf\u00e9", 1.0, {"b" :"x\/y"}]}', "application/json"),
        ("a.TXT", b"Hello there.\r\n\r\n  How are you?\t\n", "text/plain"),
    ],
)
def test_a_file_comes_back_in_its_format_byte_for_byte(
    echo: httpx.Client, name: str, data: bytes, kind: str
) -> None:
    answer = send(echo, name, data)
    assert answer.status_code == 200, answer.text
    assert answer.content == data
    assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
    stem, _, suffix = name.rpartition(".")
    saved_as = f'attachment; filename="{stem}.de.{suffix}";'
    assert answer.headers["content-disposition"].startswith(saved_as)


def test_progress_comes_as_events_and_last_the_text(echo: httpx.Client) -> None:
    answer = send(echo, "page.html", PAGE, headers={"Accept": "text/event-stream"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(frame.removeprefix("data: ")) for frame in answer.text.split("\n\n")[:-1]]
    *progress, done = events
    assert {event["status"] for event in progress} == {"translating"}
    percents = [event["progress"] for event in progress]
    assert percents == sorted(set(percents))
    assert len(percents) > 5
    assert (done["status"], done["filename"], done["format"]) == ("done", "page.de.html", "html")
    assert done["text"].encode() == PAGE


@pytest.mark.parametrize(
    ("name", "text", "charset", "bom"),
    [
        ("a.xml", '<?xml version="1.0" encoding="iso-8859-1"?><a>été</a>', "iso-8859-1", b""),
        ("a.html", '<meta charset="windows-1252"><p>déjà “vu”</p>', "windows-1252", b""),
        ("a.txt", "Grüße", "utf-16-le", b"\xff\xfe"),
        ("a.md", "# Grüße", "utf-8", b"\xef\xbb\xbf"),
    ],
)
def test_a_file_keeps_its_encoding(
    echo: httpx.Client, name: str, text: str, charset: str, bom: bytes
) -> None:
    answer = send(echo, name, bom + text.encode(charset))
    assert answer.content == bom + text.encode(charset)
    assert answer.headers["content-type"].endswith(f"charset={charset}")
    events = send(echo, name, bom + text.encode(charset), headers={"Accept": "text/event-stream"})
    done = json.loads(events.text.rstrip().rpartition("\n\ndata: ")[2])
    assert (done["text"], done["charset"]) == (text, charset)
    assert b64decode(done["base64"]) == bom + text.encode(charset)


def test_a_glossary_is_looked_for_in_a_file_too(client: httpx.Client) -> None:
    for glossary in ('{"station": "Halt"}', ' [["station", "Halt"]]'):
        answer = send(client, "a.txt", b"Where is the station?", glossary=glossary)
        assert answer.headers["ignored-fields"] == "glossary"  # the model takes none
    answer = send(client, "a.txt", b"Yes.", glossary='{"station": 1}')
    assert answer.json()["error"].startswith("'glossary' is wrong")
    assert send(client, "a.txt", b"Yes.", glossary="[").json()["error"] == "Invalid JSON"
    assert send(client, "a.txt", b"Yes.", glossary="nowhere").status_code == 404


def test_an_encoding_that_nobody_tells_is_found_in_the_text(echo: httpx.Client) -> None:
    text = "Der Käse schmeckt den Mädchen in Österreich außerordentlich gut. " * 20
    assert send(echo, "a.txt", text.encode("cp1252")).content.decode("cp1252") == text


@pytest.mark.parametrize(
    ("name", "saved_as"),
    [
        ("../../etc/pass wd.txt", 'filename="pass wd.de.txt"'),
        ("C:\\\\temp\\\\..\\\\a.txt", 'filename="a.de.txt"'),
        ("日本.txt", "filename=\"__.de.txt\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.de.txt"),
    ],
)
def test_a_name_is_only_a_name(echo: httpx.Client, name: str, saved_as: str) -> None:
    answer = send(echo, name, b"Hello")
    assert answer.headers["content-disposition"].startswith(f"attachment; {saved_as}")


@pytest.mark.parametrize(
    ("name", "data", "fields", "status", "sentence"),
    [
        ("a.docx", b"x", {}, 400, "The format of 'a.docx' is not known. Name one in 'format'"),
        ("a", b"x", {"format": "odt"}, 400, "'format' must be one of text, "),
        ("a.xml", b"<a>\n<b></a>", {}, 400, "cannot be read as XML: mismatched tag, line 2"),
        ("a.json", b"{", {}, 400, "The text cannot be read as JSON: line 1, column 2"),
        ("a.txt", b"\x00\x01\xff\xfe\x80", {}, 400, "The file is no text in an encoding that is"),
        ("a.txt", b"x", {"max_tokens": "many"}, 400, "'max_tokens' is wrong"),
        ("a.txt", b"x" * 100_001, {}, 413, "The text is longer than 100,000 bytes."),
    ],
)
def test_what_cannot_be_translated_is_refused_with_a_reason(
    echo: httpx.Client, name: str, data: bytes, fields: dict[str, str], status: int, sentence: str
) -> None:
    answer = send(echo, name, data, **fields)
    assert (answer.status_code, sentence in answer.json()["error"]) == (status, True), answer.text


def test_a_form_without_one_file_is_refused(echo: httpx.Client) -> None:
    assert "Send a form" in echo.post("/translate/file", json={"text": "x"}).json()["error"]
    for files in ([("x", b"x")], [("file", b"x"), ("file", b"y")]):
        answer = echo.post("/translate/file", files=files)
        assert answer.json() == {
            "error": "'file' is required, and just one.",
            "code": "bad_request",
        }
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = echo.post("/translate/file", content=b"--x\r\nnonsense", headers=broken)
    assert answer.status_code == 400


def test_elements_can_be_left_alone(echo: httpx.Client) -> None:
    answer = send(echo, "a.xml", b"<a><b>x</b><c>y</c></a>", ignore_tags="b, c")
    assert answer.content == b"<a><b>x</b><c>y</c></a>"


STUBBORN = "x" * 300  # over which the embedded model repeats itself
CUT = "Yes.\nOne two three.\nNo."  # a word is a token of the echo engine


def test_a_segment_that_fails_stays_as_it_is_and_a_header_names_it(echo: httpx.Client) -> None:
    answer = send(echo, "a.txt", CUT.encode(), max_tokens="1")
    assert (answer.status_code, answer.text) == (200, CUT)
    kept = [entry.split(";") for entry in answer.headers["untranslated-segments"].split(", ")]
    places = [tuple(int(field.partition("=")[2]) for field in fields) for _, *fields in kept]
    assert "".join(CUT[start:end] for start, end in places) == CUT.replace("\n", "")
    assert {code for code, *_ in kept} == {"cut_short"}
    assert "untranslated-segments" not in send(echo, "a.txt", CUT.encode()).headers


def test_the_last_event_names_what_stayed_as_it_is(echo: httpx.Client) -> None:
    headers = {"Accept": "text/event-stream"}
    answer = send(echo, "a.txt", b"Yes. " * 1200, max_tokens="1", headers=headers)
    done = json.loads(answer.text.rstrip().rpartition("\n\ndata: ")[2])
    assert [note["code"] for note in done["notes"]] == ["untranslated"]
    assert done["notes"][0]["message"].startswith("1,200 segments came back as the source")
    assert done["untranslated"][1] == {"start": 5, "end": 9, "code": "cut_short"}
    assert len(done["untranslated"]) == 1000


def test_a_file_can_be_refused_for_a_segment_that_fails(echo: httpx.Client) -> None:
    answer = send(echo, "a.txt", CUT.encode(), max_tokens="1", on_failure="error")
    assert (answer.status_code, answer.json()["code"]) == (422, "cut_short")
    answer = send(echo, "a.txt", CUT.encode(), on_failure="shrug")
    assert answer.json()["error"].startswith("'on_failure' is wrong")


def test_a_text_can_keep_what_fails_as_it_is(echo: httpx.Client) -> None:
    body = {"text": CUT, "target_lang": "de", "source_lang": "en", "max_tokens": 1}
    assert echo.post("/translate", json=body).json()["code"] == "cut_short"
    assert post_stream(echo, **body).error["code"] == "cut_short"
    body["on_failure"] = "keep_source"
    answer = echo.post("/translate", json=body).json()
    assert answer["translation"] == CUT
    assert answer["untranslated"][0] == {"start": 0, "end": 4, "code": "cut_short"}
    assert answer["checks"][0]["check"] == "untranslated"
    assert [note["code"] for note in answer["notes"]] == ["untranslated"]
    stream = post_stream(echo, **body, stream_options={"usage": True, "checks": True})
    assert (stream.joined, stream.done) == (CUT, True)
    events = dict(stream.events)
    assert events["checks"] == answer["checks"]
    assert events["usage"]["untranslated"] == answer["untranslated"]
    several = echo.post("/translate", json={**body, "text": [CUT, "Yes."]}).json()
    assert [len(kept) for kept in several["untranslated"]] == [len(answer["untranslated"]), 1]


@pytest.mark.parametrize("path", ["/translate_file", "/v2/document"])
def test_documents_of_other_apis_keep_what_fails_too(client: httpx.Client, path: str) -> None:
    data = {"target": "de", "target_lang": "DE", "source": "en", "source_lang": "EN"}
    answer = client.post(path, files={"file": ("a.txt", STUBBORN.encode())}, data=data).json()
    if path == "/v2/document":
        key = {"document_key": answer["document_key"]}
        at = f"/v2/document/{answer['document_id']}"
        while (answer := client.post(at, json=key).json())["status"] != "done":
            assert answer["status"] in ("queued", "translating"), answer
            time.sleep(0.01)
    assert answer["untranslated_segments"] > 0


def test_what_has_no_effect_on_a_file_is_named(echo: httpx.Client, client: httpx.Client) -> None:
    fields = {"alternatives": "2", "api_key": "", "text": "x", "fo\u00f6, ": "1"}
    answer = send(echo, "a.txt", b"Yes.", **fields)
    assert answer.headers["ignored-fields"] == "fo%C3%B6%2C%20, text, alternatives"
    events = {"Accept": "text/event-stream"}
    answer = send(client, "a.txt", b"Yes.", formality="more", headers=events)
    assert json.loads(answer.text.rstrip().rpartition("\n\ndata: ")[2])["ignored"] == ["formality"]
    assert "ignored-fields" not in send(echo, "a.txt", b"Yes.", max_tokens="9").headers


@pytest.mark.parametrize(
    ("format_", "document"), [("html", PAGE.decode()), ("json", '{"a": ["b c", "\\u00e9"]}')]
)
def test_a_document_in_a_request_is_streamed_as_it_is_answered(
    echo: httpx.Client, format_: str, document: str
) -> None:
    body = {"text": document, "format": format_, "target_lang": "de", "source_lang": "en"}
    assert echo.post("/translate", json=body).json()["translation"] == document
    assert post_stream(echo, **body).joined == document


@pytest.mark.parametrize("path", ["/translate", "/translate/stream"])
def test_a_document_that_is_not_of_its_format_is_refused_before_a_stream(
    echo: httpx.Client, path: str
) -> None:
    long = "<a>" + "<b>x</b>" * 10_000
    for text in ("<a>\n<b></a>", long):
        answer = echo.post(path, json={"text": text, "format": "xml", "source_lang": "en"})
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("The text cannot be read as XML: ")


@pytest.mark.slow
def test_the_embedded_model_keeps_every_tag_and_link_of_a_page(client: httpx.Client) -> None:
    answer = send(client, "page.html", PAGE)
    assert answer.status_code == 200, answer.text
    translated, source = answer.content.decode(), PAGE.decode()
    assert "Garten" in translated
    assert elements(translated) == elements(source)
    for kept in ("<pre>\n  do not   touch\n    &lt;this&gt;\n</pre>", "Babelbrook Ltd.",
                 '<span class="name notranslate">Big Ben</span>', "Do not translate me.",
                 '<code>make run &amp;&amp; echo "done"</code>',
                 "<!-- A comment with <b>"):  # fmt: skip
        assert kept in translated
    assert source[source.index("<style>") : source.index("</head>")] in translated


READ = {"alt", "title", "content", "placeholder", "abbr", "aria-label"}


def elements(document: str) -> list[tuple[str, dict[str, str]]]:
    """The elements with the attributes that are not translated."""
    nodes = lxml.html.document_fromstring(document).iter()
    return [(str(n.tag), {k: v for k, v in n.attrib.items() if k not in READ}) for n in nodes]


@pytest.mark.slow
@pytest.mark.parametrize("target", ["ja", "zh"])
def test_the_embedded_model_keeps_every_link_and_code_block_of_the_readme(
    client: httpx.Client, target: str
) -> None:
    """Over some of its sentences the model repeats itself, or does not finish them."""
    readme = (ROOT / "README.md").read_bytes()
    answer = send(client, "README.md", readme, target_lang=target)
    assert answer.status_code == 200, answer.text
    translated = answer.content.decode()
    assert translated != readme.decode()
    assert skeleton(translated) == skeleton(readme.decode())
