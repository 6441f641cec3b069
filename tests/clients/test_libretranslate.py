"""`libretranslatepy`, which sends forms."""

from __future__ import annotations

from libretranslatepy import LibreTranslateAPI

from tests.conftest import ServerProcess


def test_the_client_of_libretranslate(server: ServerProcess) -> None:
    api = LibreTranslateAPI(server.url, api_key="any")
    german = api.translate("Where is the station? 1 | 2", "en", "de")
    assert german
    assert "|" in german
    assert api.translate("Where is the station? 1 | 2", "auto", "de") == german
    assert api.detect("Where is the next station, please?")[0]["language"] == "en"
    english, *_ = api.languages()
    assert (english["code"], english["name"]) == ("en", "English")
