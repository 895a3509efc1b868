"""Cuts that lhotse itself wrote, as utterances."""

import gzip
import json
import os
import pickle

import numpy as np
import pytest
import soundfile

from asr.audio import AudioError
from asr.cli.hydra_config import build, compose_config
from asr.data.cuts import Cuts, gather_cuts
from asr.data.fingerprint import fingerprint
from asr.data.manifest import ManifestError

lhotse = pytest.importorskip("lhotse", reason="lhotse is the extra [lhotse]")
RATE = 8000


def supervision(number, start, duration, text="a b", recording="call"):
    return lhotse.SupervisionSegment(
        f"s{number}", recording, start, duration, channel=0, text=text, speaker=f"anna{number}"
    )


@pytest.fixture
def recording(tmp_path):
    """Four seconds of two channels: sample n of the first is n / 2^16, the other its negative."""
    samples = np.arange(4 * RATE) / 2**16
    path = tmp_path / "call.wav"
    soundfile.write(path, np.stack([samples, -samples], axis=1), RATE, subtype="FLOAT")
    return lhotse.Recording.from_file(path, recording_id="call")


def cut_of(recording, number, start, duration, channel=0, **changes):
    supervisions = [supervision(number, 0.0, duration)]
    made = lhotse.MonoCut(f"c{number}", start, duration, channel, supervisions, recording=recording)
    return lhotse.utils.fastcopy(made, **changes)


@pytest.fixture
def save(tmp_path):
    def write(*cuts, name="cuts.jsonl.gz"):
        lhotse.CutSet.from_cuts(cuts).to_file(str(tmp_path / name))
        return str(tmp_path / name)

    return write


@pytest.mark.parametrize("name", ["cuts.jsonl.gz", "cuts.jsonl"])
def test_part_and_channel_of_a_recording_are_read(recording, save, name):
    first, second = Cuts(
        save(
            cut_of(recording, 0, 0.5, 1.25),
            cut_of(recording, 1, 3.0, 1.0, channel=1),
            name=name,
        )
    )

    assert (first.id, first.text, first.duration) == ("c0", "a b", 1.25)
    assert first.extra["speaker"] == "anna0"
    expected = (np.arange(RATE * 5 // 4) + RATE // 2) / 2**16
    np.testing.assert_array_equal(first.waveform(RATE), expected.astype(np.float32))
    expected = -(np.arange(RATE) + 3 * RATE) / 2**16
    np.testing.assert_array_equal(second.waveform(RATE), expected.astype(np.float32))
    assert len(pickle.loads(pickle.dumps(second)).waveform(2 * RATE)) == 2 * RATE


def test_what_lhotse_makes_of_a_cut_is_read(recording, save):
    faster = cut_of(recording, 0, 0.0, 2.0).perturb_speed(1.25)
    padded_supervision = cut_of(recording, 1, 0.0, 2.0, supervisions=[supervision(1, 0.5, 1.0)])

    one, other = Cuts(save(faster, padded_supervision))

    assert one.duration == 1.6
    assert len(one.waveform(RATE)) == 1.6 * RATE
    np.testing.assert_allclose(one.waveform(RATE), faster.load_audio()[0], atol=1e-6)
    assert len(other.waveform(RATE)) == 2 * RATE


def test_cuts_are_a_choice_of_data(recording, save):
    path = save(*(cut_of(recording, n, 0.5 * n, 0.5 + 0.1 * n) for n in range(4)))
    config = compose_config(
        "train", ["data=lhotse", f"data.train_cuts={path}", "data.train.max_duration=0.65"]
    )

    corpus = build(config["data"], "train")

    assert [cut.id for cut in corpus.utterances(0)] == ["c0", "c1"]
    assert corpus.num_too_long == 2
    with pytest.raises(ValueError, match="must name one or more files"):
        build(config["data"], "dev")


def test_a_set_that_moves_is_the_same_and_another_part_is_not(recording, save, tmp_path):
    moved = tmp_path / "moved.wav"
    os.link(tmp_path / "call.wav", moved)
    there = lhotse.Recording.from_file(moved, recording_id="call")

    prints = [
        fingerprint(gather_cuts([save(cut_of(*where), name=f"{n}.jsonl")]).utterances(0))
        for n, where in enumerate(
            [(recording, 0, 0.5, 1.0), (there, 0, 0.5, 1.0), (recording, 0, 0.75, 1.0)]
        )
    ]

    assert prints[0] == prints[1] != prints[2]


def several(recording):
    return cut_of(recording, 0, 0.0, 4.0, supervisions=[supervision(0, 0, 2), supervision(1, 1, 2)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (several, "cut 'c0' must have one supervision, got 2: CutSet.trim_to_supervisions"),
        (lambda r: cut_of(r, 0, 0.0, 1.0, supervisions=[]), "must have one supervision, got 0"),
        (
            lambda r: cut_of(r, 0, 1.0, 1.0, supervisions=[supervision(0, -0.5, 1.0)]),
            "cut 'c0' of 1.0 s cuts its supervision, which is from -0.5 to 0.5 s",
        ),
        (
            lambda r: cut_of(r, 0, 0.0, 1.0, supervisions=[supervision(0, 0, 1.5)]),
            "cuts its supervision, which is from 0.0 to 1.5 s",
        ),
        (
            lambda r: cut_of(r, 0, 0.0, 1.0, supervisions=[supervision(0, 0, 1, text=None)]),
            "'text' must be a string, got null",
        ),
        (lambda _: cut_of(None, 0, 0.0, 1.0), "cut 'c0' has no recording"),
        (lambda r: cut_of(r, 0, 0.0, 1.0).pad(2.0), "must be a MonoCut, got a MixedCut"),
        (lambda r: r.to_cut().with_id("c0"), "cut 'c0' must be a MonoCut, got a MultiCut"),
    ],
)
def test_what_is_no_utterance_is_refused_with_its_line(recording, save, make, message):
    path = save(cut_of(recording, 9, 0.0, 1.0), make(recording))

    with pytest.raises(ManifestError) as caught:
        Cuts(path)

    assert str(caught.value).startswith(f"{path}:2: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{}", "must be a cut as lhotse writes it"),
        ("[]", "must be a cut as lhotse writes it"),
        ('{"type": "MonoCut", "id": "x", "duration": []}', "must be a cut as lhotse writes it"),
        ("{", "Expecting property name"),
    ],
)
def test_what_lhotse_did_not_write_is_refused(tmp_path, line, message):
    (tmp_path / "cuts.jsonl").write_text(line + "\n")

    with pytest.raises(ManifestError, match=rf"cuts\.jsonl:1: {message}"):
        Cuts(tmp_path / "cuts.jsonl")


def test_a_command_instead_of_a_file_is_never_run(recording, save, tmp_path):
    path = save(cut_of(recording, 0, 0.0, 1.0), name="cuts.jsonl")
    record = json.loads((tmp_path / "cuts.jsonl").read_text())
    record["recording"]["sources"][0] |= {"type": "command", "source": f"touch {tmp_path}/ran"}
    (tmp_path / "cuts.jsonl").write_text(json.dumps(record) + "\n")

    with pytest.raises(ManifestError, match="must be one source of type 'file', got 1 of command"):
        Cuts(path)

    assert not (tmp_path / "ran").exists()


def test_broken_sets_and_audio_are_named(recording, save, tmp_path):
    path = save(cut_of(recording, 0, 0.0, 1.0), cut_of(recording, 1, 0.0, 1.0))
    cut = Cuts(path)[0]
    (tmp_path / "call.wav").write_bytes(b"RIFF....")
    with pytest.raises(AudioError, match=r"call\.wav: cut 'c0': "):
        cut.waveform(RATE)

    content = gzip.compress(gzip.decompress((tmp_path / "cuts.jsonl.gz").read_bytes()))
    (tmp_path / "cuts.jsonl.gz").write_bytes(content[:-20])
    with pytest.raises(ManifestError, match=r"cuts\.jsonl\.gz: "):
        Cuts(path)
    with pytest.raises(ManifestError, match="id 'c0' is on line 1 already"):
        Cuts(save(cut_of(recording, 0, 0.0, 1.0), cut_of(recording, 0, 1.0, 1.0), name="b.jsonl"))
