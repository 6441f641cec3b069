"""`/docs`: the API to read and try, in Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.conftest import ServerProcess
from tests.web.conftest import Open

pytestmark = pytest.mark.slow


def test_an_operation_is_tried_on_the_page(open_page: Open, server: ServerProcess) -> None:
    page = open_page(f"{server.url}/docs")
    operation = page.locator("details", has_text="post /v2/translate")
    operation.locator("summary").click()
    operation.get_by_role("button", name="Send").click()
    expect(operation.get_by_label("Answer")).to_contain_text('"detected_source_language":"EN"')
    assert page.locator("details").count() > 40


def test_a_stream_is_shown_as_it_comes(open_page: Open, server: ServerProcess) -> None:
    page = open_page(f"{server.url}/docs", width=320)
    operation = page.locator("details", has_text="post /translate/stream")
    operation.locator("summary").click()
    operation.get_by_role("button", name="Send").click()
    expect(operation.get_by_label("Answer")).to_contain_text("data: [DONE]")
