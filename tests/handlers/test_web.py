"""The pages and their files, as they leave the server."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator

import httpx
import pytest

from handlers.web import FOLDER
from tests.conftest import ServerProcess

PAGES = ["/", "/dashboard", "/docs", "/login"]


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    process = ServerProcess("--engine", "echo")
    with httpx.Client(base_url=process.url) as client:
        yield client
    process.close()


def files_of(page: str) -> list[str]:
    """The files that a page names, relative as it names them."""
    return re.findall(r'(?:href|src)="(web/[^"]+)"', page)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_asked_for_again_and_not_sent_again(client: httpx.Client, path: str) -> None:
    page = client.get(path)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    assert page.text.count("<meta charset") == page.text.count('class="name"') == 1
    assert "include" not in page.text
    again = client.get(path, headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(path, headers={"If-None-Match": 'W/"other"'}).status_code == 200
    head = client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == page.headers["etag"]


@pytest.mark.parametrize("path", PAGES)
def test_nothing_but_the_servers_own_files_is_allowed(client: httpx.Client, path: str) -> None:
    page = client.get(path)
    policy = page.headers["content-security-policy"].split("; ")
    assert "default-src 'none'" in policy
    sources = {each for directive in policy for each in directive.split()[1:]}
    assert sources <= {"'none'", "'self'", "'script'", "babelbrook"}
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    # Nor does a page ask for anything else, or hold what the policy forbids.
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page.text)
    assert not re.search(r"<style|\sstyle=|<script>|\son\w+=", page.text)


@pytest.mark.parametrize("path", PAGES)
def test_files_may_be_kept_for_ever(client: httpx.Client, path: str) -> None:
    names = files_of(client.get(path).text)
    assert names
    for name in names:
        answer = client.get(f"/{name}")
        assert answer.status_code == 200, name
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        own = (FOLDER / name.split("/", 2)[2]).read_bytes()
        assert answer.content == own
        kinds = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
        kind = kinds.get(name.rpartition(".")[2], "font/woff2")
        assert answer.headers["content-type"].partition(";")[0] == kind


def test_texts_are_sent_packed_to_who_can_unpack_them(client: httpx.Client) -> None:
    with client.stream("GET", "/", headers={"Accept-Encoding": "br, gzip;q=0.8"}) as answer:
        packed = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["vary"] == "Accept-Encoding"
    plain = client.get("/", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(packed) == plain.content
    assert len(packed) < len(plain.content) / 2


@pytest.mark.parametrize(
    "path",
    ["/web/x/js/nope.js", "/web/../config.yaml", "/web/%2e%2e/config.yaml", "/web/index.html"],
)
def test_there_is_nothing_else(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


def test_only_reading_is_allowed(client: httpx.Client) -> None:
    answer = client.post("/")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
