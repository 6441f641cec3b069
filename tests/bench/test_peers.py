"""How the peers are built; the build itself takes minutes and is not run here."""

from __future__ import annotations

import dataclasses
import io
import os
import tarfile
from pathlib import Path

import pytest

from bench import peers
from engine.llama import wheel

BUILD = wheel.this_build(wheel.REQUIREMENTS.read_text(encoding="utf-8"), os.environ)


def test_peers_are_compiled_with_the_flags_of_requirements_txt() -> None:
    build = dataclasses.replace(
        BUILD,
        platform="linux-x86_64",
        requirements=wheel.package_lines(wheel.REQUIREMENTS.read_text(encoding="utf-8")),
        variables={"CMAKE_ARGS": '-DGGML_CUDA=on "-DA=b c"'},
    )
    assert peers.definitions(build)[-4:] == [
        "-DCMAKE_C_FLAGS=-fno-tree-dse -fno-dse",
        "-DCMAKE_CXX_FLAGS=-fno-tree-dse -fno-dse",
        "-DGGML_CUDA=on",
        "-DA=b c",
    ]
    elsewhere = dataclasses.replace(build, platform="linux-aarch64", variables={})
    assert not [line for line in peers.definitions(elsewhere) if "FLAGS" in line]


def test_peers_that_are_built_are_taken(tmp_path: Path) -> None:
    folder = tmp_path / BUILD.key
    folder.mkdir()
    for program in peers.PROGRAMS:
        (folder / program).touch()
    assert peers.ensure(tmp_path) == folder
    assert peers.given(folder) == folder


def test_a_folder_without_the_peers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "llama-server").touch()
    with pytest.raises(peers.PeersError, match="does not hold llama-batched-bench"):
        peers.given(tmp_path)


def test_the_vocabulary_comes_out_of_the_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(command: list[str], _log: Path) -> None:
        into = Path(command[command.index("--dest") + 1])
        name = "llama_cpp_python-1/vendor/llama.cpp/models/ggml-vocab-qwen2.gguf"
        with tarfile.open(into / "llama_cpp_python-1.tar.gz", "w:gz") as packed:
            member = tarfile.TarInfo(name)
            member.size = 5
            packed.addfile(member, io.BytesIO(b"words"))

    monkeypatch.setattr(peers, "_run", download)
    assert peers.vocabulary(tmp_path).read_bytes() == b"words"
    assert [path.name for path in tmp_path.iterdir()] == ["ggml-vocab-qwen2.gguf"]
