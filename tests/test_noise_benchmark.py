"""benchmarks/noise.py: what the models hear, and what they must not have heard before."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import tones
import torch
from sounds import level_db, tone, write_sounds

from asr.acoustic.checkpoint import save_checkpoint
from asr.audio import write_wav
from asr.data.loading import Batch
from benchmarks import noise

RATE = 8000


@pytest.fixture
def folder(tmp_path, rng):
    sounds = rng.normal(0, 0.1, (3, 2 * RATE)).astype(np.float32)
    names = ("a.wav", "b.wav", "c.wav")
    return write_sounds(tmp_path / "noise", dict(zip(names, sounds, strict=True)), RATE)


def batch_of(speech):
    """A batch of waveforms by name, padded."""
    lengths = torch.tensor([len(waveform) for waveform in speech.values()])
    waveforms = torch.zeros(len(speech), int(lengths.max()) + 80)
    for row, waveform in zip(waveforms, speech.values(), strict=True):
        row[: len(waveform)] = torch.from_numpy(waveform)
    empty = torch.zeros(len(speech), 0, dtype=torch.int64)
    return Batch(list(speech), ["a"] * len(speech), waveforms, lengths, empty, lengths * 0)


SPEECH = {"short": 0.3 * tone(RATE, RATE), "long": 0.1 * tone(3 * RATE, RATE)}


def added(folder, place, speech=SPEECH, seed=1):
    """What a place adds to each utterance, (L,) float64."""
    batch = batch_of(speech)
    heard = noise.hear(batch, noise.list_places(str(folder), RATE)[place], seed)
    change = heard.waveforms.double() - batch.waveforms.double()
    for row, length in zip(change, batch.waveform_lengths.tolist(), strict=True):
        assert not row[length:].any()
    pairs = zip(speech.items(), change, strict=True)
    return {name: row[: len(waveform)].numpy() for (name, waveform), row in pairs}


@pytest.mark.parametrize("snr_db", [20, 15, 10, 5, 0, -5])
def test_speech_is_as_far_above_the_noise_as_was_asked(folder, snr_db):
    for name, sound in added(folder, f"{snr_db} dB").items():
        assert level_db(SPEECH[name]) - level_db(sound) == pytest.approx(snr_db, abs=0.05)


def test_noise_is_that_of_the_seed_and_the_name_in_any_batch_and_at_any_ratio(folder):
    together, louder = added(folder, "10 dB"), added(folder, "0 dB")
    alone = added(folder, "10 dB", {"long": SPEECH["long"]})["long"]

    np.testing.assert_array_equal(alone, together["long"])
    np.testing.assert_allclose(louder["long"], together["long"] * 10**0.5, atol=1e-6)
    for other in (
        added(folder, "10 dB", seed=2)["long"],
        added(folder, "10 dB", {"another": SPEECH["long"]})["another"],
    ):
        assert np.abs(other - alone).max() > 0.01


def test_rooms_keep_the_power_and_are_not_those_of_training(folder, monkeypatch):
    drawn = []
    response = noise.SimulatedRooms.response

    def remember(rooms, number):
        drawn.append(number)
        return response(rooms, number)

    monkeypatch.setattr(noise.SimulatedRooms, "response", remember)
    for place in noise.ROOMS:
        change = added(folder, place)["long"]

        assert level_db(change) > level_db(SPEECH["long"]) - 20
        assert level_db(SPEECH["long"] + change) == pytest.approx(
            level_db(SPEECH["long"]), abs=0.01
        )
    assert min(drawn) >= noise.FIRST_ROOM > 200


def test_clean_is_the_recording_itself(folder):
    assert not any(change.any() for change in added(folder, "clean").values())


def model_that_heard(folder):
    config = tones.CONFIG | {"augment": {"waveform": {"noise": {"folder": str(folder)}}}}
    return tones.untrained_model(config=config)


def test_a_model_must_not_have_heard_a_file_of_the_folder_under_any_name(folder, tmp_path, capsys):
    content = (folder / "b.wav").read_bytes()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/x.wav").write_bytes(content)
    new = write_sounds(tmp_path / "new", {"a.wav": tone(RATE, RATE)}, RATE)

    with pytest.raises(ValueError, match=r"must be new to n, which heard .*b\.wav"):
        noise.check_unheard("n", model_that_heard(tmp_path / "other"), str(folder))
    noise.check_unheard("n", model_that_heard(new), str(folder))
    noise.check_unheard("n", tones.untrained_model(), str(folder))
    assert not capsys.readouterr().out
    noise.check_unheard("n", model_that_heard(tmp_path / "gone"), str(folder))
    assert "gone, its training's noise, is not here" in capsys.readouterr().out


@pytest.fixture
def run(tmp_path, rng, monkeypatch, capsys):
    """Call the benchmark on two recordings, the second of which is silence."""
    lines = []
    for name, waveform in (
        ("a", tones.speak("ab", rng)),
        ("b", np.zeros(RATE, np.float32)),
    ):
        write_wav(tmp_path / f"{name}.wav", waveform, RATE)
        seconds = len(waveform) / RATE
        lines.append(f'{{"audio_filepath": "{name}.wav", "duration": {seconds}, "text": "ab"}}\n')
    (tmp_path / "test.jsonl").write_text("".join(lines))
    save_checkpoint(tmp_path / "m.ckpt", tones.untrained_model())

    def call(*words):
        given = ["data=manifest", f"data.test_manifest={tmp_path / 'test.jsonl'}", *map(str, words)]
        monkeypatch.setattr("sys.argv", ["noise.py", *given])
        try:
            noise.main()
        except SystemExit as error:
            return error.code, capsys.readouterr()
        return 0, capsys.readouterr()

    return call


def test_table_and_picture(run, folder, tmp_path):
    model, picture = tmp_path / "m.ckpt", tmp_path / "noise.svg"

    code, printed = run("--models", f"x={model}", f"y={model}", "--noise", folder, "-o", picture)

    assert code == 0, printed.err
    rates, changes = printed.out[printed.out.index("| WER") :].strip().split("\n\n")
    header, _, *rows = rates.splitlines()
    assert [name.strip() for name in header.split("|")[2:4]] == ["x", "y"]
    assert [row.split("|")[1].strip() for row in rows] == ["clean", *noise.NOISES, *noise.ROOMS]
    assert all(row.split("|")[2] == row.split("|")[3] for row in rows)
    assert changes.count("+0.00 (+0.00 to +0.00)") == len(rows)
    assert "0 dB: 1 utterances met silence and stayed as they were" in printed.out
    svg = picture.read_text()
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert svg.count("var(--first)") > 2
    assert "prefers-color-scheme: dark" in svg


@pytest.mark.parametrize(
    ("models", "sounds", "line"),
    [
        ("x={}/m.ckpt", "nowhere", "nowhere: is no folder of audio files"),
        ("{}/m.ckpt", "noise", "--models must be NAME=CHECKPOINT, no name twice, got "),
        ("x={0}/m.ckpt x={0}/n.ckpt", "noise", "no name twice"),
        ("x={}/none.ckpt", "noise", "none.ckpt"),
    ],
)
def test_what_cannot_be_used_is_one_line(run, folder, tmp_path, models, sounds, line):
    code, printed = run("--models", *models.format(tmp_path).split(), "--noise", tmp_path / sounds)

    assert code == 2
    assert line in printed.err
    assert printed.err.count("\n") == 1
