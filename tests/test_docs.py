"""What README and docs/ name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.declared import HEADINGS, SETTINGS
from handlers import make_application
from tests.conftest import ROOT

PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "SECURITY.md",
        *(ROOT / "docs").glob("*.md"),
    ]
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    sections = "|".join(HEADINGS)
    named = set(re.findall(rf"`(?:--)?((?:{sections})\.[a-z_]+)\b", page.read_text("utf-8")))
    files = {name for name in named if name.endswith((".md", ".py", ".json"))}
    assert named - files <= set(SETTINGS)


def test_the_page_on_behaviour_names_every_limit() -> None:
    text = (ROOT / "docs" / "server-behavior.md").read_text("utf-8")
    limits = [
        name for name in SETTINGS if name.startswith(("limits.", "streams.", "drain.", "keys."))
    ]
    assert [name for name in limits if f"`{name}`" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_links_to_exists(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_names_every_path_of_the_api() -> None:
    from engine.echo import EchoEngine
    from engine.settings import Settings
    from handlers.activity import Activity

    application = make_application(EchoEngine(), Settings(), Activity())
    routes = [rule.matcher._path for rule in application.wildcard_router.rules]  # type: ignore[attr-defined]
    assert "/translate/stream" in routes
    text = (ROOT / "README.md").read_text("utf-8")
    paths = [path.replace("%s", "{id}") for path in routes if path]
    assert [path for path in paths if f"{path}`" not in text.replace(" `{", "`")] == []
