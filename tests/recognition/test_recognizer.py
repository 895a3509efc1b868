import numpy as np
import pytest
import soundfile
import tones
import torch

import asr
from asr.acoustic.checkpoint import ModelFileError
from asr.acoustic.chunks import MAX_CHUNK_S
from asr.audio import AudioError, write_wav
from asr.decoding import BeamSearchDecoder
from asr.evaluation.metrics import word_error_rate
from asr.recognition.recognizer import Recognizer
from asr.recognition.sources import AudioFile

RATE = tones.SAMPLE_RATE


@pytest.fixture
def model():
    return asr.load(tones.checkpoint_path())


def test_file_is_transcribed_with_words_at_their_times(model, wav):
    result = model.transcribe(wav)

    assert result.text == "ab cad"
    assert [word.word for word in result.words] == ["ab", "cad"]
    ab, cad = result.words
    # "ab" sounds from 0.1 s for about 0.4 s, a silence of 0.24 s follows.
    assert 0.05 < ab.start_s < ab.end_s < 0.6 < cad.start_s < cad.end_s <= result.duration_s
    assert all(0.5 < word.confidence <= 1 for word in result.words)


def test_result_carries_duration_score_and_name(model, wav):
    result = model.transcribe(str(wav))

    assert result.duration_s == pytest.approx(soundfile.info(wav).duration)
    assert -10 < result.score < 0
    assert (result.audio, result.notes, result.error) == (str(wav), [], None)


@pytest.mark.parametrize("kind", [np.float32, np.float64, torch.tensor])
def test_waveform_equals_file(model, wav, kind):
    samples, _ = soundfile.read(wav, dtype="float32")
    waveform = torch.tensor(samples) if kind is torch.tensor else samples.astype(kind)

    assert model.transcribe(waveform, RATE).words == model.transcribe(wav).words


def test_list_equals_one_by_one(model, rng):
    waveforms = [tones.speak(tones.invent_text(rng, 1 + i % 5), rng) for i in range(12)]

    together = model.transcribe(waveforms, RATE)

    for waveform, result in zip(waveforms, together, strict=True):
        alone = model.transcribe(waveform, RATE)
        assert (result.text, result.duration_s) == (alone.text, alone.duration_s)
        assert result.score == pytest.approx(alone.score, abs=1e-3)
        for a, b in zip(result.words, alone.words, strict=True):
            assert a[:3] == b[:3]
            assert a.confidence == pytest.approx(b.confidence, abs=1e-4)


def test_list_larger_than_a_window_keeps_its_order(model, rng, monkeypatch):
    monkeypatch.setattr("asr.acoustic.recordings.WINDOW_S", 4.0)
    texts = [tones.invent_text(rng, 1 + i % 4) for i in range(9)]

    results = model.transcribe([tones.speak(text, rng) for text in texts], RATE)

    assert [result.text for result in results] == texts


def test_empty_list_gives_an_empty_list(model):
    assert model.transcribe([]) == []


def test_broken_file_in_a_list_is_named_and_the_others_are_kept(model, wav, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF, not really")

    first, failed, last = model.transcribe([wav, broken, wav])

    assert first.text == last.text == "ab cad"
    assert failed.text == ""
    assert failed.audio == str(broken)
    assert str(broken) in failed.error


def test_broken_file_in_a_list_is_logged(model, tmp_path, caplog):
    model.transcribe([tmp_path / "absent.wav"])

    assert "absent.wav: no such audio file" in caplog.text


def test_broken_file_alone_raises(model, tmp_path):
    with pytest.raises(AudioError, match=r"absent\.wav: no such audio file"):
        model.transcribe(tmp_path / "absent.wav")


def test_conversions_are_noted_and_the_text_survives_them(model, wav, tmp_path):
    samples, _ = soundfile.read(wav)
    louder = np.interp(np.arange(0, len(samples), 0.5), np.arange(len(samples)), samples)
    stereo = tmp_path / "stereo.wav"
    soundfile.write(stereo, np.stack([louder, louder], axis=1), 2 * RATE, subtype="PCM_24")

    result = model.transcribe(stereo)

    assert result.text == "ab cad"
    assert result.notes == [
        "2 channels averaged to one",
        f"resampled from {2 * RATE} Hz to {RATE} Hz",
    ]


def test_channels_of_a_waveform_are_averaged(model, wav):
    samples, _ = soundfile.read(wav, dtype="float32")

    result = model.transcribe(np.stack([samples, samples]), RATE)

    assert (result.text, result.notes) == ("ab cad", ["2 channels averaged to one"])


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (np.zeros(0, np.float32), "holds no samples"),
        (np.zeros((2, 0), np.float32), "holds no samples"),
        (np.zeros(39, np.float32), "39 samples at 8000 Hz are too short"),
        (np.array([0.0, np.nan] * 500), "samples must be finite"),
        (np.full(8000, 3000.0), r"must lie in \[-1, 1\], the peak is 3000"),
    ],
)
def test_unusable_waveform_raises_audio_error(model, waveform, message):
    with pytest.raises(AudioError, match=message):
        model.transcribe(waveform, RATE)


def test_shortest_usable_waveform_is_transcribed(model):
    assert model.transcribe(np.zeros(40, np.float32), RATE).duration_s == 40 / RATE


@pytest.mark.parametrize(
    ("audio", "sample_rate", "error", "message"),
    [
        (np.zeros(8000, np.int16), RATE, TypeError, "floating point in .* got int16"),
        (torch.zeros(8000, dtype=torch.int16), RATE, TypeError, "got int16"),
        (np.zeros((8000, 2)), RATE, ValueError, "transpose it"),
        (np.zeros((1, 2, 8000)), RATE, ValueError, r"\(L,\) or \(channels, L\)"),
        (np.zeros(8000), None, ValueError, "sample_rate must be given"),
        (np.zeros(8000), 0, ValueError, "sample_rate must be 1000"),
        ("a.wav", 16000, ValueError, "sample_rate is for waveforms"),
        ([1.0, 2.0], RATE, TypeError, "must be a path, a waveform .* got float"),
        (None, None, TypeError, "got NoneType"),
    ],
)
def test_wrong_arguments_are_refused(model, audio, sample_rate, error, message):
    with pytest.raises(error, match=message):
        model.transcribe(audio, sample_rate)


@pytest.mark.parametrize("seconds", [0.3, 1.0, 5.0])
def test_digital_silence_gives_no_words(model, seconds):
    result = model.transcribe(np.zeros(int(seconds * RATE), np.float32), RATE)

    assert (result.text, result.words) == ("", [])


def long_speech(rng):
    """Tones of two minutes, with pauses of 0 to 2 s between sentences, and their text."""
    texts = [tones.invent_text(rng, rng.integers(1, 6)) for _ in range(36)]
    pieces = []
    for text in texts:
        pause = 1e-3 * rng.standard_normal(int(rng.uniform(0, 2) * RATE)).astype(np.float32)
        pieces += [tones.speak(text, rng), pause]
    return np.concatenate(pieces), " ".join(texts)


def in_pieces(waveform, size):
    for start in range(0, len(waveform), size):
        yield waveform[start : start + size]


def test_no_word_is_lost_or_doubled_at_pauses(model, rng):
    waveform, text = long_speech(rng)

    result = model.transcribe(waveform, RATE)

    assert word_error_rate([text], [result.text]).rate <= 0.02
    assert len(result.segments) > 20
    assert [w for s in result.segments for w in s.words] == result.words
    assert " ".join(s.text for s in result.segments) == result.text
    for segment in result.segments:
        first, last = segment.words[0], segment.words[-1]
        assert (segment.start_s, segment.end_s) == (first.start_s, last.end_s)


def test_same_audio_has_the_same_transcript_however_it_comes(model, rng, tmp_path):
    waveform, _ = long_speech(rng)
    path = tmp_path / "long.wav"
    write_wav(path, waveform, RATE)
    samples, _ = soundfile.read(path, dtype="float32")

    from_file = model.transcribe(path)

    others = [
        model.transcribe(samples, RATE),
        model.transcribe(in_pieces(torch.tensor(samples), 12_345), RATE),
        *model.transcribe([samples, in_pieces(samples, 800)], RATE),
    ]
    for other in others:
        assert (other.text, other.words, other.duration_s) == (
            from_file.text,
            from_file.words,
            from_file.duration_s,
        )
    assert [*model.segments(path)] == from_file.segments


def test_segments_come_before_a_recording_was_read(model, rng):
    waveform, _ = long_speech(rng)
    num_read = 0

    def endless():
        nonlocal num_read
        while True:
            num_read += len(waveform)
            yield waveform

    first = next(model.segments(endless(), RATE))

    assert first.text
    assert num_read < 4 * len(waveform)


def test_recording_that_breaks_off_gives_its_segments_and_then_the_error(model, rng):
    waveform, _ = long_speech(rng)

    def broken():
        yield np.concatenate([waveform, waveform])
        yield np.full(10, np.nan, np.float32)

    segments = model.segments(broken(), RATE)

    assert next(segments).text
    with pytest.raises(AudioError, match="samples must be finite"):
        list(segments)
    result, good = model.transcribe([broken(), waveform], RATE)
    assert (result.text, result.segments) == ("", [])
    assert "samples must be finite" in result.error
    assert good.error is None


def test_pieces_that_change_their_channels_are_refused(model):
    with pytest.raises(AudioError, match="changes from 1 to 2 channels midway"):
        model.transcribe(iter([np.zeros(800), np.zeros((2, 800))]), RATE)


def test_no_pieces_hold_no_samples(model):
    with pytest.raises(AudioError, match="holds no samples"):
        model.transcribe(iter([]), RATE)


def test_one_channel_of_a_file_is_transcribed(model, rng, tmp_path):
    first, second = tones.speak("ab cad", rng), tones.speak("dab", rng)
    size = min(len(first), len(second))
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([first[:size], second[:size]], axis=1), RATE)

    left, right, absent = model.transcribe([AudioFile(path, "call", n) for n in (1, 2, 3)])

    assert (right.text, right.audio, right.channel, right.notes) == ("dab", "call", 2, [])
    assert left.text.split()[0] == "ab"
    assert absent.error == "call: channel must be 1..2, got 3"


def test_readings_of_a_segment_are_kept(model, rng):
    model.decoder = BeamSearchDecoder(model.tokens, n_best=3, beam_prune_logp=-100)

    (segment,) = model.transcribe(tones.speak("ab cad", rng), RATE).segments

    assert len(segment.alternatives) == 3
    assert segment.alternatives[0] == (segment.text, segment.score)
    scores = [other.score for other in segment.alternatives]
    assert scores == sorted(scores, reverse=True)


def test_long_recording_is_read_as_well_as_a_short_one(model, rng):
    text = tones.invent_text(rng, 120)
    waveform = tones.speak(text, rng)
    assert len(waveform) > 2 * MAX_CHUNK_S * RATE

    result = model.transcribe(waveform, RATE)

    found = word_error_rate([text], [result.text])
    assert (found.insertions, found.deletions) == (0, 0)
    assert found.rate <= 0.03  # short pieces: features are normalised by less
    starts = [word.start_s for word in result.words]
    assert starts == sorted(starts)
    assert starts[-1] > 0.95 * result.duration_s


def test_recording_of_thirty_seconds_is_not_cut(model, rng):
    waveform = tones.speak(tones.invent_text(rng, 60), rng)[: int(MAX_CHUNK_S * RATE)]
    waveform = np.pad(waveform, (0, int(MAX_CHUNK_S * RATE) - len(waveform)))

    log_probs, lengths = model.model.log_probs(torch.tensor(waveform)[None], torch.tensor([240000]))
    whole = model.decoder(log_probs, lengths)[0][0]

    result = model.transcribe(waveform, RATE)
    assert (result.text, result.score) == (whole.text, pytest.approx(whole.score, abs=1e-3))


@pytest.mark.parametrize("num_samples", [240_001, 240_319, 512_345, 960_000])
def test_chunks_give_as_many_frames_as_the_whole(num_samples, rng):
    model = Recognizer(tones.untrained_model())
    waveform = rng.standard_normal(num_samples).astype(np.float32) / 10
    seen = []
    model.decoder = lambda log_probs, lengths: (
        seen.extend(lengths.tolist()) or [[EMPTY]] * len(lengths)
    )

    model.transcribe(waveform, RATE)

    features, network = model.model.features, model.model.network
    whole = network.output_lengths(features.num_frames(torch.tensor([num_samples])))
    assert sum(seen) == int(whole)


class EMPTY:
    text, words, score = "", (), 0.0


def test_load_with_a_language_model_searches_with_it(tmp_path, rng):
    arpa = tmp_path / "lm.arpa"
    arpa.write_text(
        "\\data\\\nngram 1=5\n\n\\1-grams:\n-3\t<unk>\n-99\t<s>\n-1\t</s>\n-0.5\tab\n-0.5\tcad\n"
        "\n\\end\\\n"
    )

    model = asr.load(tones.checkpoint_path(), lm=arpa)

    assert isinstance(model.decoder, BeamSearchDecoder)
    assert model.transcribe(tones.speak("ab cad", rng), RATE).text == "ab cad"


def test_load_takes_a_decoder(rng):
    tokens = tones.untrained_model().tokenizer.tokens

    model = asr.load(tones.checkpoint_path(), decoder=BeamSearchDecoder(tokens, beam_width=4))

    assert model.transcribe(tones.speak("dab", rng), RATE).text == "dab"


def test_load_refuses_a_decoder_beside_a_language_model():
    decoder = BeamSearchDecoder(tones.untrained_model().tokenizer.tokens)

    with pytest.raises(ValueError, match="lm must not be given beside a decoder"):
        asr.load(tones.checkpoint_path(), decoder=decoder, lm="lm.arpa")


def test_load_of_a_missing_checkpoint_names_it(tmp_path):
    with pytest.raises(ModelFileError, match=r"absent\.ckpt: no such checkpoint"):
        asr.load(tmp_path / "absent.ckpt")
