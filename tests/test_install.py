"""The Makefile and .ci/run, on a copy of them with stand-ins for what they start."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

SERVER = """
import signal, sys
signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
print("started with", *sys.argv[1:], flush=True)
signal.pause()
"""


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def make(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=outside_make(), capture_output=True, text=True
    )


def outside_make() -> dict[str, str]:
    """The environment without what the make that runs these tests has put there."""
    return {name: value for name, value in os.environ.items() if "MAKE" not in name}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The Makefile, with nothing installed and a stand-in for the server."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.txt", "engine/llama/wheel.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "server.py").write_text(SERVER)
    return tmp_path


@pytest.fixture
def installed_tree(tree: Path) -> Path:
    """The same, with everything installed."""
    (tree / ".venv" / "bin").mkdir(parents=True)
    (tree / ".venv" / "bin" / "python").symlink_to(sys.executable)
    for stamp in (".made", ".wheel", ".run"):
        (tree / ".venv" / stamp).touch()
    return tree


def test_plain_make_lists_the_targets(tree: Path) -> None:
    listed = make(tree).stdout
    for target in ("run", "test", "test-quick", "lint", "format", "config", "train", "clean"):
        assert f"make {target} " in listed


def test_an_old_python_is_refused_with_a_sentence(tree: Path) -> None:
    old = executable(tree / "python3", "#!/bin/sh\nexit 1\n")
    run = make(tree, "run", f"PYTHON={old}")
    assert run.returncode != 0
    assert "Babelbrook needs Python 3.11 or newer" in run.stdout
    assert not (tree / ".venv").exists()


def test_what_is_installed_is_not_installed_again(installed_tree: Path) -> None:
    (installed_tree / "server.py").write_text("import sys; print(sys.argv[1:])")
    run = make(installed_tree, "run", "ARGS=--port 0")
    assert run.stdout == "['--config', 'config.yaml', '--port', '0']\n"


def test_new_requirements_are_installed(installed_tree: Path) -> None:
    plan = make(installed_tree, "--dry-run", "run").stdout
    assert "pip install" not in plan
    assert "engine.llama.wheel" not in plan

    later = (installed_tree / ".venv" / ".run").stat().st_mtime + 1
    os.utime(installed_tree / "requirements.txt", (later, later))
    plan = make(installed_tree, "--dry-run", "run").stdout
    assert plan.index("engine.llama.wheel") < plan.index("pip install") < plan.index("server.py")


def test_a_wish_in_cmake_args_is_looked_at(installed_tree: Path) -> None:
    plan = make(installed_tree, "--dry-run", "run", "CMAKE_ARGS=-DGGML_CUDA=on").stdout
    assert "engine.llama.wheel" in plan


def test_ctrl_c_ends_make_run_without_an_error(installed_tree: Path) -> None:
    run = subprocess.Popen(
        ["make", "run"],
        cwd=installed_tree,
        env=outside_make(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with run:
        assert run.stdout is not None
        assert "started" in run.stdout.readline()
        # A terminal sends the signal to the whole group: to make and to the server.
        os.killpg(run.pid, signal.SIGINT)
        assert "***" not in run.stdout.read()


def test_settings_that_cannot_be_written_leave_config_yaml_alone(installed_tree: Path) -> None:
    (installed_tree / "config.yaml").write_text("as it was")
    (installed_tree / "engine" / "config.py").write_text("print('half'); raise SystemExit(1)")
    assert make(installed_tree, "config").returncode != 0
    assert (installed_tree / "config.yaml").read_text() == "as it was"

    (installed_tree / "engine" / "config.py").write_text("print('anew')")
    assert make(installed_tree, "config").returncode == 0
    assert (installed_tree / "config.yaml").read_text() == "anew\n"


def test_ci_installs_the_packages_that_are_missing_and_runs_the_tests(tmp_path: Path) -> None:
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "apt.txt").write_text("# why\nhere  # a reason\nmissing\n\n")
    executable(tmp_path / "bin" / "id", "#!/bin/sh\necho 0\n")
    executable(tmp_path / "bin" / "dpkg", '#!/bin/sh\ntest "$2" = here\n')
    executable(tmp_path / "bin" / "apt-get", '#!/bin/sh\necho apt-get "$@"\n')
    executable(tmp_path / "bin" / "make", '#!/bin/sh\necho "make $@, CI=$CI"; cat\n')

    run = subprocess.run(
        [tmp_path / ".ci" / "run"],
        env={"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"},
        input="not for the tests",
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [
        "apt-get update --quiet",
        "apt-get install --quiet --yes --no-install-recommends missing",
        "make test, CI=true",
    ]
