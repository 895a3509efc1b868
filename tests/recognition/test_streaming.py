import itertools
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tones
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import asr
from asr.acoustic.checkpoint import load_checkpoint
from asr.acoustic.streaming import AcousticStream, latency
from asr.decoding import BeamSearchDecoder, PrefixSearchDecoder
from asr.recognition.endpoints import Endpoints
from asr.recognition.recognizer import Recognizer
from asr.recognition.streaming import LEAD_S
from asr.resampling import resample

RATE = tones.SAMPLE_RATE
TEXTS = ["ab cad", "dab", "bad ab"]


@pytest.fixture(scope="module")
def model():
    return asr.load(tones.streaming_checkpoint_path())


def silence(seconds, rng):
    return (1e-3 * rng.standard_normal(int(seconds * RATE))).astype(np.float32)


@pytest.fixture(scope="module")
def speech():
    """Three texts with a pause of 1.5 s after each."""
    rng = np.random.default_rng(3)
    return np.concatenate(
        [part for t in TEXTS for part in (tones.speak(t, rng), silence(1.5, rng))]
    )


def recognize(stream, audio, size):
    """Segments of audio in pieces of a size."""
    pieces = [audio[start : start + size] for start in range(0, len(audio), size)]
    return [segment for piece in pieces for segment in stream.push(piece)] + stream.finish()


def described(segments):
    return [(s.text, s.start_s, s.end_s, [w[:3] for w in s.words]) for s in segments]


@pytest.fixture(scope="module")
def segments(model, speech):
    """What is recognised in pieces of 50 ms."""
    return recognize(model.stream(), speech, 400)


def test_long_stream_gives_utterances_with_their_times(segments):
    assert [segment.text for segment in segments] == TEXTS
    for segment, later in itertools.pairwise(segments):
        assert 0 < segment.start_s < segment.end_s < later.start_s - 1.4
    assert segments[0].words[1].word == "cad"
    # "dab" begins 0.1 s after the first text's end and its pause.
    end_s = len(tones.speak(TEXTS[0], np.random.default_rng(3))) / RATE + 1.5
    assert end_s < segments[1].start_s < end_s + 0.35


@pytest.mark.parametrize("size", [1203, 8000, 10**6])
def test_segments_do_not_depend_on_the_pieces(model, speech, segments, size):
    assert described(recognize(model.stream(), speech, size)) == described(segments)


def collapse(tokens, path):
    return "".join(tokens[k] for k, _ in itertools.groupby(path) if tokens[k])


def slowly(model, audio, silence_s):
    """Texts of a stream that ends utterances at `silence_s`, all from whole recordings.

    Each utterance is what the model makes of the sound until it ended, and then of the last word
    what it would make if no sound were left.
    """
    rows_of, spf = best_path(model), model.samples_per_frame
    ahead = int(np.ceil(latency(model).total_s * model.sample_rate))
    tokens = ["", *model.tokenizer.tokens[1:]]
    texts, begin, num_finished = [], 0, 0
    while True:
        path = rows_of(audio[begin * spf :])
        silent = 0
        for t, best in enumerate(path):
            silent = silent + 1 if tokens[best] in ("", " ") else 0
            said = collapse(tokens, path[: t + 1])
            if said.strip() and silent * model.seconds_per_frame >= silence_s:
                break
        else:
            return [*texts, " ".join(collapse(tokens, path).split())], num_finished
        path = path[: t + 1]
        if not said.endswith(" "):
            rest = rows_of(audio[begin * spf : (begin + t) * spf + ahead])[t + 1 :]
            rest = itertools.takewhile(lambda best: tokens[best] != " ", rest)
            path = [*path, *rest]
        texts.append(" ".join(collapse(tokens, path).split()))
        num_finished += texts[-1] != " ".join(said.split())
        begin += t + 1 - min(silent // 2, int(LEAD_S / model.seconds_per_frame))


def best_path(model):
    def path(audio):
        lengths = torch.tensor([len(audio)])
        rows, lengths = model.log_probs(torch.from_numpy(audio)[None], lengths)
        return rows[0, : lengths[0]].argmax(-1).tolist()

    return path


@pytest.mark.parametrize("size", [313, 4000, 10**6])
def test_a_word_that_silence_ends_is_what_it_is_where_the_sound_ends(size):
    rng = np.random.default_rng(5)
    loud = np.repeat(rng.uniform(0, 1, 60), 1600)
    audio = (loud * rng.uniform(-0.5, 0.5, len(loud))).astype(np.float32)
    acoustic = tones.untrained_model(config=tones.STREAMING_CONFIG)
    with torch.no_grad():  # as many words as silences
        acoustic.network.linear.weight *= 8
        rows, _ = acoustic.log_probs(torch.from_numpy(audio)[None], torch.tensor([len(audio)]))
        acoustic.network.linear.bias -= rows[0].mean(0)
        acoustic.network.linear.bias[0] += 0.3
    endpoints = Endpoints(silence_s=0.2, long_s=1e3, longest_s=1e3, empty_s=1e3)

    found = recognize(Recognizer(acoustic).stream(endpoints=endpoints), audio, size)

    expected, num_finished = slowly(acoustic, audio, 0.2)
    assert num_finished >= 3
    assert [s.text for s in found] == [text for text in expected if text]


def test_without_endpoints_a_stream_is_one_utterance_as_the_whole_file(model, speech):
    (segment,) = recognize(model.stream(endpoints=None), speech, 400)

    whole = model.transcribe(speech, RATE)
    assert described([segment]) == described(whole.segments)
    assert segment.score == pytest.approx(whole.score, abs=1e-2)


def test_stable_text_begins_the_text_and_only_grows(model, speech):
    stream, stable = model.stream(), ""
    seen = set()
    for start in range(0, len(speech), 400):
        if ended := stream.push(speech[start : start + 400]):
            assert f"{ended[0].text} ".startswith(stable)
            stable = ""
        partial = stream.partial()
        assert partial.text.startswith(partial.stable_text)
        assert partial.stable_text.startswith(stable)
        assert [word.word for word in partial.words] == partial.text.split()
        assert all(word.end_s <= stream.duration_s for word in partial.words)
        stable = partial.stable_text
        seen.add(partial.text)

    assert {"a", "ab", "ab cad", "dab"} <= seen


def test_beam_search_streams_with_its_options(speech):
    decoder = BeamSearchDecoder(
        tones.untrained_model().tokenizer.tokens, lexicon=["ab", "cad", "dab", "bad"], n_best=2
    )
    model = asr.load(tones.streaming_checkpoint_path(), decoder=decoder)

    segments = recognize(model.stream(), speech, 400)

    assert [segment.text for segment in segments] == TEXTS
    assert len(segments[0].alternatives) == 2


def test_other_rates_are_converted_as_whole_recordings_are(model, speech):
    louder = resample(speech, RATE, 11025)

    segments = recognize(model.stream(11025, endpoints=None), louder, 3001)

    assert described(segments) == described(model.transcribe(louder, 11025).segments)


@given(length=st.integers(0, 4000), sizes=st.lists(st.integers(0, 1500), max_size=6))
@settings(max_examples=20)
def test_converted_samples_do_not_depend_on_the_pieces(length, sizes):
    from asr.resampling import ResampleStream

    waveform = np.random.default_rng(length).normal(0, 0.1, length).astype(np.float32)
    stream = ResampleStream(11025, 8000)
    pieces = np.split(waveform, np.minimum(np.cumsum(sizes, dtype=int), length))

    given = np.concatenate([*(stream.push(piece) for piece in pieces), stream.finish()])

    np.testing.assert_allclose(given, resample(waveform, 11025, 8000), atol=1e-6)


def test_streams_stepped_together_equal_one_by_one(model, speech):
    audios = [speech, speech[4000:], speech[:0], speech[:9000]]
    streams = [model.stream() for _ in audios]
    segments = [[] for _ in streams]
    for turn in range(-(-len(speech) // 1200)):
        for stream, audio in zip(streams, audios, strict=True):
            stream.accept(audio[1200 * turn : 1200 * (turn + 1)])
        for own, new in zip(segments, model.step(streams), strict=True):
            own += new
    for stream in streams:
        stream.close()
    for own, new in zip(segments, model.step(streams), strict=True):
        own += new

    for own, audio in zip(segments, audios, strict=True):
        assert described(own) == described(recognize(model.stream(), audio, 1200))


def test_memory_does_not_grow(model, rng):
    stream, sizes = model.stream(), []
    for turn in range(25):
        audio = tones.speak("ab", rng) if turn % 10 == 0 else silence(1.0, rng)
        stream.push(audio)
        sizes.append(len(stream._held))

    # What the network looks ahead, and the silence that a new utterance begins with.
    assert max(sizes) < 1.2 * RATE
    assert stream._utterance.num_frames < 30 / model.model.seconds_per_frame


def test_speech_without_a_pause_ends_at_the_longest(model, rng):
    stream = model.stream(endpoints=Endpoints(longest_s=1.0, long_s=1.0))
    audio = tones.speak("abcdabcdabcdabcdabcdabcd", rng)

    segments = recognize(stream, audio, 800)

    assert len(segments) > 2
    assert all(segment.end_s - segment.start_s <= 2.0 for segment in segments)
    assert "".join(segment.text for segment in segments) == model.transcribe(audio, RATE).text


@pytest.mark.parametrize("length", [0, 1, 39])
def test_audio_shorter_than_a_frame_says_nothing(model, length):
    stream = model.stream()

    assert stream.push(np.zeros(length, np.float32)) == []
    assert stream.finish() == stream.finish() == []
    assert stream.partial() == ("", "", [])


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        (np.zeros(8, np.int16), TypeError, "divide 16-bit samples by 32768"),
        (np.array([0.0, np.nan]), ValueError, "samples must be finite"),
        (np.full(8, 99.0), ValueError, r"must lie in \[-1, 1\], the peak is 99"),
    ],
)
def test_refused_samples_are_not_taken(model, speech, samples, error, message):
    stream = model.stream()
    stream.push(speech[:4000])

    with pytest.raises(error, match=message):
        stream.push(samples)

    assert described(recognize(stream, speech[4000:12000], 4000)) == described(
        recognize(model.stream(), speech[:12000], 4000)
    )


def test_channels_are_averaged_and_tensors_taken(model, speech):
    stereo = torch.from_numpy(np.stack([2 * speech, 0 * speech]).clip(-1, 1))

    stream = model.stream()

    assert [s.text for s in [*stream.push(stereo), *stream.finish()]] == TEXTS


def test_nothing_follows_the_end(model):
    stream = model.stream()
    stream.finish()

    with pytest.raises(ValueError, match=r"nothing can be pushed after finish\(\)"):
        stream.push(np.zeros(8, np.float32))


def test_model_of_whole_utterances_is_refused_with_what_to_do():
    whole = Recognizer(tones.untrained_model())

    with pytest.raises(ValueError, match=r"cannot stream: features\.normalize=utterance .* train"):
        whole.stream()


def test_decoder_of_whole_utterances_is_refused():
    model = load_checkpoint(tones.streaming_checkpoint_path())

    with pytest.raises(ValueError, match="a PrefixSearchDecoder cannot stream: use GreedyDecoder"):
        Recognizer(model, PrefixSearchDecoder(model.tokenizer.tokens)).stream()


def test_rate_out_of_range_is_refused(model):
    with pytest.raises(ValueError, match=r"sample_rate must be 1000\.\.768000 Hz, got 12"):
        model.stream(12)


def test_python_of_the_guide_runs(tmp_path, monkeypatch, capsys, speech):
    guide = (Path(__file__).parents[2] / "docs/streaming.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    shutil.copy(tones.streaming_checkpoint_path(), tmp_path / "best.ckpt")
    monkeypatch.chdir(tmp_path)

    names = {"pieces": np.split(speech, [8000, len(speech) - 100])}
    exec("".join(blocks), names)

    out = capsys.readouterr().out
    assert len(blocks) == 2
    assert all(f" {text}\n" in out for text in TEXTS)
    assert names["ended"] == [[]] * 32


def test_an_hour_at_once_is_heard_piece_by_piece(model, speech, monkeypatch):
    sizes = []
    push = AcousticStream.push

    def count(stream, samples):
        sizes.append(len(samples))
        push(stream, samples)

    monkeypatch.setattr(AcousticStream, "push", count)

    segments = recognize(model.stream(), np.tile(speech, 3), 10**9)

    assert [segment.text for segment in segments] == 3 * TEXTS
    assert max(sizes) <= RATE
    # Of every utterance the network sees again less than 2 s.
    assert sum(sizes) < 3 * len(speech) + 9 * 2 * RATE
