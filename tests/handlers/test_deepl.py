"""DeepL's paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import ServerProcess

TEXT = "Where is the station?"


def ask(client: httpx.Client, text: Any = TEXT, **more: Any) -> httpx.Response:
    body = {"text": text if isinstance(text, list) else [text], "target_lang": "DE", **more}
    return client.post("/v2/translate", json=body)


@pytest.fixture(scope="module")
def german(client: httpx.Client) -> str:
    body = {"text": TEXT, "target_lang": "de"}
    text: str = client.post("/translate", json=body).json()["translation"]
    return text


def test_texts_give_translations_in_their_order(client: httpx.Client, german: str) -> None:
    assert ask(client, [TEXT, "12", TEXT]).json() == {
        "translations": [
            {"detected_source_language": "EN", "text": german},
            {"detected_source_language": "EN", "text": "12"},
            {"detected_source_language": "EN", "text": german},
        ]
    }


def test_a_form_is_as_good_as_json(client: httpx.Client, german: str) -> None:
    form = {"text": [TEXT, TEXT], "target_lang": "DE", "show_billed_characters": "1"}
    answer = client.post("/v2/translate", data=form).json()
    assert [each["text"] for each in answer["translations"]] == [german, german]
    assert answer["translations"][0]["billed_characters"] == len(TEXT)
    one = client.post("/v2/translate", data={**form, "text": TEXT, "preserve_formatting": "0"})
    assert one.json()["translations"][0]["text"] == german


def test_variants_of_languages_are_understood(client: httpx.Client) -> None:
    for target in ("ZH-HANS", "ZH", "zh", "FR-FR", "ja"):
        assert ask(client, target_lang=target, source_lang="EN").status_code == 200


def test_tags_stay(client: httpx.Client) -> None:
    markup = f"<p>{TEXT}</p><x>The cat.</x>"
    for kind in ("xml", "html"):
        text = markup if kind == "html" else f"<d>{markup}</d>"
        answer = ask(client, text, tag_handling=kind, ignore_tags=["x"])
        assert answer.status_code == 200, answer.text
        assert "<x>The cat.</x>" in answer.json()["translations"][0]["text"]


def test_sentences_are_split_as_one_asks_for(client: httpx.Client) -> None:
    text = "Where is\nthe station? The dog\n  sleeps.\n\nI am tired."
    whole, lines, over_lines = (
        ask(client, text, split_sentences=how).json()["translations"][0]["text"]
        for how in ("0", 1, "nonewlines")
    )
    assert over_lines == "Wo ist\nder Bahnhof? Der Hund\n  schläft.\n\nIch bin müde."
    assert whole.count("\n") == lines.count("\n") == 4
    assert len({whole, lines, over_lines}) > 1
    one_line = "Where is the station? The dog sleeps."
    assert segments(client, one_line, split_sentences="0") == 1
    assert segments(client, one_line, split_sentences="nonewlines") == 2
    assert segments(client, text, split_sentences="0") == 2
    assert segments(client, text) == 5


def segments(client: httpx.Client, text: str, **more: str) -> int:
    """In how many pieces a text is translated, by our own stream."""
    body = {"text": text, "target_lang": "de", "stream_options": {"segment": True}, **more}
    return client.post("/translate/stream", json=body).text.count("event: segment")


def test_extras_come_where_they_are_asked_for(client: httpx.Client) -> None:
    answer = ask(client, "日本 ok", show_billed_characters=True, model_type="latency_optimized")
    [translation] = answer.json()["translations"]
    assert translation["billed_characters"] == 5
    assert translation["model_type_used"] == "quality_optimized"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"target_lang": "DE"}, "'text' not specified"),
        ({"text": [TEXT]}, "'target_lang' not supported"),
        ({"text": [TEXT], "target_lang": "KO"}, "not a language"),
        ({"text": [1], "target_lang": "DE"}, "'text"),
        ({"text": [TEXT], "target_lang": "DE", "formality": "very"}, "'formality'"),
        ({"text": [TEXT], "target_lang": "DE", "glossary_id": "x"}, "source_lang"),
        ({"text": [TEXT], "target_lang": "DE", "split_sentences": "2"}, "'split_sentences'"),
    ],
)
def test_errors_are_a_message(client: httpx.Client, body: dict[str, Any], words: str) -> None:
    answer = client.post("/v2/translate", json=body)
    assert answer.status_code == 400
    assert words in answer.json()["message"]


def test_too_much_is_a_413(client: httpx.Client) -> None:
    answer = ask(client, ["x"] * 1001)
    assert answer.status_code == 413
    assert answer.json()["message"]
    assert client.get("/v2/translate").json() == {"message": "Method Not Allowed"}


def test_languages_and_usage(client: httpx.Client) -> None:
    sources = client.get("/v2/languages").json()
    assert sources[0] == {"language": "EN", "name": "English"}
    assert [each["language"] for each in sources] == ["EN", "JA", "DE", "FR", "ES", "ZH"]
    targets = client.get("/v2/languages", params={"type": "target"}).json()
    codes = [each["language"] for each in targets]
    assert codes == ["JA", "DE", "FR", "ES", "ZH", "ZH-HANS", "EN-GB", "EN-US"]
    assert client.get("/v2/languages", params={"type": "x"}).status_code == 400
    before = client.get("/v2/usage").json()["character_count"]
    ask(client, [TEXT, TEXT])
    assert client.get("/v2/usage").json()["character_count"] == before + 2 * len(TEXT)


def test_glossaries_of_one_pair(client: httpx.Client) -> None:
    body = {"name": "mine", "source_lang": "EN", "target_lang": "de", "entries_format": "tsv"}
    made = client.post("/v2/glossaries", json={**body, "entries": "station\tBahnhof\ncat\tKatze"})
    assert made.status_code == 201
    glossary = made.json()
    assert (glossary["source_lang"], glossary["target_lang"]) == ("en", "de")
    assert (glossary["entry_count"], glossary["ready"]) == (2, True)
    path = f"/v2/glossaries/{glossary['glossary_id']}"
    assert client.get(path).json() == glossary
    assert glossary in client.get("/v2/glossaries").json()["glossaries"]
    assert client.get(f"{path}/entries").text == "station\tBahnhof\ncat\tKatze"
    more = {"source_lang": "EN", "glossary_id": glossary["glossary_id"]}
    assert ask(client, **more).status_code == 200
    assert "no dictionary" in ask(client, target_lang="FR", **more).json()["message"]
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    assert ask(client, **more).status_code == 404


def test_a_glossary_that_was_not_kept_to_is_told(client: httpx.Client) -> None:
    def told(translation: str) -> Any:
        entries = {"entries": f"station\t{translation}", "entries_format": "tsv"}
        body = {"name": "mine", "source_lang": "en", "target_lang": "de", **entries}
        id = client.post("/v2/glossaries", json=body).json()["glossary_id"]
        answer = ask(client, [TEXT, "Good morning."], source_lang="EN", glossary_id=id).json()
        return [translation.get("checks") for translation in answer["translations"]]

    message = "The glossary has 'Haltepunkt' for 'station'."
    check = {"check": "terms", "message": message, "start": 0, "end": len(TEXT)}
    assert told("Haltepunkt") == [[check], None]
    assert told("Bahnhof") == [None, None]


def test_glossaries_outlive_the_server(tmp_path: Path) -> None:
    entries = {"source_lang": "en", "target_lang": "de", "entries": "a\tb\nc\td"}
    before, after = [], []
    for seen in (before, after):
        server = ServerProcess("--engine", "echo", "--data.folder", str(tmp_path))
        with httpx.Client(base_url=server.url) as http:
            if seen is before:
                http.post("/v2/glossaries", json={"name": "old", **entries})
                french = {**entries, "target_lang": "fr"}
                body = {"name": "new", "dictionaries": [entries, french]}
                path = (
                    f"/v3/glossaries/{http.post('/v3/glossaries', json=body).json()['glossary_id']}"
                )
                more = {**entries, "entries": "c\tx\ne\tf"}
                http.patch(path, json={"name": "newer", "dictionaries": [more]})
            seen += [
                http.get("/v3/glossaries").json(),
                http.get(
                    f"{path}/entries", params={"source_lang": "en", "target_lang": "de"}
                ).json(),
            ]
        server.stop()
        server.close()
    assert before == after
    glossaries, terms = after
    assert [each["name"] for each in glossaries["glossaries"]] == ["old", "newer"]
    assert [len(each["dictionaries"]) for each in glossaries["glossaries"]] == [1, 2]
    assert terms["dictionaries"][0]["entries"] == "a\tb\nc\tx\ne\tf"


def test_glossaries_of_several_pairs(client: httpx.Client) -> None:
    german = {"source_lang": "en", "target_lang": "de", "entries": "a,b", "entries_format": "csv"}
    french = {"source_lang": "en", "target_lang": "fr", "entries": "a\tc"}
    body = {"name": "two", "dictionaries": [german]}
    path = f"/v3/glossaries/{client.post('/v3/glossaries', json=body).json()['glossary_id']}"
    patched = client.patch(path, json={"name": "new", "dictionaries": [french]}).json()
    assert patched["name"] == "new"
    assert [each["entry_count"] for each in patched["dictionaries"]] == [1, 1]
    assert client.get(path).json() == patched
    pair = {"source_lang": "EN", "target_lang": "FR"}
    [entries] = client.get(f"{path}/entries", params=pair).json()["dictionaries"]
    assert entries["entries"] == "a\tc"
    replaced = client.put(f"{path}/dictionaries", json={**french, "entries": "d\te\nf\tg"})
    assert replaced.json()["entry_count"] == 2
    assert client.delete(f"{path}/dictionaries", params=pair).status_code == 204
    assert client.get(f"{path}/entries", params=pair).status_code == 404
    assert client.delete(path).status_code == 204


@pytest.mark.parametrize("entries", ["", "one", "a\tb\tc", "a\t", "x" * 300 + "\ty"])
def test_entries_that_are_no_table_are_refused(client: httpx.Client, entries: str) -> None:
    body = {"name": "n", "source_lang": "en", "target_lang": "de", "entries": entries}
    assert client.post("/v2/glossaries", json=body).status_code == 400


def test_any_pair_may_have_a_glossary(client: httpx.Client) -> None:
    pairs = client.get("/v2/glossary-language-pairs").json()["supported_languages"]
    assert {"source_lang": "en", "target_lang": "ja"} in pairs


def test_a_document_without_its_key_is_not_there(client: httpx.Client) -> None:
    files = {"file": ("a.txt", b"Hello.")}
    made = client.post("/v2/document", files=files, data={"target_lang": "DE"}).json()
    path = f"/v2/document/{made['document_id']}"
    assert client.post(path, json={"document_key": "0" * 64}).status_code == 404
    assert client.post(path, json={"document_key": "é"}).status_code == 404
    assert client.post(f"{path}/result", json={}).status_code == 404
    wrong = client.post("/v2/document", files={"file": ("a.exe", b"x")}, data={"target_lang": "DE"})
    assert wrong.status_code == 400


def test_libretranslates_files(client: httpx.Client, german: str) -> None:
    form = {"source": "en", "target": "de"}
    file = {"file": ("a b.html", f"<p>{TEXT}</p>".encode())}
    url = client.post("/translate_file", files=file, data=form).json()["translatedFileUrl"]
    got = client.get(url)
    assert got.text.startswith("<p>")
    assert german.split()[0] in got.text
    assert got.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20b.html"
    assert got.headers["content-type"] == "application/octet-stream"
    assert client.post("/translate_file", data=form).status_code == 400
    binary = {"file": ("a.txt", b"\x00\xff\x01")}
    assert client.post("/translate_file", files=binary, data=form).status_code == 400
    assert client.get(f"{url[:-20]}0").status_code == 404
