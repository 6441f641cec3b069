"""A download from the hub, and all that can happen on its way."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from engine.models.catalogue import Source
from engine.models.download import Cancelled, DownloadError, fetch
from tests.engine.models.hub import COMMIT, STORE_HOSTS, Fault, Hub

CONTENT = os.urandom(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
REPOSITORY, FILE = "someone/models", "q4/model.gguf"


@pytest.fixture
def target(hub: Hub, tmp_path: Path) -> Path:
    """Where the file that the hub offers is to lie."""
    hub.add(REPOSITORY, FILE, CONTENT)
    return tmp_path / "models" / "model.gguf"


def get(target: Path, stop: threading.Event | None = None, **fields: Any) -> list[tuple[int, int]]:
    """Download to `target`; returns the reports."""
    reports: list[tuple[int, int]] = []
    source = Source(repository=REPOSITORY, file=FILE, **fields)
    fetch(
        source,
        target,
        lambda *report: reports.append(report),
        stop or threading.Event(),
        STORE_HOSTS,
    )
    return reports


def refusal(target: Path, **fields: Any) -> str:
    """The sentence of a download that fails, which leaves nothing under the file's name."""
    with pytest.raises(DownloadError) as failed:
        get(target, **fields)
    assert not target.exists()
    return failed.value.sentence


def parts(target: Path) -> list[Path]:
    return list(target.parent.glob("*.part"))


def leave_part(target: Path, content: bytes) -> None:
    """What a download that was cut some time ago left."""
    target.parent.mkdir(exist_ok=True)
    target.with_name(f"{target.name}.{SHA256[:16]}.part").write_bytes(content)


# When all goes well


def test_the_double_is_understood_by_the_library_itself(
    hub: Hub, target: Path, tmp_path: Path
) -> None:
    path = huggingface_hub.hf_hub_download(REPOSITORY, FILE, cache_dir=tmp_path / "cache")
    assert Path(path).read_bytes() == CONTENT
    assert COMMIT in path


def test_a_file_arrives_whole_with_its_hash_beside_it(hub: Hub, target: Path) -> None:
    reports = get(target, sha256=SHA256, size=len(CONTENT))
    assert target.read_bytes() == CONTENT
    assert sorted(target.parent.iterdir()) == [target, target.with_name(f"{target.name}.sha256")]
    assert reports[0] == (0, len(CONTENT))
    assert reports[-1] == (len(CONTENT), len(CONTENT))
    assert reports == sorted(reports)


def test_the_bytes_come_from_the_commit_that_was_looked_up(hub: Hub, target: Path) -> None:
    get(target)
    paths = [path for place, path, _ in hub.requests if place == "hub GET"]
    assert paths == [f"/{REPOSITORY}/resolve/{COMMIT}/{FILE}"]


def test_the_token_goes_to_the_hub_and_not_to_the_store(
    hub: Hub, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token = "hf_secret"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    get(target)
    assert [h["authorization"] for h in hub.asked("hub GET")] == ["Bearer hf_secret"]
    assert [h.get("authorization") for h in hub.asked("store GET")] == [None]


# Cuts


def test_it_goes_on_after_cuts_where_it_was(hub: Hub, target: Path) -> None:
    hub.cuts = [1_000_000, 500_000]
    get(target)
    assert target.read_bytes() == CONTENT
    ranges = [headers.get("range") for headers in hub.asked("store GET")]
    assert ranges == [None, "bytes=1000000-", "bytes=1500000-"]


def test_what_an_earlier_process_got_is_not_fetched_again(hub: Hub, target: Path) -> None:
    leave_part(target, CONTENT[:2_000_000])
    reports = get(target)
    assert target.read_bytes() == CONTENT
    assert reports[0] == (2_000_000, len(CONTENT))
    assert [headers["range"] for headers in hub.asked("store GET")] == ["bytes=2000000-"]
    assert parts(target) == []


def test_a_part_that_is_whole_only_needs_its_name(hub: Hub, target: Path) -> None:
    leave_part(target, CONTENT)
    get(target)
    assert target.read_bytes() == CONTENT
    assert hub.asked("store GET") == []


@pytest.mark.parametrize("part", [CONTENT[:10], CONTENT + b"more"])
def test_a_store_without_ranges_sends_all_again(hub: Hub, target: Path, part: bytes) -> None:
    hub.ranges = False
    leave_part(target, part)
    get(target)
    assert target.read_bytes() == CONTENT


def test_a_part_of_another_version_is_not_mixed_in(hub: Hub, target: Path) -> None:
    target.parent.mkdir()
    old = target.with_name("model.gguf.0000000000000000.part")
    old.write_bytes(b"another file's beginning")
    get(target)
    assert target.read_bytes() == CONTENT
    assert not old.exists()


def test_a_stall_is_a_cut(hub: Hub, target: Path) -> None:
    hub.stalls = [1_000_000]
    get(target)
    assert target.read_bytes() == CONTENT
    assert hub.asked("store GET")[1]["range"] == "bytes=1000000-"


def test_it_gives_up_when_several_tries_bring_nothing(hub: Hub, target: Path) -> None:
    hub.cuts = [1_000, 0, 0, 0, 0, 0]
    assert "What has come so far is kept; try again later." in refusal(target)
    [part] = parts(target)
    assert part.read_bytes() == CONTENT[:1_000]
    get(target)
    assert target.read_bytes() == CONTENT


# What the hub may answer


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_busy_hub_is_asked_again(hub: Hub, target: Path, status: int) -> None:
    hub.looks = [Fault(status), None]
    hub.gets = [Fault(status, Retry_After="0"), None]
    get(target)
    assert target.read_bytes() == CONTENT


def test_a_hub_that_is_busy_for_long_is_told(hub: Hub, target: Path) -> None:
    hub.looks = [Fault(429, Retry_After="3600")]
    assert "the hub answered 429 (Too Many Requests)" in refusal(target)
    assert len(hub.asked("hub HEAD")) == 1
    hub.looks = [Fault(503)] * 9
    assert "the hub answered 503 (Service Unavailable)" in refusal(target)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault(401, "RepoNotFound"), "shows no repository someone/models"),
        (Fault(401, "GatedRepo"), "wants its terms accepted: accept them at http://127.0.0.1"),
        (Fault(403, "GatedRepo"), "give a token of your account in HF_TOKEN"),
        (Fault(403), "refused q4/model.gguf of someone/models (403)"),
        (Fault(404, "RevisionNotFound"), "has no file q4/model.gguf at main"),
        (Fault(404, "EntryNotFound"), "has no file q4/model.gguf at main"),
        (Fault(404), "answered 404"),
        (Fault(418), "answered 418"),
    ],
)
@pytest.mark.parametrize("when", ["looks", "gets"])
def test_what_will_not_get_better_is_told_at_once(
    hub: Hub, target: Path, fault: Fault, sentence: str, when: str
) -> None:
    setattr(hub, when, [fault])
    assert sentence in refusal(target)
    assert len(hub.asked("hub HEAD")) + len(hub.asked("hub GET")) <= 2


def test_a_hub_that_is_not_there_is_told(hub: Hub, target: Path) -> None:
    hub.close()
    assert "the connection failed" in refusal(target)


def test_a_server_that_is_no_hub_is_told(hub: Hub, target: Path) -> None:
    hub.looks = [Fault(200)]
    assert "does not answer as a hub of Hugging Face does" in refusal(target)


# What may be wrong with the file


def test_a_wrong_hash_is_told_and_nothing_of_it_kept(hub: Hub, target: Path) -> None:
    hub.told = {"sha256": "f" * 64}
    assert f"its sha256 is {SHA256}, not {'f' * 64}" in refusal(target)
    assert [part.stat().st_size for part in parts(target)] == [0]
    hub.told = {}
    get(target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"size": 7}, "its size is 3000000, not 7"),
        ({"sha256": "0" * 64}, f"its sha256 is {SHA256}"),
    ],
)
def test_another_file_than_the_entry_means_is_not_even_begun(
    hub: Hub, target: Path, fields: dict[str, Any], sentence: str
) -> None:
    assert sentence in refusal(target, **fields)
    assert hub.asked("store GET") == []


def test_a_file_longer_than_told_is_refused(hub: Hub, target: Path) -> None:
    hub.told = {"size": 1_000}
    assert "is longer than the 1,000 bytes" in refusal(target)


def test_a_file_shorter_than_told_is_refused(hub: Hub, target: Path) -> None:
    hub.told = {"size": len(CONTENT) + 1}
    assert "What has come so far is kept" in refusal(target)


# Here


def test_free_disk_is_looked_for_first(hub: Hub, target: Path) -> None:
    size = shutil.disk_usage(target.parents[1]).total + 1
    hub.told = {"size": size}
    assert f"model.gguf needs {size:,} more bytes of disk" in refusal(target)
    assert hub.asked("store GET") == []


def test_a_folder_that_cannot_be_written_is_told(hub: Hub, target: Path) -> None:
    target.parent.write_bytes(b"a file in the folder's place")
    with pytest.raises(DownloadError, match="cannot be written: File exists"):
        get(target)


def test_two_processes_do_not_write_one_file(hub: Hub, target: Path) -> None:
    leave_part(target, CONTENT[:10])
    with parts(target)[0].open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert "Another process is downloading model.gguf" in refusal(target)
    assert parts(target)[0].read_bytes() == CONTENT[:10]


def test_a_download_that_is_stopped_keeps_its_part(hub: Hub, target: Path) -> None:
    stop = threading.Event()
    source = Source(repository=REPOSITORY, file=FILE)
    with pytest.raises(Cancelled):
        fetch(
            source, target, lambda done, total: done > 1_000_000 and stop.set(), stop, STORE_HOSTS
        )
    assert not target.exists()
    [part] = parts(target)
    assert 1_000_000 < part.stat().st_size < len(CONTENT)
    assert CONTENT.startswith(part.read_bytes())


def test_a_wait_for_a_busy_hub_can_be_stopped(hub: Hub, target: Path) -> None:
    hub.looks = [Fault(503, Retry_After="50")]
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(Cancelled):
        get(target, stop)
