"""Requests as clients send them, over a real socket, against what the library says itself."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import servers
import tones

import asr
from asr.audio import write_wav
from asr.decoding import BeamSearchDecoder
from asr.recognition.formats import format_transcript
from asr.recognition.recognizer import Recognizer
from asr.server.decoders import Decoders

RATE = tones.SAMPLE_RATE


@pytest.fixture(scope="module")
def served():
    with servers.serving() as served:
        yield served


@pytest.fixture(scope="module")
def model():
    return asr.load(tones.checkpoint_path())


@pytest.mark.parametrize("style", ["text", "srt", "vtt"])
def test_texts_and_subtitles_are_those_of_the_library(served, model, wav, style):
    answer = served.post(wav.read_bytes(), response_format=style)

    assert answer.status_code == 200
    assert answer.text == format_transcript(model.transcribe(wav), style)


def test_json_is_the_text_and_what_it_cost(served, wav):
    answer = served.post(wav.read_bytes())

    assert answer.json() == {"text": "ab cad", "usage": {"type": "duration", "seconds": 2}}
    assert answer.headers["cache-control"] == "no-store"


def test_verbose_json_has_the_times_that_were_asked_for(served, model, wav):
    expected = model.transcribe(wav)

    words = served.post(
        wav.read_bytes(), response_format="verbose_json", timestamp_granularities__="word"
    ).json()
    segments = served.post(wav.read_bytes(), response_format="verbose_json").json()

    assert "segments" not in words
    assert "words" not in segments
    assert [(w["word"], w["start"], w["end"], w["confidence"]) for w in words["words"]] == [
        (w.word, round(w.start_s, 3), round(w.end_s, 3), round(w.confidence, 4))
        for w in expected.words
    ]
    (segment,) = segments["segments"]
    assert (segment["id"], segment["text"]) == (0, "ab cad")
    assert segment["start"] == words["words"][0]["start"]
    assert segment["end"] == words["words"][-1]["end"]
    assert -1 < segment["avg_logprob"] <= 0
    assert words["duration"] == round(expected.duration_s, 3)


def test_more_than_openai_has_comes_when_it_is_asked_for(served, model, wav):
    answer = served.post(
        wav.read_bytes(), response_format="verbose_json", timestamp_granularities__="word",
        include__=["alternatives", "srt", "vtt"],
    ).json()  # fmt: skip

    assert answer["srt"] == format_transcript(model.transcribe(wav), "srt")
    assert answer["vtt"].startswith("WEBVTT")
    for word in answer["words"]:
        assert word["alternatives"][0]["word"] == word["word"]
        assert sum(other["probability"] for other in word["alternatives"]) <= 1.001
    assert max(len(word["alternatives"]) for word in answer["words"]) > 1


def test_prompt_is_what_to_listen_for(model, wav):
    decoders = Decoders(model.tokens, {"hotword_weight": 60.0})
    keen = BeamSearchDecoder(model.tokens, hotwords=["abc", "ba d"], hotword_weight=60.0)
    expected = Recognizer(model.model, keen).transcribe(wav).text
    with servers.serving(decoders) as served:
        heard = served.post(wav.read_bytes(), prompt=" abc,  ba   d ,").json()["text"]
        strange = served.post(wav.read_bytes(), prompt="Zürich")

    assert heard == expected != "ab cad"
    assert (strange.status_code, strange.json()["error"]["param"]) == (400, "prompt")


def test_many_at_once_equal_one_by_one(served, model, rng, tmp_path):
    texts = [tones.invent_text(rng, 1 + i % 5) for i in range(12)]
    paths = [tmp_path / f"{i}.wav" for i in range(12)]
    for path, text in zip(paths, texts, strict=True):
        write_wav(path, tones.speak(text, rng), RATE)

    with ThreadPoolExecutor(12) as pool:
        answers = list(
            pool.map(lambda path: served.post(path.read_bytes(), response_format="srt"), paths)
        )

    alone = [format_transcript(model.transcribe(path), "srt") for path in paths]
    assert [answer.text for answer in answers] == alone


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"foo": "1"}, 400, "unknown_parameter", "foo"),
        ({"model": "gpt"}, 404, "model_not_found", "model"),
        ({"response_format": "docx"}, 400, "invalid_value", "response_format"),
        ({"temperature": "0.7"}, 400, "invalid_value", "temperature"),
        ({"temperature": "warm"}, 400, "invalid_value", "temperature"),
        ({"stream": "true"}, 400, "invalid_value", "stream"),
        ({"lm": "true"}, 400, "invalid_value", "lm"),
        ({"lm": "maybe"}, 400, "invalid_value", "lm"),
        ({"language": "x" * 50}, 400, "invalid_value", "language"),
        ({"prompt": ",".join(f"a{'b' * n}" for n in range(101))}, 400, "invalid_value", "prompt"),
        ({"include__": "logprobs"}, 400, "invalid_value", "include[]"),
        ({"include__": "srt"}, 400, "invalid_value", "include[]"),
        ({"timestamp_granularities__": "word"}, 400, "invalid_value", "timestamp_granularities[]"),
        ({"response_format": ["json", "json"]}, 400, "invalid_value", "response_format"),
    ],
)  # fmt: skip
def test_wrong_parameters_are_named(served, wav, fields, status, code, param):
    answer = served.post(wav.read_bytes(), **fields)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    assert error["type"] == "invalid_request_error"


def test_values_that_change_nothing_are_taken(served, wav):
    answer = served.post(
        wav.read_bytes(), temperature="0", stream="false", lm="false", language="en", prompt=""
    )

    assert answer.json()["text"] == "ab cad"


def test_model_is_listed_and_health_is_tried_out(served):
    with served.client() as client:
        (listed,) = client.get("/v1/models").json()["data"]
        health = client.get("/health").json()

    assert (listed["id"], listed["sample_rate"], listed["lm"]) == ("tones", RATE, False)
    assert (health["status"], health["audio_seconds"]) == ("ok", 1.0)


def test_metrics_count_requests_and_audio(served, wav):
    before = served.metric("asr_audio_seconds_count")

    served.post(wav.read_bytes())

    assert served.metric("asr_audio_seconds_count") == before + 1
    assert served.metric("asr_batch_recordings_count") > 0
    assert served.metric("asr_requests_held") == 0


def test_openai_client_gets_what_it_expects(served, wav):
    openai = pytest.importorskip("openai", reason="pip install openai")
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none") as client:
        create = client.audio.transcriptions.create
        brief = create(model="tones", file=wav)
        detailed = create(
            model="tones", file=wav, response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        )  # fmt: skip
        text = create(model="tones", file=wav, response_format="text")
        with pytest.raises(openai.NotFoundError, match="this server has 'tones' alone"):
            create(model="whisper-1", file=wav)
        with pytest.raises(openai.BadRequestError, match="unknown parameter 'top_p'"):
            create(model="tones", file=wav, extra_body={"top_p": 1})
        (listed,) = client.models.list().data

    assert (brief.text, detailed.text, text) == ("ab cad", "ab cad", "ab cad\n")
    assert [word.word for word in detailed.words] == ["ab", "cad"]
    assert detailed.words[0].start == detailed.segments[0].start
    assert detailed.segments[0].no_speech_prob == 0.0
    assert listed.id == "tones"
