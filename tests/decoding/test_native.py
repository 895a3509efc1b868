"""The core's own tests, built with AddressSanitizer and UndefinedBehaviorSanitizer."""

import shutil
import subprocess
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[2] / "native"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
def test_native_core_holds_under_sanitizers(tmp_path):
    build = tmp_path / "build"
    configure = ["cmake", "-S", str(NATIVE), "-B", str(build)]
    options = ["-DASR_BUILD_TESTS=ON", "-DASR_SANITIZE=ON"]
    subprocess.run([*configure, *options], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", str(build)], check=True, capture_output=True)

    result = subprocess.run([build / "test_core", tmp_path], capture_output=True, text=True)

    assert (result.returncode, result.stdout) == (0, "native tests passed\n"), result.stderr
