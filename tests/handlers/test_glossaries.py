"""`/glossaries` against a real server, and requests that name one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import ServerProcess
from tests.handlers.conftest import post_stream


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def http(folder: Path) -> Iterator[httpx.Client]:
    """A client of a server with a data folder of its own."""
    server = ServerProcess(
        *("--data.folder", str(folder), "--memory", "m.sqlite"),
        *("--engine.sequences", "2", "--engine.threads", "1"),
    )
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client
    log = server.log()
    server.stop()
    server.close()
    assert "Traceback" not in log, log
    assert (folder / "m.sqlite").is_file()


def test_without_a_glossary_nothing_is_written(http: httpx.Client, folder: Path) -> None:
    assert http.get("/glossaries").json() == {"glossaries": []}
    assert http.get("/glossaries/shop").status_code == 404
    assert not (folder / "glossaries.sqlite").exists()


def test_a_glossary_is_made_read_used_and_removed(http: httpx.Client) -> None:
    body = {"terms": {"station": "Haltepunkt"}, "source_lang": "English", "target_lang": "de"}
    about = {"name": "shop", "source_lang": "en", "target_lang": "de", "count": 1}
    made = http.put("/glossaries/shop", json=body)
    assert (made.status_code, made.json()) == (201, about)
    assert http.put("/glossaries/shop", json=body).status_code == 200
    assert about in http.get("/glossaries").json()["glossaries"]
    assert http.get("/glossaries/shop").json()["terms"] == [["station", "Haltepunkt"]]

    def missing() -> list[str]:
        request = {"text": "Where is the station?", "target_lang": "de", "glossary": "shop"}
        checks = http.post("/translate", json=request).json()["checks"]
        return [check["message"] for check in checks if check["check"] == "terms"]

    assert missing() == ["The glossary has 'Haltepunkt' for 'station'."]
    http.put("/glossaries/shop", json={"terms": {"station": "Bahnhof"}})
    assert missing() == []
    assert http.delete("/glossaries/shop").status_code == 204
    assert http.delete("/glossaries/shop").status_code == 404
    answer = http.post("/translate", json={"text": "Hi.", "glossary": "shop"})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_glossary")


@pytest.mark.parametrize(
    ("source", "target", "refused"),
    [
        ("en", "de", None),
        ("auto", "de", None),
        ("en-AU", "German", None),
        ("en", "fr", "into German, not French"),
        ("de", "en", "from English, not German"),
    ],
)
def test_one_for_other_languages_is_refused(
    http: httpx.Client, source: str, target: str, refused: str | None
) -> None:
    languages = {"source_lang": "en-GB", "target_lang": "de"}
    http.put("/glossaries/german", json={"terms": {"bill": "Rechnung"}, **languages})
    body = {"text": "The bill.", "source_lang": source, "target_lang": target, "cache": False}
    answer = http.post("/translate", json={**body, "glossary": "german"})
    if refused is None:
        assert answer.status_code == 200, answer.text
    else:
        assert answer.status_code == 400
        assert answer.json()["error"].endswith(f"is for translations {refused}.")
    http.delete("/glossaries/german")


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("text/csv; charset=utf-8", "bill,Rechnung\n"),
        ("text/tab-separated-values", "bill\tRechnung\n"),
        (
            "application/x-tbx",
            '<martif><termEntry><langSet xml:lang="en"><term>bill</term></langSet>'
            '<langSet xml:lang="de"><term>Rechnung</term></langSet></termEntry></martif>',
        ),
    ],
)
def test_files_are_taken(http: httpx.Client, kind: str, content: str) -> None:
    made = http.put(
        "/glossaries/file",
        params={"source_lang": "en", "target_lang": "de"},
        content=content,
        headers={"Content-Type": kind},
    )
    assert made.status_code in (200, 201), made.text
    assert http.get("/glossaries/file").json()["terms"] == [["bill", "Rechnung"]]


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("application/json", "{}"),
        ("application/json", '{"terms": {}}'),
        ("application/json", '{"terms": {"a": 1}}'),
        ("application/json", '{"terms": {"a": "b"}, "target_lang": 1}'),
        ("application/json", '{"terms": {"a": "b"}, "target_lang": "xx-nowhere"}'),
        ("text/csv", "a\n"),
        ("text/csv", b"\xff,b\n"),
        ("application/x-tbx", "<x/>"),
    ],
)
def test_bad_input_gets_a_sentence(http: httpx.Client, kind: str, content: str | bytes) -> None:
    answer = http.put("/glossaries/bad", content=content, headers={"Content-Type": kind})
    assert answer.status_code == 400, answer.text
    assert http.get("/glossaries/bad").status_code == 404


def test_names_are_plain(http: httpx.Client) -> None:
    for name in ("..", "a" * 65, "a%2Fb"):
        assert http.put(f"/glossaries/{name}", json={"terms": {"a": "b"}}).status_code in (404, 405)


def test_a_repeated_text_costs_no_tokens_and_streams_the_same_frames(http: httpx.Client) -> None:
    body = {
        "text": "Where is the station?",
        "target_lang": "fr",
        "stream_options": {"usage": True},
    }
    first, fresh = post_stream(http, **body), post_stream(http, **body, cache=False)
    for _ in range(20):  # nobody waits long for the memory, so a busy machine may miss it
        second = post_stream(http, **body)
        if second.events[0][1]["output_tokens"] == 0:
            break
    assert first.texts == second.texts == fresh.texts
    assert len(first.texts) > 2
    tokens = [stream.events[0][1]["output_tokens"] for stream in (first, second, fresh)]
    assert tokens[0] == tokens[2] > tokens[1] == 0
    assert 'babelbrook_memory_lookups_total{result="hit"} 1.0\n' in http.get("/metrics").text
