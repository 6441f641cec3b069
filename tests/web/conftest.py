"""A Chromium for the tests of the pages, and servers for it to look at."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.conftest import MODEL, ROOT, ServerProcess
from tests.engine.models.hub import STORE_HOSTS, Hub
from tests.engine.models.test_pool import EN_DE

AXE = ROOT / "tests" / "clients" / "node" / "node_modules" / "axe-core" / "axe.min.js"
SHOTS = "SCREENSHOTS"  # a folder; `make screenshots` sets it

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, which needs no sandbox in a container.

    Not for longer: as long as Playwright is there, no test can run an event loop of its own.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium")
    expect.set_options(timeout=15_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """`open_page(url, width=..., color_scheme=...)` opens a page of a fresh visitor.

    In the end, no page may have broken its own security policy, thrown an error or asked anybody
    but its server for anything.
    """
    contexts, complaints = [], []

    def complain(message: Any) -> None:
        # A server that is gone or refuses is told there too, and is no fault of the page.
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    def only_from(origin: str) -> Callable[[Any], None]:
        def look(request: Any) -> None:
            if not request.url.startswith((f"{origin}/", "blob:", "data:")):
                complaints.append(f"asked for {request.url}")

        return look

    def open_page(url: str, width: int = 1280, height: int = 800, **options: Any) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, accept_downloads=True, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", complain)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if url.startswith("http"):
            context.on("request", only_from("/".join(url.split("/")[:3])))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="package")
def hub() -> Iterator[Hub]:
    """Where the model `other` can be downloaded."""
    hub = Hub()
    hub.add("someone/models", "other.gguf", MODEL.read_bytes())
    yield hub
    hub.close()


@pytest.fixture(scope="package")
def server(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server on the embedded model, with a second one at the hub."""
    folder = tmp_path_factory.mktemp("models")
    (folder / MODEL.name).symlink_to(MODEL)
    source = {"repository": "someone/models", "file": "other.gguf"}
    entries = [{"name": "other", "source": source} | EN_DE]
    process = ServerProcess(
        *("--models.folder", str(folder), "--models.entries", json.dumps(entries)),
        *("--engine.sequences", "4", "--engine.threads", "1", "--engine.self_check", "false"),
        *("--events.interval", "0.2", "--data.folder", str(tmp_path_factory.mktemp("data"))),
        environ={
            "HF_ENDPOINT": hub.url,
            "NO_PROXY": "127.0.0.1,localhost",
            "BABELBROOK_MODELS__HOSTS": json.dumps(STORE_HOSTS),
        },
    )
    yield process
    log = process.log()
    process.close()
    assert "Traceback" not in log, log


@pytest.fixture(scope="package")
def echo() -> Iterator[ServerProcess]:
    """A server that knows all languages and gives every text back."""
    process = ServerProcess("--engine", "echo", "--events.interval", "0.2")
    yield process
    process.close()


def violations(page: Page) -> list[str]:
    """What axe finds wrong with a page, by all of its rules for WCAG 2.2 and its best practices."""
    if not AXE.exists():
        pytest.skip("needs npm and `make test`")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("async () => (await axe.run()).violations")
    return [
        f"{each['id']}: {each['help']} ({', '.join(node['html'] for node in each['nodes'])})"
        for each in found
    ]


def width_needed(page: Page) -> int:
    """Pixels that a page is wide."""
    return int(page.evaluate("document.documentElement.scrollWidth"))


def shoot(page: Page, name: str) -> None:
    """Keep a picture of a page, where `make screenshots` asks for it."""
    if folder := os.environ.get(SHOTS):
        page.screenshot(path=Path(folder) / f"{name}.png")
