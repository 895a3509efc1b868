import json

import numpy as np
import pytest

from asr.audio import read_audio
from asr.corpora.catalogue import IMPORTERS, find_layout
from asr.data.manifest import read_manifest
from tests.corpora.layout_makers import MAKERS, make_csv, make_folder
from tests.corpus_files import run, write_audio, write_text


def everything(out):
    """Every utterance of the parts that are no groups of others."""
    splits = json.loads((out / "report.json").read_text())["splits"]
    return {u.id: u for name in splits for u in read_manifest(out / f"{name}.jsonl")}


@pytest.mark.parametrize("kind", MAKERS)
def test_auto_finds_a_layout_and_reads_all_of_it(tmp_path, kind):
    expected = MAKERS[kind](tmp_path / "source")

    report = run("auto", tmp_path / "source", tmp_path / "out")

    assert report.corpus == kind.partition(" ")[0]
    assert report.found.startswith(f"found {report.corpus}: there is ")
    assert {name: u.text for name, u in everything(tmp_path / "out").items()} == expected


@pytest.mark.parametrize("kind", ["nemo", "stm", "ted_lium", "textgrid", "subtitles"])
def test_segments_hold_the_samples_of_their_times(tmp_path, kind):
    MAKERS[kind](tmp_path / "source")

    run("auto", tmp_path / "source", tmp_path / "out")

    cut = [u for u in everything(tmp_path / "out").values() if "recording" in u.extra]
    assert cut
    for utterance in cut:
        waveform = read_audio(utterance.audio_filepath).waveform
        start_s = float(utterance.extra["recording_start"])
        seconds = (start_s * 16000 + np.arange(len(waveform))) // 16000
        np.testing.assert_allclose(waveform, seconds / 32 + 1 / 64, atol=1e-4)
        assert len(waveform) == round(utterance.duration * 16000)


def test_every_layout_of_the_catalogue_is_tried():
    made = {kind.partition(" ")[0] for kind in MAKERS}

    # These have tests of their own: their names alone tell what they are, or they need an extra.
    assert set(IMPORTERS) - made == {"fsdd", "speech_commands", "speechocean762", "dataset"}


def test_auto_says_what_would_fit_too(tmp_path):
    make_folder(tmp_path)
    write_text(tmp_path / "wav.scp", "u ./0.wav")
    write_text(tmp_path / "talk.stm", "")

    found = find_layout(tmp_path)

    assert found is not None
    assert found[0] == "kaldi"
    assert "stm would fit too, name one instead of auto" in found[1]


def test_auto_refuses_a_folder_of_nothing_in_one_line(tmp_path):
    write_audio(tmp_path / "source" / "a.wav")

    with pytest.raises(ValueError, match="holds no corpus that is known: ") as caught:
        run("auto", tmp_path / "source", tmp_path / "out")

    assert "\n" not in str(caught.value)


def test_auto_takes_a_table_by_itself(tmp_path):
    expected = make_csv(tmp_path / "source")

    report = run("auto", tmp_path / "source" / "table.csv", tmp_path / "out")

    assert report.corpus == "csv"
    assert set(everything(tmp_path / "out")) == set(expected)


def test_what_was_left_out_is_no_manifest(tmp_path):
    line = {"audio_filepath": "a.wav", "reason": "too short", "id": "a"}
    write_text(tmp_path / "rejected.jsonl", json.dumps(line))

    assert find_layout(tmp_path) is None


def test_a_table_with_commas_beside_wavs_is_no_lj_speech(tmp_path):
    write_audio(tmp_path / "wavs" / "a.wav")
    write_text(tmp_path / "metadata.csv", "path,text", "wavs/a.wav,one")

    found = find_layout(tmp_path)

    assert found is not None
    assert found[0] == "csv"
