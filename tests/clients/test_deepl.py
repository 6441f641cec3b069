"""DeepL's official client for Python, by its `server_url`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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
