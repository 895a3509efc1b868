import os
import signal
from pathlib import Path

# As the commands do, before anything imports torch: tests run beside other work.
if not os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}:
    os.environ |= {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "500"}
# A shell that starts the tests in the background has them ignore Ctrl-C, and their children too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import numpy as np
import pytest
from hypothesis import settings

# A busy machine is no failure.
settings.register_profile("asr", deadline=None)
settings.load_profile("asr")


@pytest.fixture
def rng():
    return np.random.default_rng(20261121)


@pytest.fixture(scope="module")
def corpus(request, tmp_path_factory) -> Path:
    """Folder of a corpus of tones, of the sizes that the module's CORPUS says."""
    from tiny import make_corpus  # here, so that tests of numpy alone need no more

    folder = tmp_path_factory.mktemp("tones")
    make_corpus(folder, **getattr(request.module, "CORPUS", {}))
    return folder


@pytest.fixture
def wav(tmp_path, rng) -> Path:
    """File in which the language of tones says "ab cad"."""
    import tones

    from asr.audio import write_wav

    write_wav(tmp_path / "speech.wav", tones.speak("ab cad", rng), tones.SAMPLE_RATE)
    return tmp_path / "speech.wav"


@pytest.fixture(scope="session")
def real_speech() -> Path:
    """Folder of recorded speech beside the checkout; tests that need it skip without it."""
    root = Path(os.environ.get("ASR_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (root / "fsdd").is_dir():
        pytest.skip(f"no recorded speech at {root}; set ASR_DATA to a folder that holds fsdd/, ...")
    return root
