"""Dockerfile and compose.yaml, as far as they can be checked where there is no Docker daemon."""

import argparse
import json
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from asr.cli import COMMANDS
from asr.recognition.box import BOX

ROOT = Path(__file__).parents[1]
TOOLS = Path(sys.executable).parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def instructions(name):
    """Return what stands behind an instruction, lines that end in a backslash joined."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return re.findall(rf"^\s*{name} (.*)$", joined, re.MULTILINE)


def test_every_copied_path_exists_and_is_let_through():
    copied = [line.split()[:-1] for line in instructions("COPY") if not line.startswith("--from")]
    paths = [path for line in copied for path in line]

    let_through = (ROOT / ".dockerignore").read_text().splitlines()
    assert {"asr", "conf", "native", "pyproject.toml"} <= set(paths)
    assert not [path for path in paths if not (ROOT / path).exists()]
    assert not [path for path in paths if f"!{path}" not in let_through]


def test_pytorch_is_the_version_of_the_project():
    train = PYPROJECT["project"]["optional-dependencies"]["train"]

    pinned = set(re.findall(r"torch(?:audio)?==[\d.]+", DOCKERFILE))

    assert pinned == {line for line in train if line.startswith("torch")}


def test_python_and_its_base_are_the_same_in_both_stages():
    build, run = (line.split()[0] for line in instructions("FROM"))

    assert build == run


def test_user_is_not_root_when_the_server_starts():
    lines = [line.split()[0] for line in DOCKERFILE.splitlines() if line and line[0].isupper()]

    assert instructions("USER") == ["10001"]
    assert lines.index("USER") < lines.index("ENTRYPOINT")
    assert "--uid 10001" in DOCKERFILE.split("FROM")[-1]


def test_hadolint_finds_nothing():
    if not (TOOLS / "hadolint").exists():
        pytest.skip("hadolint has no wheel for this machine")

    result = subprocess.run(
        [TOOLS / "hadolint", "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stdout


def test_compose_file_follows_its_schema():
    command = [TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec"]

    result = subprocess.run(
        [*command, "compose.yaml"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stdout


def test_workflow_follows_its_schema():
    command = [TOOLS / "check-jsonschema", "--builtin-schema", "vendor.github-workflows"]

    result = subprocess.run(
        [*command, ".github/workflows/wheels.yml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stdout


def test_compose_asks_for_a_token_and_shows_the_hosts_loopback_alone():
    service = COMPOSE["services"]["asr"]

    assert service["environment"]["ASR_TOKEN"].startswith("${ASR_TOKEN:?")
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert service["volumes"][0].endswith(":/models:ro")


def parse(words):
    """Read the words behind `asr`, as the server would."""
    assert words[0] == "serve"
    parser = argparse.ArgumentParser()
    import_module(COMMANDS["serve"][0]).add_arguments(parser)
    return parser.parse_args(words[1:])


def test_extras_and_options_of_the_server_exist():
    (extras,) = re.findall(r'"\.\[([\w,]+)\]"', DOCKERFILE)
    (command,) = instructions("CMD")[-1:]

    args = parse(json.loads(command))

    assert set(extras.split(",")) <= set(PYPROJECT["project"]["optional-dependencies"])
    assert (args.host, args.port, args.checkpoint) == ("0.0.0.0", 8000, BOX)
    assert f"http://127.0.0.1:{args.port}/health" in DOCKERFILE


def test_compose_serves_the_box_unless_a_folder_of_models_is_named():
    said = COMPOSE["services"]["asr"]["command"]
    named = r"\$\{ASR_MODELS:\+([^}]*)\}"

    box = parse(re.sub(named, "", said).split())
    mine = parse(re.sub(named, r"\1", said).split())

    assert (box.host, box.port, box.checkpoint) == ("0.0.0.0", 8000, BOX)
    assert (mine.host, mine.port) == (box.host, box.port)
    assert mine.checkpoint == Path("/models/best.ckpt")
