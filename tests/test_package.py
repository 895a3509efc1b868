"""What a user gets from the wheel. `.ci/run` installs one and runs it away from the checkout."""

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel without its native part: that takes a compiler and is checked by `.ci/run`."""
    folder = tmp_path_factory.mktemp("wheel")
    settings = {"wheel.cmake": "false", "wheel.py-api": "", "build-dir": str(folder / "build")}
    code = f"from scikit_build_core.build import *; build_wheel({str(folder)!r}, {settings})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def read_dist_info(wheel, name):
    (path,) = [p for p in wheel.namelist() if p.endswith(f".dist-info/{name}")]
    return wheel.read(path).decode()


def test_wheel_holds_every_module_and_configuration(wheel):
    modules = {str(p.relative_to(ROOT)) for p in (ROOT / "asr").rglob("*.py")}
    types = {str(p.relative_to(ROOT)) for p in (ROOT / "asr").glob("*.pyi")} | {"asr/py.typed"}
    configurations = {f"asr/{p.relative_to(ROOT)}" for p in (ROOT / "conf").rglob("*.yaml")}

    templates = {str(p.relative_to(ROOT)) for p in (ROOT / "asr").rglob("templates/*")}

    files = {"asr/conf/__init__.py", "asr/recognition/box.ckpt", "asr/recognition/box.txt"}
    expected = modules | types | configurations | templates | files
    assert len(templates) > 2

    assert len(configurations) > 10
    assert expected <= set(wheel.namelist())


def test_wheel_holds_nothing_else(wheel):
    folders = {path.partition("/")[0] for path in wheel.namelist()}
    suffixes = {Path(p).suffix for p in wheel.namelist() if p.startswith("asr/")}

    assert folders == {"asr", "ctc_asr-0.1.0.dist-info"}
    known = {".py", ".pyi", ".typed", ".yaml", ".css", ".js", ".j2", ".ckpt", ".txt"}
    assert suffixes <= known


def test_wheel_metadata_names_licence_python_and_extras(wheel):
    metadata = Parser().parsestr(read_dist_info(wheel, "METADATA"))

    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    extras = {"train", "synth", "parquet", "tune", "av", "serve", "listen", "export", "runtime"}
    extras |= {"hf", "cuda", "docs", "dev", "lhotse", "vad"}
    assert set(metadata.get_all("Provides-Extra")) == extras
    assert read_dist_info(wheel, "licenses/LICENSE").lstrip().startswith("Apache License")


def test_wheel_needs_the_gpl_voice_only_as_an_extra(wheel):
    requirements = Parser().parsestr(read_dist_info(wheel, "METADATA")).get_all("Requires-Dist")

    (voice,) = [r for r in requirements if r.startswith("espeakng-loader")]

    assert "extra == 'synth'" in voice.replace('"', "'")


def test_wheel_alone_needs_numpy_and_nothing_else(wheel):
    requirements = Parser().parsestr(read_dist_info(wheel, "METADATA")).get_all("Requires-Dist")

    assert [r for r in requirements if "extra ==" not in r] == ["numpy>=2.0"]


BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "hydra"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
"""


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("from asr.cli import main; main(['train'])", "asr train needs torch"),
        ("import asr; asr.load", "asr.load needs torch"),
    ],
)
def test_missing_package_is_said_with_the_extra_that_brings_it(code, message):
    result = subprocess.run(
        [sys.executable, "-c", BLOCK + code], capture_output=True, text=True, check=False
    )

    last = result.stderr.splitlines()[-1]
    assert message in last
    assert last.endswith("pip install 'ctc-asr[train]'")


def test_wheel_installs_the_command(wheel):
    assert "asr=asr.cli:main" in read_dist_info(wheel, "entry_points.txt").replace(" ", "")


def test_import_of_the_package_loads_neither_torch_nor_hydra():
    code = "import sys, asr; print({'torch', 'hydra', 'numba', 'matplotlib'} & set(sys.modules))"

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert result.stdout == "set()\n"
