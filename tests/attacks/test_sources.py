"""A hub that was taken over cannot make the server ask for what only the server can reach."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from httpx import URL

from engine.models.catalogue import Source
from engine.models.download import DownloadError, fetch
from engine.models.hosts import Hosts
from engine.settings import Models
from tests.engine.models.conftest import hub  # noqa: F401 (a fixture)
from tests.engine.models.hub import STORE_HOSTS, Hub

SOURCE = Source(repository="someone/models", file="model.gguf")
HUB = "https://huggingface.co"


@pytest.fixture
def inside() -> Iterator[socket.socket]:
    """A service that only this machine can reach, under an address that nobody listed."""
    with socket.create_server(("127.0.0.2", 0)) as listening:
        listening.settimeout(0.2)
        yield listening


def download(hub: Hub, target: Path, sent_to: str, *hosts: str) -> str:  # noqa: F811
    """The sentence of a download that the hub sends to another place."""
    hub.add(SOURCE.repository, SOURCE.file, b"GGUF")
    hub.store_url = sent_to
    with pytest.raises(DownloadError) as failed:
        fetch(SOURCE, target, lambda *_: None, threading.Event(), hosts or STORE_HOSTS)
    assert not target.exists()
    assert not any(path.stat().st_size for path in target.parent.glob("*.part"))
    return failed.value.sentence


def test_an_address_that_nobody_listed_is_not_asked(
    hub: Hub,  # noqa: F811
    inside: socket.socket,
    tmp_path: Path,
) -> None:
    address = f"http://127.0.0.2:{inside.getsockname()[1]}"
    sentence = download(hub, tmp_path / "model.gguf", address)
    assert "http://127.0.0.2, which is none of its own hosts" in sentence
    with pytest.raises(TimeoutError):
        inside.accept()


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[fd00:ec2::254]",
        "http://metadata.internal",
        "http://localhost.evil.example",
        "https://huggingface.co.evil.example",
        "http://0x7f000002",
    ],
)
def test_no_redirect_leads_elsewhere(hub: Hub, tmp_path: Path, address: str) -> None:  # noqa: F811
    sentence = download(hub, tmp_path / "model.gguf", address, "localhost")
    assert "models.hosts" in sentence


@pytest.mark.parametrize("address", ["file:///etc", "ftp://localhost", "gopher://localhost:70"])
def test_no_redirect_leads_to_another_protocol(
    hub: Hub,  # noqa: F811
    tmp_path: Path,
    address: str,
) -> None:
    assert download(hub, tmp_path / "model.gguf", address)


def test_redirects_in_a_circle_end(hub: Hub, tmp_path: Path) -> None:  # noqa: F811
    circle = f"{hub.url}/someone/models/resolve/main/model.gguf?"
    assert "in a circle" in download(hub, tmp_path / "model.gguf", circle)
    assert len(hub.asked("hub GET")) < 20


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("https://huggingface.co/a/b", True),
        ("https://cdn-lfs.huggingface.co/x?Signature=y", True),
        ("https://cas-bridge.xethub.hf.co/x", True),
        ("https://CDN-LFS-US-1.HF.CO./x", True),
        ("http://cdn-lfs.hf.co/x", False),  # not encrypted
        ("https://hf.co.example/x", False),
        ("https://nothf.co/x", False),
        ("https://huggingface.co@evil.example/x", False),
        ("https://evil.example/?huggingface.co", False),
        ("https://127.0.0.1/x", False),
        ("https://[::1]/x", False),
        ("https://localhost/x", False),
        ("file:///etc/passwd", False),
    ],
)
def test_the_hub_and_its_stores_are_allowed_at_first(address: str, allowed: bool) -> None:
    assert Hosts(Models().hosts, HUB).allow(URL(address)) is allowed


def test_a_mirror_is_allowed_by_being_the_endpoint() -> None:
    mirror = Hosts([], "http://mirror.internal:8000")
    assert mirror.allow(URL("http://mirror.internal:8000/a/b"))
    assert not mirror.allow(URL("http://mirror.internal:8001/a/b"))
    assert mirror.allow(URL("https://cdn-lfs.hf.co/a/b"))  # where it may send on to
