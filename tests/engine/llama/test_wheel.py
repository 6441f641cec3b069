"""The native wheel is the one that requirements.txt asks for, whatever pip has in its cache.

The builds here are real runs of pip, on a source package that has the name and the version of the
real one and is built in no time: its wheel says which settings and variables the build got.
"""

import dataclasses
import io
import json
import os
import platform
import subprocess
import sys
import tarfile
import textwrap
from pathlib import Path

import pip
import pytest

from engine.llama import wheel

ROOT = wheel.REQUIREMENTS.parent
REQUIREMENTS = wheel.REQUIREMENTS.read_text(encoding="utf-8")
VERSION = wheel.pinned_version(wheel.package_lines(REQUIREMENTS))

GCC_FLAGS = {
    "cmake.define.CMAKE_C_FLAGS": "-fno-tree-dse -fno-dse",
    "cmake.define.CMAKE_CXX_FLAGS": "-fno-tree-dse -fno-dse",
}
# What a build with GCC has to get on the machine of this test.
EXPECTED = GCC_FLAGS if (sys.platform, platform.machine()) == ("linux", "x86_64") else {}

# A build backend (PEP 517) that needs nothing. Each wheel holds one module, with what came in.
BACKEND = f"""
import os, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    if os.environ.get("BREAK_THE_BUILD"):
        print(os.environ["BREAK_THE_BUILD"], flush=True)
        raise SystemExit(1)
    info = "llama_cpp_python-{VERSION}.dist-info"
    name = "llama_cpp_python-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        settings, cmake_args = dict(config_settings or {{}}), os.environ.get("CMAKE_ARGS")
        wheel.writestr("llama_cpp.py", f"settings = {{settings!r}}; cmake_args = {{cmake_args!r}}")
        wheel.writestr(info + "/METADATA",
            "Metadata-Version: 2.1\\nName: llama-cpp-python\\nVersion: {VERSION}\\n")
        wheel.writestr(info + "/WHEEL",
            "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "/RECORD", "")
    return name
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


class Machine:
    """A user's machine: a home, a pip cache, a compiler, an index with one source package."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wheels = folder / "cache" / "babelbrook" / "wheels"
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "CC": compiler(folder / "cc", "gcc (Test) 12.2.0"),
            "CXX": compiler(folder / "c++", "g++ (Test) 12.2.0"),
            "PIP_CACHE_DIR": str(folder / "pip"),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_FIND_LINKS": str(folder),
            "PIP_NO_INDEX": "1",
        }
        self.requirements = folder / "requirements.txt"
        self.requirements.write_text("\n".join(wheel.package_lines(REQUIREMENTS)))
        files = {"backend.py": BACKEND, "pyproject.toml": PYPROJECT, "PKG-INFO": ""}
        with tarfile.open(folder / f"llama_cpp_python-{VERSION}.tar.gz", "w:gz") as package:
            for name, text in files.items():
                member = tarfile.TarInfo(f"llama_cpp_python-{VERSION}/{name}")
                member.size = len(text.encode())
                package.addfile(member, io.BytesIO(text.encode()))
        # The pip of this environment, and nothing else of it.
        (folder / "packages").mkdir()
        (folder / "packages" / "pip").symlink_to(Path(pip.__file__).parent)

    def environment(self, name: str) -> "Environment":
        """A new virtual environment of this machine."""
        folder = self.folder / name
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        (packages,) = folder.glob("lib/python*/site-packages")
        (packages / "pip.pth").write_text(str(self.folder / "packages"))
        return Environment(self, folder / "bin" / "python")


@dataclasses.dataclass
class Environment:
    """A virtual environment on such a machine."""

    machine: Machine
    python: Path

    def start(self, *arguments: str, **environ: str) -> "subprocess.Popen[str]":
        """Starts this environment's Python in the top folder."""
        return subprocess.Popen(
            [self.python, *arguments],
            cwd=ROOT,
            env=self.machine.environ | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environ: str) -> str:
        """What a command that succeeds prints."""
        process = self.start(*arguments, **environ)
        output, errors = process.communicate()
        assert process.returncode == 0, output + errors
        return output

    def pip_install(self, *requirement: str, **environ: str) -> None:
        """What a user does who does not know of our way."""
        self.run("-m", "pip", "install", "--no-deps", *requirement, **environ)

    def installed(self, name: str) -> object:
        """A value of the installed module: its `settings`, or its `cmake_args`."""
        return json.loads(
            self.run("-c", f"import json, llama_cpp; print(json.dumps(llama_cpp.{name}))")
        )


def compiler(path: Path, version: str) -> str:
    """A program that says the version of a compiler; returns its path."""
    path.write_text(f"#!/bin/sh\necho '{version}'\necho 'Copyright'\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def build_on(machine: Machine, requirements: str = REQUIREMENTS, **environ: str) -> wheel.Build:
    return wheel.this_build(requirements, machine.environ | environ)


# What pip does, and what we do


def test_a_planted_default_wheel_is_taken_by_pip_but_never_by_us(machine: Machine) -> None:
    planter = machine.environment("planter")
    planter.pip_install(f"llama-cpp-python=={VERSION}", CMAKE_ARGS="planted")
    environment = machine.environment("environment")

    # The control: plain pip reads the line with the flags and installs the planted wheel. When this
    # fails, pip has learnt to tell builds apart, and a wheel folder of our own may go.
    environment.pip_install("-r", str(machine.requirements))
    assert environment.installed("cmake_args") == "planted"
    assert environment.installed("settings") == {}

    environment.run("-m", "engine.llama.wheel")
    assert environment.installed("cmake_args") is None
    assert environment.installed("settings") == EXPECTED

    # And pip leaves it alone afterwards, which is what `make run` relies on.
    environment.pip_install("-r", str(machine.requirements))
    assert environment.installed("cmake_args") is None


def test_a_default_wheel_that_an_index_offers_is_not_taken(machine: Machine) -> None:
    environment = machine.environment("environment")
    offered = ["--no-deps", "--wheel-dir", str(machine.folder), f"llama-cpp-python=={VERSION}"]
    environment.run("-m", "pip", "wheel", *offered, CMAKE_ARGS="offered")

    environment.run("-m", "engine.llama.wheel")
    assert environment.installed("cmake_args") is None
    assert environment.installed("settings") == EXPECTED


def test_the_wheel_is_built_once_for_all_environments(machine: Machine) -> None:
    first, second = machine.environment("first"), machine.environment("second")

    output = first.run("-m", "engine.llama.wheel")
    assert "Building" in output
    assert "gcc (Test) 12.2.0" in output
    for environment in (second, first):
        output = environment.run("-m", "engine.llama.wheel", BREAK_THE_BUILD="must not be built")
        assert "Building" not in output

    assert "is installed" in output
    (folder,) = machine.wheels.iterdir()
    assert folder.name == build_on(machine).key
    assert {file.suffix for file in folder.iterdir()} == {".whl", ".json", ".log"}
    assert json.loads((folder / "build.json").read_text())["version"] == VERSION


def test_another_build_replaces_the_installed_one_and_the_first_is_still_there(
    machine: Machine,
) -> None:
    environment = machine.environment("environment")
    environment.run("-m", "engine.llama.wheel")
    environment.run("-m", "engine.llama.wheel", CMAKE_ARGS="-DGGML_CUDA=on")
    assert environment.installed("cmake_args") == "-DGGML_CUDA=on"

    environment.run("-m", "engine.llama.wheel", BREAK_THE_BUILD="must not be built")
    assert environment.installed("cmake_args") is None


def test_two_builds_at_once_do_no_harm(machine: Machine) -> None:
    environments = [machine.environment("first"), machine.environment("second")]
    runs = [environment.start("-m", "engine.llama.wheel") for environment in environments]
    outputs = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs

    assert environments[0].installed("settings") == environments[1].installed("settings")
    (folder,) = machine.wheels.iterdir()
    assert len(list(folder.glob("*.whl"))) == 1


def test_a_failed_build_ends_with_a_cure_and_leaves_no_wheel(machine: Machine) -> None:
    environment = machine.environment("environment")
    run = environment.start("-m", "engine.llama.wheel", BREAK_THE_BUILD="No space left on device")
    _, errors = run.communicate()

    assert run.returncode == 1
    assert errors.startswith("error: llama-cpp-python could not be built.")
    assert "The disk is full" in errors
    assert "Traceback" not in errors
    (folder,) = machine.wheels.iterdir()
    assert str(folder / "build.log") in errors
    assert [file.name for file in folder.iterdir()] == ["build.log"]

    environment.run("-m", "engine.llama.wheel")
    assert environment.installed("cmake_args") is None


def test_without_a_compiler_nothing_is_tried(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CMAKE_ARGS", raising=False)
    monkeypatch.setenv("CXX", str(machine.folder / "missing"))

    assert wheel.main(["--wheels", str(machine.wheels)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: '{machine.folder}/missing --version' fails.")
    assert "apt-get install g++" in error
    assert not machine.wheels.exists()


# The key


def test_every_fact_of_a_build_is_in_its_key(machine: Machine) -> None:
    build = build_on(machine)
    changed = {"cpu": ["amx_tile"], "requirements": [], "compilers": {}, "variables": {"A": "B"}}
    keys = {
        dataclasses.replace(build, **{field.name: changed.get(field.name, "other")}).key
        for field in dataclasses.fields(build)
    }
    assert len(keys - {build.key}) == len(dataclasses.fields(build))
    assert build_on(machine).key == build.key
    assert build.key.startswith(f"{VERSION}-")


def test_flags_and_wishes_change_the_key(machine: Machine) -> None:
    other_flags = REQUIREMENTS.replace("-fno-dse", "-O1")
    assert other_flags != REQUIREMENTS
    builds = [
        build_on(machine),
        build_on(machine, other_flags),
        build_on(machine, CMAKE_ARGS="-DGGML_CUDA=on"),
        build_on(machine, CMAKE_ARGS="-DGGML_VULKAN=on"),
    ]
    assert len({build.key for build in builds}) == len(builds)


def test_a_new_compiler_changes_the_key(machine: Machine) -> None:
    newer = compiler(machine.folder / "newer", "g++ (Test) 14.1.0")
    assert build_on(machine, CXX=newer).key != build_on(machine).key


def test_another_cpu_changes_the_key(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    key = build_on(machine).key
    monkeypatch.setattr(wheel, "cpu_features", lambda: ["sse2"])
    assert build_on(machine).key != key


def test_the_rest_of_requirements_txt_does_not_change_the_key(machine: Machine) -> None:
    assert build_on(machine, "tornado==6\n" + REQUIREMENTS).key == build_on(machine).key


def test_features_of_this_cpu_are_found() -> None:
    features = wheel.cpu_features()
    assert features == sorted(set(features))
    if platform.machine() == "x86_64" and sys.platform == "linux":
        assert "sse2" in features


# Compilers


def test_clang_gets_no_flags_and_gcc_beside_it_keeps_them(machine: Machine) -> None:
    clang = compiler(machine.folder / "clang", "Debian clang version 17.0.6")
    assert "FLAGS" in str(build_on(machine).requirements)

    both = build_on(machine, CC=clang, CXX=clang)
    assert "FLAGS" not in str(both.requirements)
    assert [line.split(" --")[0] for line in build_on(machine).requirements] == both.requirements

    one = str(build_on(machine, CC=clang).requirements)
    assert "CMAKE_CXX_FLAGS" in one
    assert "CMAKE_C_FLAGS" not in one


def test_a_build_with_clang_gets_no_flags(machine: Machine) -> None:
    clang = compiler(machine.folder / "clang", "clang version 17.0.6")
    environment = machine.environment("environment")
    environment.run("-m", "engine.llama.wheel", CC=clang, CXX=clang)
    assert environment.installed("settings") == {}


@pytest.mark.parametrize(
    ("environ", "command"),
    [
        ({"CXX": "ccache g++-14"}, ["ccache", "g++-14"]),
        ({"CXX": "g++", "CMAKE_ARGS": "-DA=1 -DCMAKE_CXX_COMPILER=clang++ -DB=2"}, ["clang++"]),
        ({"CXX": "g++", "CMAKE_ARGS": "-DCMAKE_CXX_COMPILER:PATH=/opt/c++"}, ["/opt/c++"]),
        ({"CXX": "g++", "CMAKE_ARGS": "-DCMAKE_C_COMPILER=clang"}, ["g++"]),
    ],
)
def test_the_compiler_is_the_one_that_cmake_takes(
    environ: dict[str, str], command: list[str]
) -> None:
    assert wheel.compiler_command("CXX", environ) == command


# Reading requirements.txt


def test_requirements_txt_carries_the_flags_for_both_languages() -> None:
    flagged, plain = wheel.package_lines(REQUIREMENTS)
    assert 'sys_platform == "linux" and platform_machine == "x86_64"' in flagged
    for setting, flags in GCC_FLAGS.items():
        assert f'--config-settings="{setting}={flags}"' in flagged
    assert "--config-settings" not in plain


def test_lines_are_read_as_pip_reads_them() -> None:
    text = textwrap.dedent("""
        # llama-cpp-python==0.1
        numpy
        llama-cpp-python-extras==1
        Llama_Cpp.Python==1.2 \\
            --config-settings="a=b c"  # why
    """)
    lines = wheel.package_lines(text)
    assert lines == ['Llama_Cpp.Python==1.2 --config-settings="a=b c"']
    assert wheel.pinned_version(lines) == "1.2"


@pytest.mark.parametrize(
    "lines", [[], ["llama-cpp-python>=1"], ["llama-cpp-python==1", "llama-cpp-python==2"]]
)
def test_a_version_that_is_not_pinned_once_is_refused(lines: list[str]) -> None:
    with pytest.raises(wheel.WheelError, match="pin llama-cpp-python to one version"):
        wheel.pinned_version(lines)


# What a person sees


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("c++: fatal error: Killed signal terminated program cc1plus", "out of memory"),
        ("cc: error: unrecognized command-line option '-fno-x'", "does not know a flag"),
        ("clang: error: unknown argument: '-fno-tree-dse'", "does not know a flag"),
        ("  No CMAKE_CXX_COMPILER could be found.", "apt-get install g++"),
        ("ERROR: No matching distribution found for scikit-build-core", "check the network"),
    ],
)
def test_known_failures_have_a_cure(tmp_path: Path, log: str, words: str) -> None:
    path = tmp_path / "build.log"
    path.write_text("noise\n" * 100 + log + "\n")
    diagnosis = wheel.diagnosis(path)
    assert log.strip() in diagnosis
    assert str(path) in diagnosis
    assert words in diagnosis.splitlines()[-1]


def test_progress_is_the_last_step_that_ninja_counted(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_text("Collecting llama-cpp-python\n")
    assert wheel.progress(log) == "preparing"
    log.write_text("  [9/193] cc -o a.o\n  [10/193] cc -o b[1/2].o\n" + "warning\n" * 50_000)
    assert wheel.progress(log) == "step 10 of 193"


def test_wheels_are_kept_in_the_cache_folder_of_the_user(tmp_path: Path) -> None:
    ours = Path("babelbrook", "wheels")
    assert wheel.default_folder({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / ours
    assert wheel.default_folder({"XDG_CACHE_HOME": "relative"}) == Path.home() / ".cache" / ours
    assert wheel.default_folder({}) == Path.home() / ".cache" / ours
