"""TMX in and out, and the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.memory import tmx
from engine.memory.memory import key_of_people
from engine.memory.store import Entry, FileStore

ROOT = Path(__file__).resolve().parents[3]

UNITS = """<?xml version="1.0"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header srclang="en-US"/><body>
<tu><tuv xml:lang="ja-JP"><seg>犬&amp;猫</seg></tuv>
<tuv xml:lang="en-US"><seg>Dogs <bpt i="1"/>&amp; cats</seg></tuv></tu>
<tu srclang="de"><tuv lang="de"><seg>Hund</seg></tuv><tuv lang="zh-TW"><seg>狗</seg></tuv></tu>
<tu><tuv xml:lang="xx-nowhere"><seg>?</seg></tuv><tuv xml:lang="en"><seg>alone</seg></tuv></tu>
</body></tmx>
"""
BOMB = """<?xml version="1.0"?>
<!DOCTYPE tmx [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>
<tmx version="1.4"><body><tu><tuv lang="en"><seg>&b;</seg></tuv></tu></body></tmx>
"""


def test_translations_are_read_under_the_codes_of_models_too(tmp_path: Path) -> None:
    path = tmp_path / "m.tmx"
    path.write_text(UNITS, "utf-8")
    entries = {entry.key: entry for entry in tmx.read(path)}
    for codes in (("en", "ja"), ("en-US", "ja-JP")):
        assert entries[key_of_people("Dogs & cats", *codes)].pieces == ["犬&猫"]
    assert entries[key_of_people("Hund", "de", "zh-Hant")].pieces == ["狗"]
    assert key_of_people("Hund", "de", "zh") not in entries
    assert {entry.source for entry in entries.values()} == {"Dogs & cats", "Hund"}


@pytest.mark.parametrize("content", [BOMB, "no XML", "<tmx>"])
def test_what_is_no_tmx_or_declares_entities_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "m.tmx"
    path.write_text(content, "utf-8")
    with pytest.raises(tmx.UnreadableTmx):
        list(tmx.read(path))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "m.tmx"
    texts = ["a < b & c > d", "\"'\n\t\r🎉", "]]>", "bell\x07"]
    entries = [Entry(b"k", "en", "de", "m", text, [text, text]) for text in texts]
    with path.open("w", encoding="utf-8", newline="") as file:
        assert tmx.write(entries, file) == len(texts)
    read = [(entry.source, entry.pieces) for entry in tmx.read(path)]
    assert read == [(t.replace("\x07", ""), [(t + t).replace("\x07", "")]) for t in texts]


def memory(*words: str, path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "server.py", "memory", *words, "--memory", str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.slow
def test_the_command_line_imports_counts_exports_and_forgets(tmp_path: Path) -> None:
    path, given, written = (tmp_path / name for name in ("m.sqlite", "a.tmx", "b.tmx"))
    given.write_text(UNITS, "utf-8")
    assert memory("import", str(given), path=path).stdout == "6 segments are new.\n"
    assert memory("stats", path=path).stdout.startswith("6 segments, ")
    assert memory("export", str(written), path=path).returncode == 0
    assert len(list(tmx.read(written))) >= 6
    assert memory("clear", path=path).returncode == 0
    assert memory("stats", path=path).stdout.startswith("0 segments")


@pytest.mark.slow
def test_the_command_line_complains_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "m.sqlite"
    path.write_bytes(b"no database" * 100)
    for words, status in ((("stats",), 1), (("import", "nowhere.tmx"), 1), (("wash",), 2)):
        done = memory(*words, path=path)
        assert done.returncode == status, done.stderr
        assert done.stderr.startswith("server.py: error: ")
        assert "Traceback" not in done.stderr
    assert memory("stats", path=Path("off")).returncode == 1


def test_a_store_opens_without_writing_where_there_is_one(tmp_path: Path) -> None:
    path = str(tmp_path / "m.sqlite")
    store = FileStore(path, 10_000)
    store.put(Entry(b"k", None, "de", "m", "a", ["b"]))
    store.close()
    store = FileStore(path, 10_000)
    assert [entry.source_lang for entry in store.entries()] == [None]
    store.close()
