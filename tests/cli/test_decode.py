import json

import numpy as np
import pytest
import tones

from asr.audio import write_wav
from asr.cli import main
from asr.data.manifest import Utterance, write_manifest


@pytest.fixture(scope="module")
def long_file(tmp_path_factory):
    """70 s that grow louder from a whisper to a shout, and their manifest."""
    folder = tmp_path_factory.mktemp("long")
    rng = np.random.default_rng(5)
    waveform = tones.speak(tones.invent_text(rng, 110), rng)[: 70 * tones.SAMPLE_RATE]
    waveform *= np.geomspace(0.01, 1.0, len(waveform))
    write_wav(folder / "long.wav", waveform, tones.SAMPLE_RATE)
    seconds = len(waveform) / tones.SAMPLE_RATE
    assert seconds == 70
    write_manifest(folder / "m.jsonl", [Utterance(folder / "long.wav", seconds, "ab")])
    return folder


def test_decode_and_transcribe_read_a_long_file_alike(long_file, tmp_path, capsys):
    checkpoint = tones.checkpoint_path()
    words = ["data=manifest", f"data.test_manifest={long_file / 'm.jsonl'}"]

    assert main(["decode", f"checkpoint={checkpoint}", *words, f"output_dir={tmp_path}"]) == 0
    capsys.readouterr()
    assert main(["transcribe", str(long_file / "long.wav"), "--checkpoint", str(checkpoint)]) == 0

    decoded = json.loads((tmp_path / "hyp.jsonl").read_text())["pred_text"]
    assert capsys.readouterr().out == f"{decoded}\n"
    assert len(decoded.split()) > 50
