import os
from pathlib import Path

# As the commands do, before anything imports torch: tests run beside other work.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import pytest
from hypothesis import settings

# A busy machine is no failure.
settings.register_profile("asr", deadline=None)
settings.load_profile("asr")


@pytest.fixture
def rng():
    return np.random.default_rng(20261121)


@pytest.fixture(scope="session")
def real_speech() -> Path:
    """Folder of recorded speech beside the checkout; tests that need it skip without it."""
    root = Path(os.environ.get("ASR_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (root / "fsdd").is_dir():
        pytest.skip(f"no recorded speech at {root}; set ASR_DATA to a folder that holds fsdd/, ...")
    return root
