import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from asr.cli.environment import commit_of, environment
from asr.cli.run_folder import LOCK, RunFolderError, claim
from asr.files import append_text, temporary_name

CONFIG = {"seed": 1, "model": {"size": 8, "depth": 2}, "loading": {"num_threads": 2}}


def claiming(folder, config=CONFIG, resume=None, overwrite=False, **more):
    options = {"free_keys": ("loading.",), "owned": ("out.txt", "sub/*.x")} | more
    return claim(folder, config, resume=resume, overwrite=overwrite, **options)


def test_claimed_folder_says_what_it_was_made_from(tmp_path):
    with claiming(tmp_path / "a/b"):
        pass

    assert yaml.safe_load((tmp_path / "a/b/config.yaml").read_text()) == CONFIG
    assert "python" in json.loads((tmp_path / "a/b/env.json").read_text())
    assert sorted(p.name for p in (tmp_path / "a/b").iterdir()) == ["config.yaml", "env.json"]


def test_folder_that_is_not_empty_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")

    with pytest.raises(RunFolderError, match="is not empty: add resume=auto"), claiming(tmp_path):
        pass

    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_overwriting_removes_what_is_owned_alone(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("mine.txt", "out.txt", "sub/a.x", "sub/a.y"):
        (tmp_path / name).write_text("")

    with claiming(tmp_path, overwrite=True):
        left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")}

    assert left == {"mine.txt", "sub", "sub/a.y", "config.yaml", "env.json", LOCK}


@pytest.mark.parametrize(
    ("change", "refused"),
    [({"seed": 2}, True), ({"model": {"size": 8}}, True), ({"loading": {"num_threads": 9}}, False)],
)
def test_resuming_compares_configurations(tmp_path, change, refused):
    with claiming(tmp_path):
        pass

    if refused:
        with pytest.raises(RunFolderError, match=r"cannot resume .* with another"):
            claiming(tmp_path, CONFIG | change, resume="auto").__enter__()
    else:
        with claiming(tmp_path, CONFIG | change, resume="auto"):
            pass
        assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == CONFIG | change


def test_without_a_state_resuming_starts_afresh(tmp_path):
    with claiming(tmp_path):
        pass

    with claiming(tmp_path, {"seed": 3}, resume="auto", state="last.ckpt"):
        pass


def test_resume_is_auto_or_null(tmp_path):
    with pytest.raises(RunFolderError, match="resume must be auto or null, got 'yes'"):
        claiming(tmp_path / "new", resume="yes").__enter__()

    assert not (tmp_path / "new").exists()


def test_second_process_is_refused_and_told_who_is_first(tmp_path):
    with (
        claiming(tmp_path),
        pytest.raises(RunFolderError, match=rf"is in use by process {os.getpid()} on "),
        claiming(tmp_path, resume="auto"),
    ):
        pass

    with claiming(tmp_path, resume="auto"):
        pass


def test_disk_that_is_full_is_said_of_the_lock_which_goes(tmp_path, monkeypatch):
    def write(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        with pytest.raises(OSError, match=rf"{LOCK}: cannot write \(No space left on device\)"):
            claiming(tmp_path).__enter__()
    assert not (tmp_path / LOCK).exists()

    with claiming(tmp_path):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is full")
def test_file_that_cannot_grow_is_named():
    with pytest.raises(OSError, match=r"^/dev/full: cannot write \(No space left on device\)$"):
        append_text("/dev/full", "more")


HOLD = """
import sys, time
from pathlib import Path
from asr.cli.run_folder import claim
with claim(Path(sys.argv[1]), {}, resume="auto", overwrite=False, free_keys=[], owned=[]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_lock_of_a_killed_process_does_not_block(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    with (
        pytest.raises(RunFolderError, match=f"process {process.pid} on"),
        claiming(tmp_path, {}, resume="auto"),
    ):
        pass

    process.kill()
    process.communicate()

    with claiming(tmp_path, {}, resume="auto"):
        pass
    assert not (tmp_path / LOCK).exists()


def test_file_system_without_locks_is_warned_of(tmp_path, monkeypatch, caplog):
    def flock(*args):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)

    with claiming(tmp_path):
        pass

    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "cannot be locked" in caplog.text


def test_temporaries_of_dead_processes_go_and_those_of_living_ones_stay(tmp_path):
    (tmp_path / "ckpt").mkdir()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    living = temporary_name(tmp_path / "ckpt/last.ckpt")
    abandoned = living.with_name(living.name.replace(f".{os.getpid()}.", f".{dead.pid}."))
    for path in (living, abandoned, tmp_path / abandoned.name):
        path.write_text("")

    with claiming(tmp_path, resume="auto"):
        assert [p.name for p in (tmp_path / "ckpt").iterdir()] == [living.name]
        assert not (tmp_path / abandoned.name).exists()


def git(folder, *words):
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    (tmp_path / "pyproject.toml").write_text('[project.scripts]\nasr = "asr.cli:main"\n')
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "x")
    return tmp_path


def test_commit_of_a_checkout_is_known(checkout):
    assert len(commit_of(checkout)) == 40


def test_commit_of_an_enclosing_repository_is_not_ours(checkout):
    (checkout / "lib").mkdir()
    shutil.copy(checkout / "pyproject.toml", checkout / "lib")

    assert commit_of(checkout / "lib") is None
    (checkout / "pyproject.toml").write_text("")
    assert commit_of(checkout) is None


def test_machine_without_git_has_no_commit(checkout, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))

    assert commit_of(checkout) is None
    assert environment()["commit"] is None
