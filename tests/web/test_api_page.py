"""`/docs`: the API to read and try, in Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.conftest import ServerProcess
from tests.web.conftest import Open, shoot, violations, width_needed

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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_tells_what_may_be_sent_and_comes_back(
    open_page: Open, server: ServerProcess, scheme: str
) -> None:
    page = open_page(f"{server.url}/docs", width=320, height=640, color_scheme=scheme)
    operation = page.locator("details", has_text="post /v2/translate")
    operation.locator("summary").click()
    told = operation.locator(".described")
    expect(told).to_contain_text("Takes application/json or application/x-www-form-urlencoded")
    expect(told).to_contain_text("target_lang (required)")
    expect(told).to_contain_text('"default", "more", "less", "prefer_more", "prefer_less"')
    expect(told).to_contain_text("characters: at most 4,000")
    expect(told).to_contain_text("translations: list of {detected_source_language: string")
    assert violations(page) == []
    assert width_needed(page) == 320
    shoot(page, f"docs-{scheme}")
    for each in page.locator("summary").all():
        each.click()
    assert violations(page) == []
    assert width_needed(page) == 320
