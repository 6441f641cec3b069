"""What the clients of DeepL and LibreTranslate make of keys, rates, quotas and limits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.error import HTTPError

import deepl
import pytest
from libretranslatepy import LibreTranslateAPI

from tests.conftest import ServerProcess
from tests.handlers.keyed import Keyed

TEXT = "Hello there."

Client = Callable[[str], deepl.DeepLClient]


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Keyed:
    return Keyed(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def keys(keyed: Keyed) -> dict[str, str]:
    """One that may do all, some for one request or one token a day, one that may only watch."""
    return {
        "free": keyed.add("free", "translate"),
        "other": keyed.add("other", "translate"),
        "slow": keyed.add("slow", "translate", rate="1/day"),
        "small": keyed.add("small", "translate", tokens=1),
        "often": keyed.add("often", "translate", rate="1/day"),
        "much": keyed.add("much", "translate", tokens=1),
        "watcher": keyed.add("watcher", "observe"),
    }


@pytest.fixture(scope="module")
def served(keyed: Keyed, keys: dict[str, str]) -> Iterator[ServerProcess]:
    server = keyed.serve("--limits.text_bytes", "100")
    yield server
    log = server.log()
    server.close()
    assert "Traceback" not in log, log


@pytest.fixture
def client(served: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """`client(key)`: one of DeepL's that gives up at once."""
    monkeypatch.setattr(deepl.http_client, "max_network_retries", 0)
    made: list[deepl.DeepLClient] = []

    def make(key: str) -> deepl.DeepLClient:
        made.append(deepl.DeepLClient(key, server_url=served.url, send_platform_info=False))
        return made[-1]

    yield make
    for each in made:
        each.close()


def translate(client: deepl.DeepLClient, text: str = TEXT) -> str:
    result = client.translate_text(text, target_lang="DE")
    assert isinstance(result, deepl.TextResult)
    return result.text


def test_deepl_tells_a_wrong_key(client: Client, keys: dict[str, str]) -> None:
    assert translate(client(keys["free"])) == TEXT
    for key in ("bb_wrong", keys["watcher"]):
        with pytest.raises(deepl.AuthorizationException) as refused:
            translate(client(key))
        assert refused.value.http_status_code == 403
    with pytest.raises(deepl.AuthorizationException):
        client("bb_wrong").get_usage()
    with pytest.raises(deepl.AuthorizationException):
        client("bb_wrong").create_glossary("mine", "EN", "DE", {"a": "b"})


def test_deepl_tells_too_much(client: Client, keys: dict[str, str]) -> None:
    with pytest.raises(deepl.DeepLException, match="longer than 100 bytes") as refused:
        translate(client(keys["free"]), "x" * 101)
    assert refused.value.http_status_code == 413


def test_deepl_tells_too_many_requests(client: Client, keys: dict[str, str]) -> None:
    slow = client(keys["slow"])
    assert translate(slow) == TEXT
    with pytest.raises(deepl.TooManyRequestsException, match="Ask again in") as refused:
        translate(slow)
    assert refused.value.http_status_code == 429
    assert refused.value.should_retry


def test_deepl_tells_a_used_quota(client: Client, keys: dict[str, str], tmp_path: Path) -> None:
    small = client(keys["small"])
    assert translate(small) == TEXT
    with pytest.raises(deepl.QuotaExceededException, match="its 1 tokens of the day") as refused:
        translate(small)
    assert refused.value.http_status_code == 456
    assert not refused.value.should_retry
    (file := tmp_path / "a.txt").write_text(TEXT)
    with pytest.raises(deepl.QuotaExceededException, match="its 1 tokens of the day"):
        small.translate_document_from_filepath(file, tmp_path / "b.txt", target_lang="DE")


def test_glossaries_belong_to_the_key_that_made_them(
    client: Client, keyed: Keyed, keys: dict[str, str]
) -> None:
    mine, theirs = client(keys["free"]), client(keys["other"])
    made = mine.create_glossary("mine", "EN", "DE", {"a": "b"})
    assert [each.name for each in mine.list_glossaries()] == ["mine"]
    assert theirs.list_glossaries() == []
    for work in (theirs.get_glossary, theirs.delete_glossary, theirs.get_glossary_entries):
        with pytest.raises(deepl.GlossaryNotFoundException):
            work(made.glossary_id)
    mine.delete_glossary(made)


def test_libretranslate_tells_a_wrong_key_and_none(
    served: ServerProcess, keys: dict[str, str]
) -> None:
    api = LibreTranslateAPI(served.url, api_key=keys["free"])
    assert api.translate(TEXT, "en", "de") == TEXT
    assert api.detect(TEXT)[0]["language"]
    assert api.languages()[0]["code"]
    for key in ("bb_wrong", None):
        wrong = LibreTranslateAPI(served.url, api_key=key)
        for refused in (partial(wrong.translate, TEXT, "en", "de"), partial(wrong.detect, TEXT)):
            assert failure(refused) == (403, "A valid key is needed, as 'api_key' in the body.")


@pytest.mark.parametrize(
    ("name", "words"), [("often", "Ask again in"), ("much", "its 1 tokens of the day")]
)
def test_libretranslate_tells_too_many_requests_and_a_used_quota(
    served: ServerProcess, keys: dict[str, str], name: str, words: str
) -> None:
    api = LibreTranslateAPI(served.url, api_key=keys[name])
    assert api.translate(TEXT, "en", "de") == TEXT
    status, sentence = failure(partial(api.translate, TEXT, "en", "de"))
    assert status == 429
    assert words in sentence


def failure(work: Callable[[], object]) -> tuple[int, str]:
    """The status and the sentence of a refusal."""
    with pytest.raises(HTTPError) as refused:
        work()
    return refused.value.code, json.load(refused.value)["error"]
