"""Pages of a server with keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.handlers.keyed import Keyed
from tests.web.conftest import Open, shoot, violations, width_needed

pytestmark = pytest.mark.slow


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The address of a server, and a key."""
    keyed = Keyed(tmp_path)
    key = keyed.add("web", "translate")
    server = keyed.serve()
    yield server.url, key
    server.close()


def test_a_key_opens_the_page_until_one_logs_out(keyed: tuple[str, str], open_page: Open) -> None:
    url, key = keyed
    page = open_page(url, width=320)
    expect(page).to_have_title("Log in – Babelbrook")
    assert violations(page) == []
    assert width_needed(page) <= 320
    shoot(page, "login")
    page.get_by_label("Key").fill("bb_wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("That is not a valid key.")
    page.get_by_label("Key").fill(key)
    page.keyboard.press("Enter")
    expect(page).to_have_title("Babelbrook")
    page.locator("#source").fill("Hello there.")
    expect(page.locator("#target")).to_contain_text("Hello there.")
    assert "babelbrook_session" not in page.evaluate("document.cookie")
    page.goto(f"{url}/login")
    page.get_by_role("button", name="Log out").click()
    page.goto(url)
    expect(page).to_have_title("Log in – Babelbrook")
