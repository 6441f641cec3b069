"""Pages of a server with keys."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

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
    expect(page).to_have_title("Log in · Babelbrook")
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
    expect(page).to_have_title("Log in · Babelbrook")


def test_a_dashboard_whose_session_ends_asks_for_a_key(tmp_path: Path, open_page: Open) -> None:
    keyed = Keyed(tmp_path)
    keys = {role: keyed.add(role, role) for role in ("observe", "translate")}
    server = keyed.serve("--events.interval", "0.2")
    try:
        page = open_page(f"{server.url}/dashboard")
        log_in(page, keys["observe"])
        expect(page.locator("#live")).to_have_text("Live")
        other = page.context.new_page()
        other.goto(f"{server.url}/login")
        other.get_by_role("button", name="Log out").click()
        expect(page).to_have_title("Log in · Babelbrook")
        # A key that may not see it is told so, by the page that one comes back to.
        log_in(page, keys["translate"])
        expect(page.locator("#live")).to_contain_text("This needs a key with the role admin or obs")
        page.goto(f"{server.url}/login?next=dashboard")
        log_in(page, keys["observe"])
        expect(page.locator("#live")).to_have_text("Live")
        # A restart ends no session, but a key that is taken away does.
        assert server.stop() == 0
        port = ("--server.port", str(server.port))
        server.close()
        server = keyed.serve("--events.interval", "0.2", *port)
        expect(page.locator("#live")).to_have_text("Not connected; trying again")
        expect(page.locator("#live")).to_have_text("Live")
        keyed.remove("observe")
        server.process.send_signal(signal.SIGHUP)
        expect(page).to_have_title("Log in · Babelbrook")
    finally:
        server.close()


def log_in(page: Page, key: str) -> None:
    expect(page).to_have_title("Log in · Babelbrook")
    page.get_by_label("Key").fill(key)
    page.keyboard.press("Enter")
    expect(page).to_have_title("Dashboard · Babelbrook")
