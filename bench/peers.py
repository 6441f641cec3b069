"""Builds the peers, llama-server and llama-batched-bench: `python -m bench.peers`.

They come from the sources inside the sdist of the very llama-cpp-python version that is installed,
compiled with the flags that requirements.txt gives for it, so that the kernels are the same. They
are kept in the user's cache folder, beside the wheels and under the same kind of key.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from engine.llama import wheel

PROGRAMS = ("llama-server", "llama-batched-bench")
_PROGRESS_SECONDS = 10.0

# Only what is measured is built, and nothing is fetched: no multimodal parts beyond what the server
# links, no TLS, no web page.
_OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    "-DLLAMA_CURL=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DCMAKE_BUILD_RPATH_USE_ORIGIN=ON",  # the libraries are found beside the programs
)
_VOCABULARY = "ggml-vocab-qwen2.gguf"


class PeersError(Exception):
    """The peers could not be built; the text says why and what to do."""


def default_folder() -> Path:
    """Where built peers are kept."""
    return wheel.default_folder(os.environ).parent / "peers"


def vocabulary(folder: Path | None = None) -> Path:
    """A file with a real vocabulary of 151,936 tokens, out of the same sources.

    Raises PeersError.
    """
    kept = folder or default_folder()
    path = kept / _VOCABULARY
    if not path.exists():
        with _work_folder(kept) as work:
            sources = _sources(_this_build().version, work, kept / "sources.log")
            (sources / "models" / _VOCABULARY).replace(path)
    return path


def ensure(folder: Path | None = None) -> Path:
    """The folder with the peers for this machine; builds them first where it does not exist.

    Raises PeersError.
    """
    build = _this_build()
    made = (folder or default_folder()) / build.key
    if not all((made / program).exists() for program in PROGRAMS):
        _build(build, made)
    return made


def given(folder: Path) -> Path:
    """A folder of existing binaries. Raises PeersError where one is missing."""
    missing = [program for program in PROGRAMS if not (folder / program).exists()]
    if missing:
        raise PeersError(f"{folder} does not hold {' and '.join(missing)}.")
    return folder.absolute()


def _this_build() -> wheel.Build:
    try:
        return wheel.this_build(wheel.REQUIREMENTS.read_text(encoding="utf-8"), os.environ)
    except wheel.WheelError as error:
        raise PeersError(str(error)) from None


def definitions(build: wheel.Build) -> list[str]:
    """CMake's definitions: our own, the wheel's for this platform, those in CMAKE_ARGS."""
    here = build.platform == "linux-x86_64"
    lines = [line for line in build.requirements if ('sys_platform == "linux"' in line) == here]
    wishes = shlex.split(build.variables.get("CMAKE_ARGS", ""))
    return [*_OPTIONS, *compile_flags(lines), *wishes]


def compile_flags(requirements: list[str]) -> list[str]:
    """The CMake definitions that requirement lines give to the wheel's build.

    >>> compile_flags(['a==1 --config-settings="cmake.define.CMAKE_C_FLAGS=-O2 -g"'])
    ['-DCMAKE_C_FLAGS=-O2 -g']
    """
    settings = re.findall(r'--config-settings="cmake\.define\.([^"]+)"', " ".join(requirements))
    return [f"-D{setting}" for setting in settings]


def _build(build: wheel.Build, made: Path) -> None:
    """The folder appears whole, by a rename, so that a kill does no harm."""
    wheel.say(f"Building {' and '.join(PROGRAMS)} {build.version}, about 6 minutes on 2 cores.")
    log = made.with_name(f"{made.name}.log")
    with _work_folder(made.parent) as work:
        log.unlink(missing_ok=True)
        sources = _sources(build.version, work, log)
        out = work / "out"
        configure = ["cmake", "-S", str(sources), "-B", str(out), "-G", "Ninja"]
        _run([*configure, *definitions(build)], log)
        _run(["cmake", "--build", str(out), "--target", *PROGRAMS], log)
        shutil.rmtree(made, ignore_errors=True)
        (out / "bin").rename(made)
    wheel.say(f"Built {made}")


@contextlib.contextmanager
def _work_folder(beside: Path) -> Iterator[Path]:
    """A folder on the same disk as the result, removed at the end."""
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="building-", dir=beside) as name:
        yield Path(name)


def _sources(version: str, work: Path, log: Path) -> Path:
    """llama.cpp's sources in `work`, taken out of the sdist that pip fetches."""
    wheel.say("  fetching the sources")
    where = ["--dest", str(work), "--no-deps", "--no-binary", wheel.PACKAGE]
    _run(wheel.pip("download", *where, f"{wheel.PACKAGE}=={version}"), log)
    archive = next(work.glob("*.tar.gz"), None)
    if archive is None:
        raise PeersError(f"pip fetched no sources. The whole log: {log}")
    with tarfile.open(archive) as packed:
        packed.extractall(work, filter="data")
    return next(work.glob("*/vendor/llama.cpp"))


def _run(command: list[str], log: Path) -> None:
    """Run a step of the build with its output in the log, and say how far it is."""
    # cmake and ninja come as wheels, whose programs lie beside this interpreter.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    begun = time.monotonic()
    with log.open("ab") as out:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PATH": path},
            )
        except FileNotFoundError:
            raise PeersError(
                f"There is no {command[0]}: pip install -r bench/requirements.txt"
            ) from None
        with process:
            while process.poll() is None:
                try:
                    process.wait(_PROGRESS_SECONDS)
                except subprocess.TimeoutExpired:
                    minutes, seconds = divmod(int(time.monotonic() - begun), 60)
                    wheel.say(f"  {minutes}:{seconds:02}  {wheel.progress(log)}")
    if process.returncode:
        raise PeersError(f"{command[0]} failed.\n{wheel.diagnosis(log)}")


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Builds llama-server and llama-batched-bench.")
    parser.add_argument("--into", type=Path, default=default_folder(), metavar="FOLDER")
    try:
        print(ensure(parser.parse_args().into.absolute()))
    except PeersError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
