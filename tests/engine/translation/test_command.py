"""`python server.py translate ...`, as people and scripts run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from engine.config import ConfigError
from engine.errors import BabelbrookError
from engine.settings import Settings
from engine.translation.command import run
from engine.translation.files import FORMAT_OF
from engine.translation.formats import FORMATS
from tests.conftest import ROOT, ServerProcess

PAGE = ROOT / "tests" / "data" / "page.html"
ECHO = ("--engine", "echo")


def start(*words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "server.py", "translate", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe)


def translate(*words: str, stdin: str = "") -> tuple[int, str, str]:
    """Status, stdout and stderr."""
    process = start(*words)
    out, err = process.communicate(stdin.encode(), timeout=60)
    assert b"Traceback" not in err
    return process.returncode, out.decode(), err.decode()


def test_a_text_is_translated_by_the_embedded_model() -> None:
    status, out, err = translate("Where is the station?", "--to", "de", "--engine.threads", "1")
    assert (status, out, err) == (0, "Wo ist der Bahnhof?\n", "")


def test_json_tells_what_was_done() -> None:
    status, out, _ = translate("--to", "de", "--json", *ECHO, stdin="Where is the station?\n")
    assert status == 0
    assert json.loads(out)["translation"] == "Where is the station?\n"
    assert json.loads(out)["target_lang"] == "de"


def test_a_file_comes_out_as_it_is_written(tmp_path: Path) -> None:
    copy = tmp_path / "out.html"
    copy.write_text("old")
    status, out, err = translate(str(PAGE), "--to", "de", "-o", str(copy), *ECHO)
    assert (status, out, err) == (0, "", "")
    assert copy.read_bytes() == PAGE.read_bytes()
    assert copy.stat().st_mode & 0o777 == 0o666 & ~_umask()
    assert [file.name for file in tmp_path.iterdir()] == ["out.html"]
    assert translate(str(PAGE), "--to", "de", *ECHO)[1] == PAGE.read_text("utf-8")


STATION = "Where is the station?"
TIMES = "00:00:01,000 --> 00:00:02,500"
XLIFF = """<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2" version="1.2">
<file original="a" source-language="en" target-language="de" datatype="plaintext"><body>
<trans-unit id="1"><source>Where is the station?</source><target>%s</target></trans-unit>
</body></file></xliff>
"""
# For each ending of a name: a document, and the same with a place for the translation.
DOCUMENTS = {
    "html": (f"<p class=a>{STATION}</p>\n", "<p class=a>%s</p>\n"),
    "xml": (f"<a><b id='1'>{STATION}</b></a>\n", "<a><b id='1'>%s</b></a>\n"),
    "md": (f"# {STATION}\n\n```\nas is\n```\n", "# %s\n\n```\nas is\n```\n"),
    "srt": (f"1\n{TIMES}\n{STATION}\n", f"1\n{TIMES}\n%s\n"),
    "vtt": (
        f"WEBVTT\n\n00:01.000 --> 00:02.500\n{STATION}\n",
        "WEBVTT\n\n00:01.000 --> 00:02.500\n%s\n",
    ),
    "json": (json.dumps({"Yes": STATION, "n": 1}), json.dumps({"Yes": "%s", "n": 1})),
    "po": (f'msgid "{STATION}"\nmsgstr ""\n', f'msgid "{STATION}"\nmsgstr "%s"\n'),
    "xliff": (XLIFF % "", XLIFF),
}


@pytest.mark.parametrize("ending", DOCUMENTS)
def test_a_file_of_every_format_is_translated(ending: str, tmp_path: Path) -> None:
    document, written = DOCUMENTS[ending]
    file = tmp_path / f"a.{ending}"
    file.write_text(document)
    words = ("--to", "de", "--from", "en", "--engine.threads", "1")
    assert translate(str(file), *words) == (0, written % "Wo ist der Bahnhof?", "")


def test_no_format_is_left_out() -> None:
    assert {FORMAT_OF[f".{ending}"] for ending in DOCUMENTS} == set(FORMATS) - {"text"}


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_what_could_not_be_translated_of_a_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("I love you.\n" + "x" * 300)
    words = ("--to", "de", "--engine.threads", "1")
    status, out, err = translate(str(file), *words)
    assert (status, out) == (0, "Ich liebe dich.\n" + "x" * 300)
    first, *places = err.splitlines()
    assert "8 segments came back as the source: the model repeated itself" in first
    assert places[0] == "server.py: characters 12 to 49: repetition"
    assert places[-1] == "server.py: ... --json names all of them"
    for failing in ([str(file), "--on-failure", "error"], ["x" * 300]):
        status, _, err = translate(*failing, *words)
        assert (status, "The model repeats itself" in err) == (1, True)


def test_a_server_tells_what_could_not_be_translated_too(
    server: ServerProcess, tmp_path: Path
) -> None:
    file = tmp_path / "a.txt"
    file.write_text("x" * 300)
    words = (str(file), "--to", "de", "--from", "en", "--server", server.url)
    status, out, err = translate(*words)
    assert (status, out) == (0, "x" * 300)
    assert "8 segments came back as the source" in err
    status, out, _ = translate(*words, "--json")
    assert len(json.loads(out)["untranslated"]) == 8


def test_stdin_has_the_format_that_is_named() -> None:
    status, out, _ = translate(
        "-", "--to", "ja", "--format", "html", "--ignore-tags", "x", *ECHO, stdin="<p>a  &amp; b\n"
    )
    assert (status, out) == (0, "<p>a  &amp; b\n")
    status, _, err = translate("-", "--format", "json", *ECHO, stdin="{")
    assert (status, err.count("\n")) == (1, 1)
    assert "cannot be read as JSON: line 1, column 2" in err


def test_a_running_server_can_be_asked(server: ServerProcess) -> None:
    status, out, err = translate("I love you.", "--to", "de", "--server", server.url)
    assert (status, out, err) == (0, "Ich liebe dich.\n", "")
    status, _, err = translate("I love you.", "--to", "tlh", "--server", server.url)
    assert (status, "'tlh' is not a language" in err) == (1, True)


def test_what_goes_wrong_is_said_in_a_line() -> None:
    status, out, err = translate("x", "--to", "xx", *ECHO)
    assert (status, out) == (1, "")
    assert err.startswith("server.py: error: 'xx' is not a language")
    status, out, err = translate("x", "-o", "/nowhere/x", *ECHO)
    assert (status, out) == (1, "")
    assert err == "server.py: error: /nowhere/x cannot be written: No such file or directory.\n"


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        (["nothing.md"], BabelbrookError, "There is no file nothing.md."),
        (["x", "--format", "docx"], ConfigError, "invalid choice: 'docx'"),
        (["x", "y"], ConfigError, "unrecognized arguments: y"),
        (["x", "--too", "de"], ConfigError, "unknown flag --too"),
        (["x", "--server", "here"], BabelbrookError, "'here' is no address of a server"),
        (["x", "--server", "http://127.0.0.1:1"], BabelbrookError, "No answer from http://127"),
        (["x", "--server", "http://127.0.0.1:1", "--model", "m"], ConfigError, "--model is a sett"),
        (["x", "--server", "http://a", "--key-file", "no"], BabelbrookError, "no cannot be read"),
    ],
)
def test_a_wrong_command_line_loads_no_model(
    words: list[str], kind: type[Exception], said: str
) -> None:
    async def make_engine(_: Settings) -> NoReturn:
        raise AssertionError("an engine is made")

    with pytest.raises(kind) as refusal:
        run(words, {}, make_engine)
    assert said in str(refusal.value)


def test_ctrl_c_ends_it_in_the_middle_without_a_word() -> None:
    process = start("--to", "de", "--engine.threads", "1")
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"I had a great time. " * 5000)
    process.stdin.close()
    assert process.stdout.read(10)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    process.stdout.close()
    assert process.stderr
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_reader_that_has_enough_ends_it_quietly() -> None:
    process = start("--to", "de", *ECHO)
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"I had a great time. " * 20_000)
    process.stdin.close()
    assert process.stdout.read(10)
    process.stdout.close()
    assert process.wait(30) == 141
    assert process.stderr
    assert process.stderr.read() == b""
    process.stderr.close()


def test_help_names_every_word() -> None:
    help_page = subprocess.run(
        [sys.executable, "server.py", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for word in ("translate", "models", "keys", "memory"):
        assert f"\n  {word} " in help_page
        assert f"python server.py {word} " in help_page
    assert "--key-file" in translate("--help")[1]
