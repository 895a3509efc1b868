"""The scripts, on a copy of their folder with a stand-in for Python that installs nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = [*sorted((ROOT / "scripts").glob("*.sh")), ROOT / ".ci/run"]

# Answers the version check, makes a "virtual environment" of itself, and as pip writes what it was
# asked for to `pip.calls` and an `asr` that prints its words.
PYTHON = """#!/bin/bash
case "$*" in
    *version_info*) exit "${OLD_PYTHON:-0}" ;;
    --version) echo "Python 3.8.1" ;;
    *ensurepip*) exit "${NO_VENV:-0}" ;;
    *sysconfig*) echo "${INCLUDE:-$(dirname "$0")/include}" ;;
    "-m venv "*) mkdir -p "$3/bin" "$3/bin/include" && cp "$0" "$3/bin/python"
                 touch "$3/bin/include/Python.h" ;;
    "-m pip install "*)
        echo "$*" >>"$CALLS"
        [ -z "$PIP_SAYS" ] || { printf '%b\\n' "$PIP_SAYS"; exit 1; }
        printf '#!/bin/bash\\necho "cwd=$PWD" "$@"\\n' >"$(dirname "$0")/asr"
        chmod +x "$(dirname "$0")/asr" ;;
esac
"""


class Checkout:
    """A project's folder with nothing in it but what the scripts read."""

    def __init__(self, root, outside):
        self.root = root
        self.outside = outside
        self.calls = outside / "pip.calls"
        self.python = outside / "python3"
        self.python.write_text(PYTHON)
        self.python.chmod(0o755)
        (outside / "include").mkdir()
        (outside / "include" / "Python.h").touch()
        shutil.copytree(ROOT / "scripts", root / "scripts")
        (root / "native").mkdir()
        (root / "native" / "core.cpp").write_text("int answer() { return 42; }\n")
        (root / "asr").mkdir()
        (root / "asr" / "__init__.py").touch()
        (root / "pyproject.toml").write_text('[project]\nname = "asr"\n')

    def run(self, script, *words, **environment):
        return subprocess.run(
            [self.root / "scripts" / script, *words],
            cwd=self.outside,
            # `true` as the compiler accepts every program, and at once.
            env={
                **os.environ,
                "PYTHON": str(self.python),
                "CALLS": str(self.calls),
                "CXX": "true",
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def installations(self):
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def checkout(tmp_path):
    root, outside = tmp_path / "a checkout", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    return Checkout(root, outside)


def put_first(folder, name, content):
    """Put a program in front of those of the machine; return the PATH that does so."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(content)
    (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def refusal(result):
    """Return the one line with which set-up refused."""
    assert result.returncode == 2
    (line,) = [li for li in result.stderr.splitlines() if not li.startswith("setup:  ")]
    return line


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_passes_shellcheck(script):
    subprocess.run([Path(sys.executable).parent / "shellcheck", script], check=True)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_is_executable_and_stops_at_the_first_error(script):
    assert os.access(script, os.X_OK)
    assert "\nset -euo pipefail\n" in script.read_text()


@pytest.mark.parametrize("command", ["quickstart", "train", "decode"])
def test_script_installs_and_passes_its_words_on_from_the_callers_folder(checkout, command):
    result = checkout.run(f"{command}.sh", "model.hidden_size=8", "run_dir=with space")

    assert result.returncode == 0, result.stderr
    assert (
        result.stdout
        == f"cwd={checkout.outside} {command} model.hidden_size=8 run_dir=with space\n"
    )
    assert [call.split("[")[1] for call in checkout.installations()] == ["train,synth,tune]"]


def test_setup_installs_once(checkout):
    checkout.run("setup.sh", "synth")

    again = checkout.run("setup.sh", "synth")

    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert len(checkout.installations()) == 1


def test_setup_installs_again_for_another_extra(checkout):
    checkout.run("setup.sh", "synth")

    checkout.run("setup.sh", "dev", "synth")
    checkout.run("setup.sh", "synth")

    assert [call.split("[")[1] for call in checkout.installations()] == ["synth]", "dev,synth]"]


@pytest.mark.parametrize("changed", ["pyproject.toml", "native/core.cpp", "native/new.hpp"])
def test_setup_installs_again_after_a_change(checkout, changed):
    checkout.run("setup.sh", "synth")
    with (checkout.root / changed).open("a") as file:
        file.write("\n")

    checkout.run("setup.sh", "synth")

    assert len(checkout.installations()) == 2


def test_setup_installs_again_for_a_new_package_and_not_for_a_new_module(checkout):
    checkout.run("setup.sh", "synth")
    (checkout.root / "asr/module.py").touch()
    checkout.run("setup.sh", "synth")
    assert len(checkout.installations()) == 1

    (checkout.root / "asr/package").mkdir()
    (checkout.root / "asr/package/__init__.py").touch()
    checkout.run("setup.sh", "synth")

    assert len(checkout.installations()) == 2


def test_setup_installs_again_where_the_checkout_was_moved(checkout):
    checkout.run("setup.sh", "synth")
    checkout.root = checkout.root.rename(checkout.root.parent / "elsewhere")

    checkout.run("setup.sh", "synth")

    assert len(checkout.installations()) == 2
    assert "elsewhere[synth]" in checkout.installations()[-1]


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"OLD_PYTHON": "1"}, "setup: Python 3.11 or newer is needed, found Python 3.8.1"),
        ({"PYTHON": "/no/such/python"}, "Python 3.11 or newer is needed, found none"),
        ({"NO_VENV": "1"}, "apt install python3-venv"),
        ({"INCLUDE": "/no/headers"}, "apt install python3-dev"),
        ({"CXX": "/no/such/compiler"}, "a C++17 compiler is needed, and /no/such/compiler"),
        ({"CXX": "c++ -std=c++98 -D"}, "a C++17 compiler is needed"),
    ],
)
def test_setup_refuses_in_one_line_before_anything_is_written(checkout, environment, reason):
    result = checkout.run("quickstart.sh", **environment)

    assert reason in refusal(result)
    assert result.stdout == ""
    assert not (checkout.root / ".venv").exists()


def test_setup_refuses_a_full_disk(checkout):
    path = put_first(
        checkout.outside / "bin", "df", "#!/bin/sh\necho h; echo /dev/x 9 1 5000000 1% /"
    )

    result = checkout.run("setup.sh", "synth", PATH=path)

    assert "8 GB of free disk space are needed for PyTorch" in refusal(result)
    assert "has 5 GB" in result.stderr
    assert not (checkout.root / ".venv").exists()


def test_setup_needs_no_space_where_torch_is_installed(checkout):
    path = put_first(
        checkout.outside / "bin", "df", "#!/bin/sh\necho h; echo /dev/x 9 1 5000000 1% /"
    )
    checkout.run("setup.sh", "synth")
    (checkout.root / ".venv/lib/python3.11/site-packages/torch").mkdir(parents=True)

    result = checkout.run("setup.sh", "dev", PATH=path)

    assert result.returncode == 0, result.stderr


def test_setup_refuses_another_system(checkout):
    path = put_first(checkout.outside / "bin", "uname", "#!/bin/sh\necho MINGW64_NT")

    assert "Linux or macOS is needed, this is MINGW64_NT" in refusal(
        checkout.run("setup.sh", "synth", PATH=path)
    )


def test_setup_finds_the_machines_compiler(checkout):
    assert checkout.run("setup.sh", "synth", CXX="").returncode == 0


def test_setup_accepts_a_compiler_with_words(checkout):
    path = put_first(checkout.outside / "bin", "launcher", '#!/bin/sh\nexec "$@"\n')

    assert checkout.run("setup.sh", "synth", PATH=path, CXX="launcher c++").returncode == 0


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (
            "Collecting torch\\nERROR: No matching distribution found for torch~=2.11.0",
            "torch~=2.11.0",
        ),
        (
            "core.cpp:3:1: fatal error: x.hpp: No such file\\nERROR: Failed",
            "core.cpp:3:1: fatal error",
        ),
        ("CMake Error at CMakeLists.txt:3\\n  ERROR: Failed to build", "CMake Error at CMakeLists"),
        ("Killed\\n\\n", "Killed"),
    ],
)
def test_setup_reports_what_pip_failed_at_and_where_the_log_is(checkout, output, line):
    result = checkout.run("train.sh", PIP_SAYS=output)

    assert "setup: pip failed: " in refusal(result)
    assert line in refusal(result)
    assert f"(log: {checkout.root}/.venv/setup.log)" in refusal(result)
    assert result.stdout == ""


def test_setup_tries_again_after_a_failure(checkout):
    checkout.run("setup.sh", "synth", PIP_SAYS="ERROR: no network")

    result = checkout.run("setup.sh", "synth")

    assert result.returncode == 0, result.stderr
    assert len(checkout.installations()) == 2


def test_setup_leaves_a_broken_environment_to_its_owner(checkout):
    (checkout.root / ".venv").mkdir()
    (checkout.root / ".venv" / "notes.txt").write_text("mine")

    result = checkout.run("setup.sh", "synth")

    assert "remove it and run again: rm -r " in refusal(result)
    assert (checkout.root / ".venv" / "notes.txt").read_text() == "mine"


def test_test_script_runs_pytest_after_a_failed_check_and_fails(checkout):
    tools = ("basedpyright", "lint-imports", "clang-format", "shellcheck")
    for tool in tools:
        path = put_first(checkout.outside / "bin", tool, "#!/bin/sh\nexit 0\n")
    put_first(checkout.outside / "bin", "ruff", '#!/bin/sh\n[ "$*" = "check" ]\n')
    put_first(checkout.outside, "python3", PYTHON.replace("esac", '*) echo "python $*" ;; esac'))

    result = checkout.run("test.sh", "-k", "two words", PATH=path)

    assert result.returncode == 1
    assert result.stdout.endswith("== pytest\npython -m pytest -n 2 --dist loadfile -k two words\n")
    assert "test.sh: failed after" in result.stderr
    assert result.stderr.endswith("s: ruff format\n")


def test_test_script_fails_with_pytest(checkout):
    tools = ("basedpyright", "lint-imports", "clang-format", "shellcheck", "ruff")
    for tool in tools:
        path = put_first(checkout.outside / "bin", tool, "#!/bin/sh\nexit 0\n")
    put_first(checkout.outside, "python3", PYTHON.replace("esac", '*"-m pytest"*) exit 3 ;; esac'))

    result = checkout.run("test.sh", PATH=path)

    assert result.returncode == 1
    assert result.stderr.endswith("s: pytest\n")
