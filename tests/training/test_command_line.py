"""The command line, as far as it goes without the training packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from training import __main__ as command_line


def run(*flags: str | Path) -> None:
    """Run one stage as `python -m training` does."""
    args = command_line.parser().parse_args([str(flag) for flag in flags])
    args.stage(args)


def test_train_takes_the_flags_of_all_its_stages() -> None:
    flags = [
        "train",
        "--corpus",
        "c",
        "--minutes",
        "5",
        "--warm-start",
        "m.gguf",
        "--only",
        "en-de",
    ]
    args = command_line.parser().parse_args(flags)
    assert args.stage is command_line.train_stage
    assert (args.minutes, args.warm_start, args.only) == (5.0, Path("m.gguf"), ["en-de"])
    assert args.run == Path("training-run")


def test_an_hour_of_training_does_not_begin_without_what_comes_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command_line, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="llama-cpp-python is missing"):
        run("train", "--corpus", "nowhere")


@pytest.mark.parametrize("flags", [[], ["train"], ["fly"]])
def test_a_wrong_command_says_how_it_goes(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command_line.parser().parse_args(flags)
    assert "usage: python -m training" in capsys.readouterr().err


def test_a_file_is_split_and_joined_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.gguf").write_bytes(b"weights")
    parts = tmp_path / "parts"
    run("split", tmp_path / "model.gguf", "--folder", parts)
    run("join", *parts.iterdir(), "--folder", parts)
    printed = capsys.readouterr().out.splitlines()
    assert (parts / "model.gguf").read_bytes() == b"weights"
    assert printed[-1] == str(parts / "model.gguf")
