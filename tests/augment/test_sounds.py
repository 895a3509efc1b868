import numpy as np
import pytest
from sounds import tone, write_sounds

from asr.audio import AudioError
from asr.augment import sounds
from asr.augment.sounds import SoundFolder


def sound_folder(folder, rate=16000, piece_s=1.0, memory_mb=16.0):
    return SoundFolder(folder, rate, piece_s=piece_s, memory_mb=memory_mb)


def ramp(start, seconds):
    """Samples that tell where they stood."""
    count = int(16000 * seconds)
    return np.linspace(start, start + 0.1, count, endpoint=False).astype(np.float32)


def test_long_recordings_are_dealt_out_in_pieces(tmp_path):
    folder = sound_folder(write_sounds(tmp_path, {"a.wav": ramp(0.1, 3.0)}))

    drawn = [folder.draw(np.random.default_rng(seed)) for seed in range(30)]

    assert {len(piece) for piece in drawn} == {16000}
    starts = sorted({round(float(piece[0]), 4) for piece in drawn})
    assert starts == [0.1, 0.1333, 0.1667]


def test_recordings_are_as_likely_whatever_their_length(tmp_path):
    folder = sound_folder(write_sounds(tmp_path, {"a.wav": ramp(0.1, 9), "b.wav": ramp(0.5, 1)}))

    drawn = [folder.draw(np.random.default_rng(seed))[0] > 0.4 for seed in range(500)]

    assert np.mean(drawn) == pytest.approx(0.5, abs=0.07)


def test_other_rates_are_resampled(tmp_path):
    folder = sound_folder(write_sounds(tmp_path, {"a.wav": tone(8000, 8000)}, 8000))

    piece = folder.draw(np.random.default_rng(0))

    assert len(piece) == pytest.approx(16000, abs=2)


def test_digital_silence_is_cut_off_at_the_ends(tmp_path):
    quiet = np.zeros(4000, np.float32)
    recording = np.concatenate([quiet, ramp(0.1, 0.25), quiet])
    folder = sound_folder(write_sounds(tmp_path, {"a.wav": recording}))
    silent = sound_folder(write_sounds(tmp_path / "silent", {"a.wav": quiet}))

    assert len(folder.draw(np.random.default_rng(0))) == 4000
    assert len(silent.draw(np.random.default_rng(0))) == 0


def test_a_piece_is_read_once_and_memory_is_bounded(tmp_path, monkeypatch):
    write_sounds(tmp_path, {"a.wav": ramp(0.1, 4.0)})
    real, reads = sounds.read_segment, []
    monkeypatch.setattr(sounds, "read_segment", lambda *args: (reads.append(args), real(*args))[1])
    ample, tight = sound_folder(tmp_path), sound_folder(tmp_path, memory_mb=0.13)

    for seed in range(40):
        ample.draw(np.random.default_rng(seed))
    assert len(reads) == 4
    for seed in range(40):
        tight.draw(np.random.default_rng(seed))

    assert len(reads) > 14
    assert sum(piece.nbytes for piece in tight._kept.values()) == tight._num_bytes <= 0.13 * 2**20


def test_fingerprint_knows_names_and_lengths_and_not_places(tmp_path):
    here = write_sounds(tmp_path / "here", {"a.wav": ramp(0.1, 1)})
    moved = write_sounds(tmp_path / "moved", {"a.wav": ramp(0.1, 1)})
    other = write_sounds(tmp_path / "other", {"a.wav": ramp(0.1, 2)})

    prints = [sound_folder(folder).fingerprint() for folder in (here, moved, other)]

    assert prints[0] == prints[1] != prints[2]


def test_what_is_no_audio_by_its_name_is_passed_over(tmp_path):
    write_sounds(tmp_path, {"a.wav": ramp(0.1, 1)})
    (tmp_path / "LICENSE.txt").write_text("CC0")

    assert [sound.path.name for sound in sound_folder(tmp_path).sounds] == ["a.wav"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "missing: is no folder of audio files"),
        ("empty", r"empty: holds no audio file \(.aif"),
        ("broken", r"broken/x.wav: cannot be decoded"),
        ("hollow", r"hollow/x.wav: the file is empty"),
        ("broken/x.wav", r"x.wav: is no folder of audio files"),
    ],
)
def test_unusable_folder_is_said_in_one_line(tmp_path, name, message):
    for folder in ("empty", "broken", "hollow"):
        (tmp_path / folder).mkdir()
    (tmp_path / "empty/notes.txt").write_text("nothing")
    (tmp_path / "broken/x.wav").write_text("no audio")
    (tmp_path / "hollow/x.wav").write_bytes(b"")

    with pytest.raises(AudioError, match=message) as caught:
        sound_folder(tmp_path / name)

    assert "\n" not in str(caught.value)
