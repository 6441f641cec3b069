"""`curl`, as people type it: the commands of the documentation, and one for each door."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT, ServerProcess

TEXT = "Where is the station?"
PORT_IN_DOCS = "http://localhost:8080"


def curl(*arguments: str, folder: Path | None = None) -> str:
    """What it prints; it must succeed."""
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "60", *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=70,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def documented(page: str) -> list[list[str]]:
    """The arguments of each command on a page."""
    lines = re.findall(r"^    curl (.+)$", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    assert lines
    return [shlex.split(line) for line in lines]


@pytest.mark.parametrize("page", ["README.md", "docs/api.md"])
def test_the_commands_of_the_documentation_work(
    server: ServerProcess, tmp_path: Path, page: str
) -> None:
    (tmp_path / "page.html").write_text(f"<p>{TEXT}</p>")
    for arguments in documented(page):
        own = [each.replace(PORT_IN_DOCS, server.url) for each in arguments]
        assert own != arguments
        answer = curl(*own, folder=tmp_path)
        if "-O" not in "".join(arguments):
            assert answer.endswith("data: [DONE]\n\n")
            assert answer.count("data: ") > 5
    assert page == "README.md" or (tmp_path / "page.de.html").read_text().startswith("<p>")


def test_each_door_opens_to_the_plainest_request(server: ServerProcess) -> None:
    own = json.dumps({"text": TEXT, "target_lang": "de"})
    # What -d sends says that it is a form.
    german = json.loads(curl(f"{server.url}/translate", "-d", own))["translation"]
    assert german
    libre = curl(f"{server.url}/translate", "-d", f"q={TEXT}", "-d", "source=en", "-d", "target=de")
    assert json.loads(libre) == {"translatedText": german}
    key = ("-H", "Authorization: DeepL-Auth-Key any")
    deepl = curl(f"{server.url}/v2/translate", *key, "-d", f"text={TEXT}", "-d", "target_lang=DE")
    assert json.loads(deepl)["translations"][0]["text"] == german
    body = {"model": "babelbrook/translate-de", "messages": [{"role": "user", "content": TEXT}]}
    chat = curl(f"{server.url}/v1/chat/completions", "--json", json.dumps(body))
    assert json.loads(chat)["choices"][0]["message"]["content"] == german
    body = {"source_lang": "en", "target_lang": "de", "text_list": [TEXT]}
    immersive = curl(f"{server.url}/immersive", "--json", json.dumps(body))
    assert json.loads(immersive)["translations"][0]["text"] == german
    deeplx = curl(f"{server.url}/deeplx/translate", "-d", own)
    assert json.loads(deeplx)["data"] == german
    assert json.loads(curl(f"{server.url}/detect", "-d", own))["language"] == "en"


def test_a_stream_can_be_left(server: ServerProcess) -> None:
    body = json.dumps({"text": f"{TEXT} " * 2000, "target_lang": "de", "cache": False})
    left = f"curl -sN {server.url}/translate/stream -d @- | head -c 200"
    done = subprocess.run(["sh", "-c", left], input=body.encode(), capture_output=True, timeout=60)
    assert len(done.stdout) == 200
    assert done.stdout.startswith(b'data: "')
