"""`python server.py models ...`, as people and scripts run it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.engine.models.hub import Hub

CONTENT = os.urandom(2_000_000)


class Command:
    """The command with a folder, an entry and a hub of its own."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        self._hub, self.file = hub, folder / "mine.gguf"
        self.sha256 = hub.add("someone/models", "mine.gguf", CONTENT)
        source = {"repository": "someone/models", "file": "mine.gguf", "sha256": self.sha256}
        entry = {"name": "mine", "licence": "CC-BY-NC-4.0", "commercial_use": False}
        entries = json.dumps([entry | {"source": source}])
        self.flags = ["--models.folder", str(folder), "--models.entries", entries]

    def start(self, *words: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "server.py", "models", *words, *self.flags],
            cwd=ROOT,
            env=os.environ | {"HF_ENDPOINT": self._hub.url, "HF_HUB_DOWNLOAD_TIMEOUT": "5"},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        """Status, stdout and stderr."""
        process = self.start(*words)
        out, err = process.communicate(timeout=30)
        assert "Traceback" not in err
        return process.returncode, out, err


@pytest.fixture
def command(hub: Hub, tmp_path: Path) -> Command:
    return Command(hub, tmp_path / "models")


def test_a_model_is_downloaded_verified_and_removed(command: Command) -> None:
    status, out, err = command.run("download", "mine")
    assert (status, command.file.read_bytes()) == (0, CONTENT)
    assert "CC-BY-NC-4.0, forbids commercial use" in out
    lines = err.splitlines()
    assert lines[-1] == "mine.gguf: 100 %"
    assert len(lines) <= 11
    assert command.run("download", "mine")[1] == f"mine is there already: {command.file}\n"
    assert command.run("verify")[:2] == (0, "mine: sound\n")
    command.file.write_bytes(CONTENT[:-1] + b"?")
    status, out, _ = command.run("verify", "mine")
    assert status == 1
    assert out.startswith("mine: damaged: its sha256 is ")
    noted = command.file.with_name("mine.gguf.sha256")
    assert noted.read_text() == f"{command.sha256}  mine.gguf\n"
    assert command.run("remove", "mine")[:2] == (0, f"Removed {command.file}\nRemoved {noted}\n")
    assert list(command.file.parent.iterdir()) == []


def test_what_the_entry_does_not_tell_is_compared_with_the_download(command: Command) -> None:
    entries = json.loads(command.flags[-1])
    del entries[0]["source"]["sha256"]
    command.flags[-1] = json.dumps(entries)
    assert command.run("download", "mine")[0] == 0
    assert command.run("verify", "mine")[:2] == (0, "mine: sound\n")
    command.file.write_bytes(CONTENT[:-1] + b"?")
    assert command.run("verify", "mine")[0] == 1
    command.file.with_name("mine.gguf.sha256").write_text("nonsense\n")
    assert "no hash is known" in command.run("verify", "mine")[1]


def test_the_list_tells_what_is_there_and_what_a_licence_forbids(command: Command) -> None:
    _, before, _ = command.run("list")
    command.file.parent.mkdir(exist_ok=True)
    command.file.write_bytes(CONTENT)
    _, after, _ = command.run("list")
    row = [line.split() for line in (before, after) for line in line.splitlines() if "mine" in line]
    assert row[0][:4] == ["mine", "unknown", "unknown", "no"]
    assert row[1][:5] == ["mine", "unknown", "2", "MB", "yes"]
    assert "CC-BY-NC-4.0, no commercial use\n" in after
    assert after.splitlines()[-1].startswith("Not pinned, so taken as the hub has it on the day: ")
    assert "mine" not in after.splitlines()[-1]


def test_a_terminal_shows_a_bar(command: Command) -> None:
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 80))
    process = command.start("download", "mine", stderr=follower)
    os.close(follower)
    shown = b""
    try:
        while chunk := os.read(leader, 4096):
            shown += chunk
    except OSError:  # how Linux tells that the other side has closed
        pass
    os.close(leader)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert b"mine.gguf:" in shown
    assert "\r" in shown.decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_what_an_ended_download_got_is_kept(
    hub: Hub, command: Command, number: signal.Signals
) -> None:
    hub.stalls = [1_500_000]
    process = command.start("download", "mine")
    assert process.stderr is not None
    while "70 %" not in process.stderr.readline():
        pass
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert "Traceback" not in err
    assert not command.file.exists()
    [part] = command.file.parent.glob("*.part")
    assert part.stat().st_size > 1_000_000
    hub.go_on.set()
    assert command.run("download", "mine")[0] == 0
    assert command.file.read_bytes() == CONTENT
    assert int(hub.asked("store GET")[-1]["range"].removeprefix("bytes=")[:-1]) > 1_000_000


def test_remove_takes_the_part_too_and_says_when_there_is_nothing(command: Command) -> None:
    command.file.parent.mkdir()
    part = command.file.with_name("mine.gguf.0123.part")
    part.touch()
    assert command.run("remove", "mine")[1] == f"Removed {part}\n"
    assert command.run("remove", "mine")[1] == "mine is not there; nothing to remove.\n"


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("download", "nope"), 1, "There is no model 'nope'. Known are tatoeba-mini, "),
        (("remove", "tatoeba-mini"), 1, "tatoeba-mini has no source to get it from"),
        (("download",), 2, "models download: unknown"),
        (("fetch", "mine"), 2, "models fetch mine: unknown"),
        (("list", "--models.foldr", "x"), 2, "did you mean --models.folder?"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    command: Command, words: tuple[str, ...], status: int, sentence: str
) -> None:
    done, _, err = command.run(*words)
    assert (done, sentence in err) == (status, True), err


def test_a_failed_download_is_a_sentence(hub: Hub, command: Command) -> None:
    hub.files.clear()
    status, _, err = command.run("download", "mine")
    assert status == 1
    assert "The hub shows no repository someone/models" in err


def test_help_names_the_subcommand() -> None:
    for words, sentence in (
        (["--help"], "server.py models list|download NAME"),
        (["models", "--help"], "server.py models verify [NAME]"),
    ):
        done = subprocess.run(
            [sys.executable, "server.py", *words], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0
        assert sentence in done.stdout
