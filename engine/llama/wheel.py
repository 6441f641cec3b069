"""Builds llama-cpp-python for this machine and installs it: `python -m engine.llama.wheel`.

Plain pip is not enough. It keeps the wheels that it builds in a cache whose key is the address
of the source, not the flags of the build (`Cache._get_cache_path_parts` in pip/_internal/cache.py).
A default wheel in there is taken for the one that requirements.txt asks for, and that one crashes
on AMX machines with an older GCC (GCC PR target/114098).

So the wheel is built past that cache, into a folder of our own whose name is the key of everything
that decides which machine code comes out. It is then installed by its path; pip finds the
requirement satisfied and builds nothing.

Only the standard library is used, because this runs before anything else is installed.
"""

import argparse
import contextlib
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlparse

PACKAGE = "llama-cpp-python"
REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements.txt"

# For each language: the variable that names its compiler, and where CMake looks without it.
COMPILERS = {"C": ("CC", ("cc", "gcc", "clang")), "CXX": ("CXX", ("c++", "g++", "clang++"))}

# The variables through which wishes reach the build, such as CMAKE_ARGS="-DGGML_CUDA=on".
BUILD_VARIABLES = (
    "CMAKE_ARGS",
    "SKBUILD_CMAKE_ARGS",
    "SKBUILD_CMAKE_DEFINE",
    "CFLAGS",
    "CXXFLAGS",
    "LDFLAGS",
    "CUDACXX",
    "CUDAARCHS",
)

PROGRESS_SECONDS = 10.0

NO_COMPILER = (
    "llama.cpp is compiled on this machine and needs a C and a C++ compiler. Install them: "
    "Debian and Ubuntu 'apt-get install g++', Fedora 'dnf install gcc-c++', "
    "macOS 'xcode-select --install'. CC and CXX name others."
)

# What the log of a failed build says, and what helps.
CURES = (
    (
        r"No space left on device",
        "The disk is full: free some of it, or set TMPDIR to a folder on another.",
    ),
    (
        r"Killed signal|[Oo]ut of memory|Cannot allocate memory",
        "The compiler ran out of memory: CMAKE_BUILD_PARALLEL_LEVEL=1 compiles a file at a time.",
    ),
    (
        r"error: (unrecognized command.line option|unknown argument)",
        "The compiler does not know a flag: check CC, CXX, CFLAGS, CXXFLAGS and CMAKE_ARGS.",
    ),
    (
        r"CMAKE_\w+_COMPILER (could be found|not set)|is not able to compile a simple test",
        NO_COMPILER,
    ),
    (
        r"no such option: --config-settings",
        "This pip is too old: python -m pip install 'pip>=23.1'.",
    ),
    (
        r"No module named pip",
        "This Python has no pip: python -m ensurepip.",
    ),
    (
        r"No matching distribution|Could not find a version|Connection|timed out|name resolution",
        "The sources could not be fetched: check the network and pip's settings (pip config list).",
    ),
)


class WheelError(Exception):
    """Nothing was installed; the text says why and what to do."""


@dataclass(frozen=True)
class Build:
    """What decides which machine code a wheel holds. Equal builds share a wheel, others never do.

    The version of Python is not part of it: the library is reached through ctypes, and its wheel
    (tagged `py3-none`) fits every Python of the platform.
    """

    version: str
    requirements: list[str]
    compilers: dict[str, str]
    variables: dict[str, str]
    cpu: list[str]
    platform: str
    libc: str

    @property
    def key(self) -> str:
        """A folder name such as `0.3.36-linux-x86_64-1f2e3d4c5b6a`."""
        facts = json.dumps(asdict(self), sort_keys=True).encode()
        return f"{self.version}-{self.platform}-{hashlib.sha256(facts).hexdigest()[:12]}"


def this_build(requirements: str, environ: Mapping[str, str]) -> Build:
    """The build that this text of requirements.txt asks for, on this machine, in this environment.

    Raises WheelError where there is no compiler, or no version.
    """
    lines = package_lines(requirements)
    compilers = {language: compiler_version(language, environ) for language in COMPILERS}
    return Build(
        version=pinned_version(lines),
        requirements=without_gcc_flags(lines, compilers),
        compilers=compilers,
        variables={name: environ[name] for name in BUILD_VARIABLES if environ.get(name)},
        cpu=cpu_features(),
        platform=sysconfig.get_platform(),
        libc="-".join(platform.libc_ver()),
    )


def package_lines(requirements: str) -> list[str]:
    """The requirements of the package, each on one line and without comments, as pip reads them."""
    joined = re.sub(r"\\\n\s*", "", requirements)
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines()]
    name = re.compile(r"llama[-_.]cpp[-_.]python(?![-\w.])", re.IGNORECASE)
    return [line for line in lines if name.match(line)]


def pinned_version(lines: list[str]) -> str:
    """The one version that all lines ask for."""
    pins = [re.search(r"==\s*([\w.+!]+)", line) for line in lines]
    versions = {pin[1] if pin else "" for pin in pins}
    if len(versions) != 1 or "" in versions:
        raise WheelError(f"requirements.txt has to pin {PACKAGE} to one version with '=='.")
    return versions.pop()


def without_gcc_flags(lines: list[str], compilers: Mapping[str, str]) -> list[str]:
    """The lines without the flags for a language whose compiler is clang.

    Clang refuses flags that it does not know, and it never had the fault that they work around.
    """
    for language, version in compilers.items():
        if "clang" in version:
            flags = rf'\s+--config-settings[= ]"[^"]*CMAKE_{language}_FLAGS[^"]*"'
            lines = [re.sub(flags, "", line) for line in lines]
    return lines


def compiler_command(language: str, environ: Mapping[str, str]) -> list[str]:
    """The compiler that CMake will take: from CMAKE_ARGS, from CC or CXX, or the usual one."""
    variable, usual = COMPILERS[language]
    define = rf"-DCMAKE_{language}_COMPILER(?::\w+)?=(\S+)"
    if match := re.search(define, environ.get("CMAKE_ARGS", "")):
        return [match[1]]
    if named := environ.get(variable, "").split():
        return named
    return [next((name for name in usual if shutil.which(name)), usual[0])]


def compiler_version(language: str, environ: Mapping[str, str]) -> str:
    """The first line of the compiler's `--version`."""
    command = [*compiler_command(language, environ), "--version"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise WheelError(f"'{shlex.join(command)}' fails. {NO_COMPILER}") from error
    return answer.strip().partition("\n")[0]


def cpu_features() -> list[str]:
    """The CPU's features: llama.cpp is compiled for the CPU that it is built on (-march=native)."""
    if sys.platform == "darwin":
        command = ["sysctl", "machdep.cpu.brand_string", "hw.optional"]
        return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    # x86 says "flags", arm64 "Features"; the cores of one machine may differ.
    lines = re.findall(r"^(?:flags|Features)\s*:(.*)", cpuinfo, re.MULTILINE)
    return sorted({name for line in lines for name in line.split()})


def default_folder(environ: Mapping[str, str]) -> Path:
    """Where wheels are kept: below the user's cache (XDG Base Directory Specification)."""
    cache = environ.get("XDG_CACHE_HOME", "")
    # The specification asks to ignore a relative path.
    base = Path(cache) if os.path.isabs(cache) else Path.home() / ".cache"
    return base / "babelbrook" / "wheels"


def wheel_in(folder: Path) -> Path | None:
    """The finished wheel of a folder."""
    return next(folder.glob("*.whl"), None)


def installed_key() -> str | None:
    """The key of the build that this environment runs on, or None where it has none of ours.

    pip itself notes which path a package was installed from (direct_url.json, PEP 610).
    """
    try:
        note = metadata.distribution(PACKAGE).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None
    url = json.loads(note or "{}").get("url", "")
    return Path(unquote(urlparse(url).path)).parent.name or None


def pip(*arguments: str) -> list[str]:
    """The command line of this interpreter's pip."""
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]


def build_wheel(build: Build, folder: Path) -> Path:
    """Builds the wheel into `folder` and returns its path; raises WheelError where that fails.

    The wheel appears whole, by a rename, so that two builds at once or a kill do no harm.
    """
    say(f"Building {PACKAGE} {build.version} for this machine, about 5 minutes on 2 cores, with")
    for line in (*build.compilers.values(), *map("=".join, build.variables.items())):
        say(f"  {line}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="building-", dir=folder) as name:
        made = Path(name)
        (made / "requirements.txt").write_text("\n".join(build.requirements), encoding="utf-8")
        (made / "build.json").write_text(json.dumps(asdict(build), indent=2), encoding="utf-8")
        try:
            run_build(made)
        finally:
            os.replace(made / "build.log", folder / "build.log")
        wheel = wheel_in(made)
        if wheel is None:
            raise WheelError(f"{PACKAGE} could not be built.\n{diagnosis(folder / 'build.log')}")
        os.replace(made / "build.json", folder / "build.json")
        return wheel.replace(folder / wheel.name)


def run_build(made: Path) -> None:
    """Has pip build what requirements.txt in `made` says, with its output in build.log there."""
    where = ["--requirement", str(made / "requirements.txt"), "--wheel-dir", str(made)]
    # A wheel from pip's cache or from a package index is not built with our flags for this CPU.
    sources_only = ["--no-cache-dir", "--no-binary", PACKAGE]
    command = pip("wheel", "--verbose", "--no-deps", *sources_only, *where)
    begun = time.monotonic()
    with (
        (made / "build.log").open("wb") as log,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        ) as process,
    ):
        while process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PROGRESS_SECONDS)
            minutes, seconds = divmod(int(time.monotonic() - begun), 60)
            say(f"  {minutes}:{seconds:02}  {progress(made / 'build.log')}")


def progress(log: Path) -> str:
    """How far a build is, from the counter `[12/193]` that ninja puts before each command."""
    text = log.read_text(encoding="utf-8", errors="replace")
    steps = re.findall(r"^\s*\[(\d+)/(\d+)\]", text, re.MULTILINE)
    return "step {} of {}".format(*steps[-1]) if steps else "preparing"


def diagnosis(log: Path) -> str:
    """What a person needs to know about a failed build: the end of its log, and a cure."""
    text = log.read_text(encoding="utf-8", errors="replace")
    tail = "\n".join(f"  {line[:200]}" for line in text.splitlines()[-20:])
    cure = next((cure for pattern, cure in CURES if re.search(pattern, text)), "")
    return f"{tail}\nThe whole log: {log}\n{cure}".rstrip()


def install(wheel: Path) -> None:
    """Installs the wheel into the environment of this interpreter, in place of any other build."""
    done = subprocess.run(
        pip("install", "--quiet", "--no-index", "--no-deps", "--force-reinstall", str(wheel)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise WheelError(f"pip could not install {wheel}:\n{done.stdout.rstrip()}")


def ensure(wheels: Path) -> None:
    """Installs the wheel that this machine needs; builds it first where `wheels` does not have it.

    Raises WheelError.
    """
    build = this_build(REQUIREMENTS.read_text(encoding="utf-8"), os.environ)
    if installed_key() == build.key:
        say(f"{PACKAGE} {build.version} is installed (build {build.key})")
        return
    folder = wheels / build.key
    wheel = wheel_in(folder) or build_wheel(build, folder)
    install(wheel)
    say(f"Installed {wheel}")


def say(text: str) -> None:
    """Prints a line at once: somebody waits for it, maybe through a pipe."""
    print(text, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m engine.llama.wheel", description=f"Builds {PACKAGE} and installs it."
    )
    parser.add_argument(
        "--wheels",
        type=Path,
        default=default_folder(os.environ),
        metavar="FOLDER",
        help="where built wheels are kept (%(default)s)",
    )
    try:
        ensure(parser.parse_args(arguments).wheels.absolute())
    except (WheelError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; nothing was installed.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
