"""DeepL's official client for Python, by its `server_url`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import deepl
import pytest
from deepl.api_data import MultilingualGlossaryDictionaryEntries

from tests.conftest import ServerProcess

TEXT = "Where is the station?"


@pytest.fixture(scope="module")
def api(server: ServerProcess) -> Iterator[deepl.DeepLClient]:
    client = deepl.DeepLClient("any", server_url=server.url, send_platform_info=False)
    yield client
    client.close()


def test_texts(api: deepl.DeepLClient) -> None:
    one = api.translate_text(TEXT, target_lang="DE")
    assert isinstance(one, deepl.TextResult)
    assert one.text
    assert (one.detected_source_lang, one.billed_characters) == ("EN", len(TEXT))
    two = api.translate_text([TEXT, "12"], source_lang="EN", target_lang="ZH-HANS")
    assert isinstance(two, list)
    assert two[1].text == "12"


def test_languages_usage_and_glossaries(api: deepl.DeepLClient) -> None:
    codes = [language.code for language in api.get_source_languages()]
    assert codes == ["EN", "JA", "DE", "FR", "ES", "ZH"]
    assert "JA" in [language.code for language in api.get_target_languages()]
    assert not api.get_usage().any_limit_reached
    old = api.create_glossary("old", "EN", "DE", {"station": "Bahnhof"})
    assert api.get_glossary_entries(old) == {"station": "Bahnhof"}
    assert api.translate_text(TEXT, source_lang="EN", target_lang="DE", glossary=old)
    terms = MultilingualGlossaryDictionaryEntries("EN", "DE", {"station": "Halt"})
    new = api.create_multilingual_glossary("new", [terms])
    assert new.dictionaries[0].entry_count == 1
    assert {each.name for each in api.list_multilingual_glossaries()} >= {"old", "new"}
    api.delete_glossary(old)
    api.delete_multilingual_glossary(new)
    with pytest.raises(deepl.GlossaryNotFoundException):
        api.get_glossary(old.glossary_id)


class Obedient(BaseHTTPRequestHandler):
    """An upstream whose model translates one sentence, with the word that the prompt wants."""

    def do_GET(self) -> None:
        self._answer("application/json", json.dumps({"data": [{"id": "gemma-2-2b-it"}]}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        wanted = re.search("^station -> (.+)$", body["messages"][-1]["content"], re.MULTILINE)
        text = f"Wo ist der {wanted[1] if wanted else 'Bahnhof'}?"
        choices = [{"delta": {"content": text}}, {"delta": {}, "finish_reason": "stop"}]
        frames = [json.dumps({"choices": [choice]}) for choice in choices]
        self._answer("text/event-stream", "".join(f"data: {f}\n\n" for f in [*frames, "[DONE]"]))

    def _answer(self, kind: str, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def told(tmp_path: Path) -> Iterator[deepl.DeepLClient]:
    """A client of a server whose model takes instructions."""
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Obedient)
    thread = Thread(target=upstream.serve_forever)
    thread.start()
    urls = json.dumps([f"http://127.0.0.1:{upstream.server_port}"])
    server = ServerProcess(
        *("--engine", "remote", "--remote.upstreams", urls, "--model", "gemma-2-2b-it"),
        *("--data.folder", str(tmp_path)),
    )
    client = deepl.DeepLClient("any", server_url=server.url, send_platform_info=False)
    yield client
    client.close()
    server.close()
    upstream.shutdown()
    thread.join(10)
    upstream.server_close()


def test_terms_change_translations(told: deepl.DeepLClient) -> None:
    def german(glossary: Any = None) -> str:
        result = told.translate_text(TEXT, source_lang="EN", target_lang="DE", glossary=glossary)
        assert isinstance(result, deepl.TextResult)
        return result.text

    assert german() == "Wo ist der Bahnhof?"
    terms = {"station": "Haltepunkt", "cat": "Kater"}
    glossary = told.create_glossary("mine", "EN", "DE", terms)
    assert german(glossary) == "Wo ist der Haltepunkt?"
    pair = MultilingualGlossaryDictionaryEntries("EN", "DE", {"station": "Halt"})
    several = told.create_multilingual_glossary("several", [pair])
    assert german(several) == "Wo ist der Halt?"
    pair = MultilingualGlossaryDictionaryEntries("EN", "DE", {"station": "Station"})
    told.update_multilingual_glossary_dictionary(several, pair)
    assert german(several) == "Wo ist der Station?"
    entries = told.get_multilingual_glossary_entries(several, "EN", "DE").dictionaries[0].entries
    assert entries == "station\tStation"
    told.delete_multilingual_glossary_dictionary(several, source_lang="EN", target_lang="DE")
    with pytest.raises(deepl.GlossaryNotFoundException):
        told.get_multilingual_glossary(several)


@pytest.mark.slow  # the client looks every five seconds
def test_documents(api: deepl.DeepLClient, tmp_path: Path) -> None:
    expected = api.translate_text(TEXT, target_lang="DE")
    assert isinstance(expected, deepl.TextResult)
    source, target = tmp_path / "a.txt", tmp_path / "b.txt"
    source.write_text(TEXT)
    status = api.translate_document_from_filepath(source, target, target_lang="DE")
    assert status.done
    assert status.billed_characters == len(TEXT)
    assert target.read_text("utf-8") == expected.text


def test_errors_are_told_apart(api: deepl.DeepLClient) -> None:
    with pytest.raises(deepl.DeepLException, match="not a language"):
        api.translate_text(TEXT, target_lang="KO")
