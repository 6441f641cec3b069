"""The page at `/`, used as people use it."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.conftest import ServerProcess
from tests.engine.models.hub import Hub
from tests.faults.conftest import wait_until
from tests.web.conftest import Open, shoot, violations, width_needed

pytestmark = pytest.mark.slow

GREETING = "Where is the station? The train leaves at 8:30."
LONG = "Where is the station? " * 4000  # seconds of work


def translated(server: ServerProcess, text: str) -> str:
    """What the server answers to a program."""
    body = {"text": text, "target_lang": "de"}
    return str(httpx.post(f"{server.url}/translate", json=body).json()["translation"])


def ready(page: Page, language: str = "de") -> Page:
    """A page that has heard from its server, to translate to `language`."""
    page.locator("#target-lang").select_option(language)
    return page


@pytest.fixture
def page(open_page: Open, server: ServerProcess) -> Page:
    return ready(open_page(server.url))


def test_it_translates_while_one_types(page: Page, server: ServerProcess) -> None:
    page.locator("#source").press_sequentially(GREETING)
    expect(page.locator("#target")).to_have_text(translated(server, GREETING))
    expect(page.locator("#copy")).to_be_enabled()
    expect(page.locator("#target")).to_have_attribute("lang", "de")
    # For screen readers it is told once, when it is complete and nobody types.
    expect(page.locator("#announcer")).to_have_text(translated(server, GREETING))


def test_the_embedded_model_is_said_to_be_for_trying(page: Page) -> None:
    expect(page.locator("#whereabouts")).to_have_text("What you translate stays on this server.")
    notice = page.locator("#trial")
    expect(notice).to_contain_text("tatoeba-mini, a small model for trying the server")
    expect(notice).to_contain_text("models download")


def test_text_appears_as_it_comes_and_a_key_cancels_what_runs(
    page: Page, server: ServerProcess
) -> None:
    failed: list[tuple[str, str | None]] = []
    page.on("requestfailed", lambda request: failed.append((request.url, request.failure)))
    source = page.locator("#source")
    source.fill(LONG)
    expect(page.locator("#target")).to_contain_text("Bahnhof")
    expect(page.locator("#stop")).to_be_visible()
    source.press("Control+A")
    source.press_sequentially("Hello.")
    expect(page.locator("#target")).to_have_text(translated(server, "Hello."))
    assert (f"{server.url}/translate/stream", "net::ERR_ABORTED") in failed
    wait_until(lambda: "status=499" in server.log())


@pytest.mark.parametrize("stop", ["button", "Escape"])
def test_it_can_be_stopped(page: Page, server: ServerProcess, stop: str) -> None:
    page.locator("#source").fill(LONG)
    expect(page.locator("#target")).to_contain_text("Bahnhof")
    if stop == "button":
        page.locator("#stop").click()
    else:
        page.keyboard.press(stop)
    expect(page.locator("#state")).to_have_text("Stopped")
    expect(page.locator("#target")).to_contain_text("Bahnhof")
    expect(page.locator("#stop")).to_be_hidden()
    wait_for_metric(server, "babelbrook_requests_running 0.0")


def wait_for_metric(server: ServerProcess, line: str) -> None:
    """Wait until the server's metrics have a line."""
    deadline = time.monotonic() + 10
    while line not in httpx.get(f"{server.url}/metrics").text:
        assert time.monotonic() < deadline, line
        time.sleep(0.02)


def test_the_translation_is_copied(open_page: Open, server: ServerProcess) -> None:
    page = ready(open_page(server.url, permissions=["clipboard-read", "clipboard-write"]))
    page.locator("#source").fill("Hello.")
    expect(page.locator("#copy")).to_be_enabled()
    page.keyboard.press("Alt+Shift+C")
    expect(page.locator("#state")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == translated(server, "Hello.")


def test_a_file_is_translated_and_saved(page: Page, server: ServerProcess) -> None:
    page.locator("#file").set_input_files(
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"Hello.\n\nGood morning.\n"}
    )
    with page.expect_download() as download:
        page.get_by_role("link", name="Save").click()
    assert download.value.suggested_filename == "notes.de.txt"
    saved = Path(download.value.path()).read_text(encoding="utf-8")
    assert saved == translated(server, "Hello.\n\nGood morning.\n")
    page.get_by_role("button", name="Remove: notes.txt").click()
    expect(page.locator("#files")).to_be_hidden()


def test_a_file_s_card_says_what_was_left_untranslated(page: Page) -> None:
    page.locator("#file").set_input_files(
        {"name": "a.txt", "mimeType": "text/plain", "buffer": b"Hello. \n" + b"x" * 300}
    )
    note = page.locator(".file .problem")
    expect(note).to_contain_text("Translated. 8 segments came back as the source", timeout=20_000)
    expect(page.get_by_role("link", name="Save")).to_be_visible()


# A file as it comes from a file manager: dragged over the page, then dropped.
DROP = """([name, text]) => {
  const dataTransfer = new DataTransfer()
  dataTransfer.items.add(new File([text], name))
  window.drag = kind => document.body.dispatchEvent(
    new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }))
  drag('dragover')
}"""


def test_a_file_is_dropped_and_tells_its_progress(page: Page, server: ServerProcess) -> None:
    text = "Where is the station? " * 400
    page.evaluate(DROP, ["long.txt", text])
    expect(page.locator("#drop")).to_be_visible()
    page.evaluate("drag('drop')")
    expect(page.locator("#drop")).to_be_hidden()
    card = page.locator(".file", has_text="long.txt")
    expect(card).to_have_attribute("data-progress", re.compile("^[1-9]"))
    assert violations(page) == []
    # What is typed goes beside it.
    page.locator("#source").fill("Hello.")
    expect(page.locator("#target")).to_have_text(translated(server, "Hello."))
    page.evaluate(DROP, ["other.txt", text])
    page.evaluate("drag('drop')")
    page.get_by_role("button", name="Cancel: other.txt").click()
    expect(page.locator(".file")).to_have_count(1)
    expect(card.get_by_role("link", name="Save")).to_be_visible(timeout=60_000)


def test_a_file_that_is_no_text_is_refused_in_words(page: Page) -> None:
    page.locator("#file").set_input_files(
        {"name": "a.bin", "mimeType": "application/octet-stream", "buffer": b"\xff\x00\xfe"}
    )
    expect(page.locator(".file .problem")).to_be_visible()
    expect(page.get_by_role("button", name="Try again: a.bin")).to_be_visible()


def test_the_language_is_detected_and_doubts_are_shown(page: Page) -> None:
    page.locator("#source").fill("Guten Morgen, wo ist hier bitte der nächste Bahnhof?")
    expect(page.locator("#detected")).to_have_text("Detected: German · Deutsch")
    expect(page.locator("#checks")).to_be_visible()
    page.locator("#source").fill("Where is the nearest station, please?")
    expect(page.locator("#detected")).to_have_text("Detected: English")


def test_terms_of_the_glossary_are_asked_for_and_looked_for(page: Page) -> None:
    page.locator("#source").fill("Where is the station?")
    expect(page.locator("#copy")).to_be_enabled()
    page.keyboard.press("Alt+Shift+G")
    page.get_by_label("Term 1", exact=True).fill("station")
    page.get_by_label("Translation 1").fill("Haltestelle")
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("#glossary")).to_have_text("Glossary 1")
    expect(page.locator("#checks")).to_contain_text("Haltestelle")
    page.reload()
    expect(page.locator("#glossary")).to_have_text("Glossary 1")


@pytest.fixture
def shop(server: ServerProcess) -> Iterator[None]:
    """Glossaries that the server keeps."""
    path = f"{server.url}/glossaries"
    german = {"terms": {"station": "Haltestelle", "cat": "Kater"}, "target_lang": "de"}
    assert httpx.put(f"{path}/shop", json=german).is_success
    assert httpx.put(f"{path}/any", json={"terms": {"dog": "X"}}).is_success
    yield
    for name in ("shop", "any"):
        httpx.delete(f"{path}/{name}")


@pytest.mark.usefixtures("shop")
def test_a_glossary_of_the_server_can_be_chosen(open_page: Open, server: ServerProcess) -> None:
    page = ready(open_page(server.url))
    page.locator("#source").fill("Where is the station?")
    expect(page.locator("#copy")).to_be_enabled()
    page.keyboard.press("Alt+Shift+G")
    choice = page.get_by_label("Terms of")
    assert choice.locator("option").all_inner_texts() == [
        "My own, in this browser",
        "any (1 term)",
        "shop (2 terms)",
    ]
    choice.select_option("shop")
    expect(page.locator("#glossary-terms")).to_contain_text("station")
    expect(page.locator("#glossary-own")).to_be_hidden()
    assert violations(page) == []
    shoot(page, "glossary")
    page.set_viewport_size({"width": 320, "height": 640})
    assert width_needed(page) == 320
    page.keyboard.press("Escape")
    expect(page.locator("#glossary")).to_have_text("Glossary shop")
    expect(page.locator("#checks")).to_contain_text("Haltestelle")
    # Not for another language; and it is remembered for this one.
    ready(page, "ja")
    expect(page.locator("#glossary")).to_have_text("Glossary")
    page.reload()
    ready(page, "de")
    expect(page.locator("#glossary")).to_have_text("Glossary shop")
    # One that is gone is not asked for.
    httpx.delete(f"{server.url}/glossaries/shop")
    page.reload()
    ready(page, "de")
    expect(page.locator("#glossary")).to_have_text("Glossary")


@pytest.mark.usefixtures("shop")
def test_a_file_is_translated_with_the_glossary_in_its_own_encoding(
    page: Page, server: ServerProcess
) -> None:
    page.keyboard.press("Alt+Shift+G")
    page.get_by_label("Terms of").select_option("shop")
    page.keyboard.press("Escape")
    for name, text, encoding in (
        ("a.html", '<meta charset="iso-8859-1"><p>Hello.</p><!-- d\xe9j\xe0 -->', "iso-8859-1"),
        ("b.txt", "Hello.\r\n\u65e5\u672c", "utf-16"),
    ):
        data = text.encode(encoding)
        file = {"name": name, "mimeType": "text/plain", "buffer": data}
        page.locator("#file").set_input_files(file)
        card = page.locator(".file", has_text=name)
        expect(card).to_contain_text("This model cannot be told the terms of a glossary.")
        with page.expect_download() as download:
            card.get_by_role("link", name="Save").click()
        form = {"target_lang": "de", "source_lang": "auto"}
        asked = httpx.post(f"{server.url}/translate/file", data=form, files={"file": (name, data)})
        assert Path(download.value.path()).read_bytes() == asked.content
        assert asked.content.decode(encoding)


# Languages --------------------------------------------------------------------------------------


def test_languages_have_their_own_names_and_can_be_swapped(
    open_page: Open, echo: ServerProcess
) -> None:
    page = open_page(echo.url)
    expect(page.locator("#target-lang")).to_contain_text("Japanese · 日本語")
    expect(page.locator("#source-lang")).to_contain_text("Detect language")
    page.locator("#source-lang").select_option("en")
    page.locator("#target-lang").select_option("ja")
    page.locator("#source").fill("Good morning.")
    expect(page.locator("#target")).to_have_text("Good morning.")
    page.locator("#swap").click()
    expect(page.locator("#source-lang")).to_have_value("ja")
    expect(page.locator("#target-lang")).to_have_value("en")
    expect(page.locator("#source")).to_have_value("Good morning.")
    page.reload()  # what was chosen is remembered, what was typed is not
    expect(page.locator("#source-lang")).to_have_value("ja")
    expect(page.locator("#target-lang")).to_have_value("en")
    expect(page.locator("#source")).to_have_value("")


def test_languages_that_are_written_from_right_to_left_are(
    open_page: Open, echo: ServerProcess
) -> None:
    page = ready(open_page(echo.url), "ar")
    page.locator("#source").fill("مرحبا بالعالم")
    expect(page.locator("#target")).to_have_text("مرحبا بالعالم")
    expect(page.locator("#target")).to_have_css("direction", "rtl")
    expect(page.locator("#source")).to_have_css("direction", "rtl")
    ready(page, "de")
    expect(page.locator("#target")).to_have_css("direction", "ltr")


# Models -----------------------------------------------------------------------------------------


def test_another_model_is_downloaded_and_answers(
    page: Page, hub: Hub, server: ServerProcess
) -> None:
    hub.stalls.append(6_000_000)
    page.keyboard.press("Alt+Shift+M")
    row = page.locator("#models-list li[data-name=other]")
    row.get_by_role("button", name="Download and use other").click()
    expect(row).to_contain_text(re.compile(r"Downloading, [1-6] MB of 12 MB"))
    expect(page.locator("#model-progress")).to_have_text(re.compile(r"[1-4]?\d %"))
    row.get_by_role("button", name="Cancel").click()
    hub.go_on.set()
    row.get_by_role("button", name="Download and use other").click()
    expect(row).to_contain_text("In use")
    expect(page.locator("#trial")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.locator("#model")).to_contain_text("other")
    expect(page.locator("#source")).to_be_focused()
    page.locator("#source").fill("Hello.")
    expect(page.locator("#target")).to_have_text("Hallo.")
    # What was there before is there still.
    page.locator("#model").click()
    page.get_by_role("button", name="Use tatoeba-mini").click()
    expect(page.locator("#models-list li[data-name=tatoeba-mini]")).to_contain_text("In use")


def test_a_switch_that_fails_is_told(page: Page, hub: Hub) -> None:
    page.locator("#model").click()
    page.get_by_role("button", name="Download and use gemma-2-2b-it").click()
    expect(page.locator("#models-problem")).to_contain_text("gemma-2-2b-it")
    expect(page.locator("#models-list li[data-name=tatoeba-mini]")).to_contain_text("In use")


# What goes wrong --------------------------------------------------------------------------------


@pytest.fixture
def small() -> Iterator[Callable[..., ServerProcess]]:
    """`small(port)` starts an echo server with low limits."""
    processes: list[ServerProcess] = []

    def start(port: int = 0) -> ServerProcess:
        limits = ("--engine", "echo", "--limits.text_bytes", "1000")
        processes.append(ServerProcess(*limits, "--server.port", str(port)))
        return processes[-1]

    yield start
    for process in processes:
        process.close()


def test_a_lost_server_is_told_and_found_again(
    open_page: Open, small: Callable[..., ServerProcess]
) -> None:
    server = small()
    page = ready(open_page(server.url))
    source, target = page.locator("#source"), page.locator("#target")
    source.fill("One.")
    expect(target).to_have_text("One.")
    server.process.kill()
    server.process.wait(10)
    source.fill("Two.")
    expect(page.locator("#server-state")).to_contain_text("The server does not answer.")
    expect(source).to_have_value("Two.")
    small(server.port)
    expect(page.locator("#server-state")).to_contain_text("The server is back.")
    expect(target).to_have_text("Two.")

    source.fill("long " * 300)
    expect(page.locator("#message")).to_contain_text("The text is longer than 1,000 bytes.")
    assert violations(page) == []
    source.fill("Three.")
    expect(target).to_have_text("Three.")
    expect(page.locator("#message")).to_be_hidden()


def test_a_full_queue_is_told_and_tried_again(open_page: Open, echo: ServerProcess) -> None:
    page = ready(open_page(echo.url))
    refusals = iter(["2", None])

    def refuse_once(route: object) -> None:
        seconds = next(refusals)
        if seconds is None:
            route.continue_()  # type: ignore[attr-defined]
            return
        body = {"error": "Too many requests wait already.", "code": "overloaded"}
        headers = {"Retry-After": seconds, "Content-Type": "application/json"}
        route.fulfill(status=503, headers=headers, body=json.dumps(body))  # type: ignore[attr-defined]

    page.route("**/translate/stream", refuse_once)
    page.locator("#source").fill("Hello.")
    expect(page.locator("#message")).to_contain_text(
        "Too many requests wait already. It is tried again by itself."
    )
    expect(page.locator("#message-wait")).to_have_text("in 1 s")
    expect(page.locator("#target")).to_have_text("Hello.")
    expect(page.locator("#message")).to_be_hidden()


@pytest.fixture
def narrow() -> Iterator[ServerProcess]:
    """A server with a short queue."""
    process = ServerProcess(
        *("--engine.sequences", "1", "--engine.threads", "1", "--limits.queue", "1"),
        *("--engine.self_check", "false", "--engine.lookahead", "4"),
    )
    yield process
    process.close()


def test_a_queue_that_is_full_is_waited_for(open_page: Open, narrow: ServerProcess) -> None:
    page = ready(open_page(narrow.url))
    body = json.dumps({"text": [LONG] * 4, "target_lang": "de", "cache": False}).encode()
    head = f"POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", narrow.port)) as other:
        other.sendall(head.encode() + body)
        wait_for_metric(narrow, "babelbrook_requests_queued 3.0")
        page.locator("#source").fill("Hello.")
        expect(page.locator("#message")).to_contain_text("Too many requests wait already.")
        expect(page.locator("#message")).to_contain_text("It is tried again by itself.")
        expect(page.locator("#message-wait")).to_have_text(re.compile(r"in \d+ s"))
        assert violations(page) == []
    expect(page.locator("#target")).to_have_text("Hallo.", timeout=70_000)
    expect(page.locator("#message")).to_be_hidden()


# For everybody ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_it_fits_a_phone(
    open_page: Open, server: ServerProcess, scheme: str
) -> None:
    page = ready(open_page(server.url, width=320, height=640, color_scheme=scheme))
    page.locator("#source").fill(GREETING)
    expect(page.locator("#copy")).to_be_enabled()
    assert width_needed(page) == 320
    assert violations(page) == []
    page.locator("#model").click()
    expect(page.locator("#models-list li").first).to_be_visible()
    assert width_needed(page) == 320
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 1280, "height": 800})
    assert violations(page) == []
    page.locator("#source").click()
    shoot(page, f"translate-{scheme}")


def test_light_and_dark_are_the_systems_until_one_is_chosen(
    open_page: Open, echo: ServerProcess
) -> None:
    page = open_page(echo.url, color_scheme="dark")
    body, dark, light = page.locator("body"), "rgb(20, 24, 26)", "rgb(245, 244, 240)"
    expect(body).to_have_css("background-color", dark)
    page.emulate_media(color_scheme="light")
    expect(body).to_have_css("background-color", light)
    page.get_by_role("button", name="Colours: system").click()
    page.get_by_role("button", name="Colours: light").click()
    expect(body).to_have_css("background-color", dark)
    page.reload()
    expect(body).to_have_css("background-color", dark)
    page.get_by_role("button", name="Colours: dark").click()
    expect(body).to_have_css("background-color", light)


def test_all_of_it_works_by_keyboard(open_page: Open, echo: ServerProcess) -> None:
    page = ready(open_page(echo.url))
    expect(page.locator("#source")).to_be_focused()
    page.keyboard.type("Hello.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#target")).to_have_text("Hello.")
    expect(page.locator("#copy")).to_be_enabled()
    order = []
    for _ in range(5):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id"))
    assert order == ["open-file", "clear", "target", "glossary", "copy"]
    page.keyboard.press("Alt+Shift+M")
    expect(page.locator("#models")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#models")).to_be_hidden()
    expect(page.locator("#copy")).to_be_focused()
