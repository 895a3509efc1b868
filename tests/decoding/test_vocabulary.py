"""Vocabulary files of published models, and the entry shaped as pyctcdecode's."""

import json
import math
import pickle

import numpy as np
import pytest

from asr.decoding import BeamSearchDecoder, NGramLM, build_ctcdecoder
from asr.decoding.vocabulary import read_vocabulary
from tests.oracles.decoding import BackoffModel

HUGGING_FACE = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "E": 5, "T": 6}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("name", "content", "tokens", "blank"),
    [
        ("vocab.json", HUGGING_FACE, ["<pad>", "", "", "", " ", "E", "T"], 0),
        ("labels.json", ["_", "'", "A", " "], ["_", "'", "A", " "], 0),
        ("labels.txt", " \na\nb\n", [" ", "a", "b", ""], 3),
        ("labels.txt", "\ufeff<blk>\na\n", ["<blk>", "a"], 0),
        ("labels.json", '\ufeff["", "a"]', ["", "a"], 0),
        ("labels.txt", "a\nb\n[PAD]\n", ["a", "b", "[PAD]"], 2),
        ("bpe.txt", "[UNK]\nthe\n##re\n", ["", "\u2581the", "re", ""], 3),
        ("bpe.txt", "<unk>\n\u2581\n##a\nb\n", ["", "\u2581", "a", "\u2581b", ""], 4),
        ("labels.json", ["a", "_", "blank"], ["a", "_", "blank"], 2),
        ("bpe.txt", "blank\n##a\n_", ["\u2581blank", "a", "\u2581_", ""], 3),
        ("p.json", ["<blank>", "\u2581a", "|"], ["<blank>", "\u2581a", "|"], 0),
        (
            "tokens.txt",
            "<blk> 0\n\u2581a 2\n<sos/eos> 1\n#0 3\n#1 4\n",
            ["<blk>", "", "\u2581a"],
            0,
        ),
        ("tokens.txt", "a 1\nb 1\n", ["a 1", "b 1", ""], 2),
        ("p.vocab", "<unk>\t0\n\u2581a\t-1.5\nb\t-2\n", ["", "\u2581a", "b", ""], 3),
    ],
)
def test_read_vocabulary_of_each_kind(tmp_path, name, content, tokens, blank):
    assert read_vocabulary(write(tmp_path / name, content)) == (tokens, blank)


def test_read_vocabulary_puts_a_missing_blank_where_told(tmp_path):
    path = write(tmp_path / "labels.txt", "a\nb\n")

    assert read_vocabulary(path, blank=0) == (["", "a", "b"], 0)
    with pytest.raises(ValueError, match=r"blank must be in 0\.\.2, got 3"):
        read_vocabulary(path, blank=3)


def test_read_vocabulary_of_a_sentencepiece_model(tmp_path):
    from asr.text import SentencePieceTokenizer

    tokenizer = SentencePieceTokenizer.train(["the cat sat on the mat"] * 20, vocab_size=12)
    model = tmp_path / "m.model"
    model.write_bytes(tokenizer.model)

    tokens, blank = read_vocabulary(model, blank=0)

    assert blank == 0
    assert tokens[2:] == tokenizer.tokens[2:]  # class 1 is <unk>, which writes nothing


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.json", "{", r"v\.json: not JSON at line 1"),
        ("v.json", {"a": 0, "b": 2}, r"v\.json: classes must be 0..1, each once"),
        ("v.json", {"a": 0, "b": "1"}, r"v\.json: classes must be integers"),
        ("v.json", {"a": False, "b": True}, r"v\.json: classes must be integers"),
        ("v.json", {"a": [0], "b": {}}, r"v\.json: classes must be integers"),
        ("v.json", [1, 2], r"v\.json: .* a list of strings, or a mapping"),
        ("v.json", "3", r"v\.json: .* a list of strings, or a mapping"),
        ("v.json", '"abc"', r"v\.json: .* a list of strings, or a mapping"),
        ("v.json", "[" * 100_000, r"v\.json: .* not lists within lists"),
        ("v.json", '{"a": ' * 100_000, r"v\.json: .* not lists within lists"),
        ("v.csv", "a", r"must end in \.json, \.txt, \.model or \.vocab"),
        ("v.model", "a", "not a SentencePiece model"),
    ],
)
def test_read_vocabulary_refuses_other_files(tmp_path, name, content, message):
    with pytest.raises(ValueError, match=message):
        read_vocabulary(write(tmp_path / name, content))


@pytest.mark.parametrize("name", ["v.json", "v.txt", "v.vocab"])
def test_read_vocabulary_refuses_bytes_that_are_no_text(tmp_path, name):
    (tmp_path / name).write_bytes(b"a\n\xff")

    with pytest.raises(ValueError, match=rf"{name}: not UTF-8 at byte 2"):
        read_vocabulary(tmp_path / name)


def test_pieces_with_a_bare_mark_are_decoded_without_it(tmp_path):
    path = write(tmp_path / "nemo.txt", "<unk>\n\u2581\n##a\nb\n")

    decoder = BeamSearchDecoder.from_pretrained_vocab(path)

    log_probs = spikes([1, 2, 3], 5, 20.0) - 20.0
    assert decoder(log_probs)[0][0].text == "a b"


def spikes(classes, num_classes, height):
    logits = np.zeros((len(classes), num_classes))
    logits[np.arange(len(classes)), classes] = height
    return logits


def test_decoder_from_pretrained_vocab(tmp_path):
    path = write(tmp_path / "vocab.json", HUGGING_FACE)

    decoder = BeamSearchDecoder.from_pretrained_vocab(path, beam_width=8)

    log_probs = spikes([5, 4, 6, 0, 6], 7, 20.0) - 20.0
    assert decoder(log_probs)[0][0].text == "E TT"


LABELS = ["", "a", "b", " "]
MODEL = BackoffModel(
    {
        ("<s>",): (-99.0, 0.0),
        ("</s>",): (-0.5, 0.0),
        ("<unk>",): (-2.0, 0.0),
        ("a",): (-0.5, 0.0),
        ("ab",): (-0.7, 0.0),
    }
)


@pytest.fixture
def arpa(tmp_path):
    return str(write(tmp_path / "lm.arpa", MODEL.arpa()))


def test_ctcdecoder_takes_logits_and_pyctcdecode_arguments(arpa):
    decoder = build_ctcdecoder(LABELS, arpa, ["a", "ab"], alpha=0.7, beta=1.0)
    logits = spikes([1, 2, 3, 1], 4, 3.0)

    assert decoder.decode(logits) == "ab a"
    assert decoder.decode(logits, 20, beam_prune_logp=-20.0) == "ab a"
    assert decoder.decode_batch(None, [logits, logits[:1]]) == ["ab a", "a"]
    assert decoder.decode_batch(None, []) == []
    beams = decoder.decode_beams(logits, beam_width=30, token_min_logp=-10)
    assert decoder.decode_beams_batch(None, [logits], 30, token_min_logp=-10) == [beams]
    assert decoder.decode_beams_batch(None, []) == []


def test_ctcdecoder_beams_have_pyctcdecode_order_and_scores(arpa):
    decoder = build_ctcdecoder(LABELS, arpa, alpha=0.7, beta=1.0)

    best, *others = decoder.decode_beams(spikes([1, 2, 3, 1], 4, 3.0))

    text, state, frames, logit_score, lm_score = best
    assert (text, state, frames) == ("ab a", None, [("ab", (0, 2)), ("a", (3, 4))])
    expected = 0.7 * NGramLM(arpa).score("ab a") + 2.0
    assert lm_score == pytest.approx(logit_score + expected, abs=1e-5)
    assert all(best.lm_score >= beam.lm_score for beam in others)


def test_ctcdecoder_scales_the_unknown_offset_as_the_model(arpa):
    logits = spikes([2], 4, 30.0)

    def lm_part(offset):
        decoder = build_ctcdecoder(LABELS, arpa, alpha=0.5, beta=0.0, unk_score_offset=offset)
        best = next(b for b in decoder.decode_beams(logits) if b.text == "b")
        return best.lm_score - best.logit_score

    assert lm_part(-3.0) - lm_part(0.0) == pytest.approx(0.5 * -3.0 * math.log(10))


def test_ctcdecoder_hotwords_and_reset_params(arpa):
    decoder = build_ctcdecoder(LABELS, arpa)
    logits = spikes([1, 2], 4, 1.0)
    logits[1, 0] = 1.2

    assert decoder.decode(logits) == "a"
    assert decoder.decode(logits, hotwords=["ab"], hotword_weight=5.0) == "ab"
    decoder.reset_params(alpha=0.0, beta=5.0)
    assert decoder.decode(logits, beam_prune_logp=-50, token_min_logp=-9).count(" ") == 0
    assert pickle.loads(pickle.dumps(decoder)).decode(logits) == decoder.decode(logits)


def test_ctcdecoder_batch_equals_one_by_one(rng, arpa):
    decoder = build_ctcdecoder(LABELS, arpa)
    logits = [rng.normal(size=(length, 4)) for length in (5, 1, 9)]

    assert decoder.decode_batch(None, logits) == [decoder.decode(x) for x in logits]
    beams = decoder.decode_beams_batch(None, logits, beam_width=5)
    for ours, theirs in zip(
        beams, (decoder.decode_beams(x, beam_width=5) for x in logits), strict=True
    ):
        assert [b[:3] for b in ours] == [b[:3] for b in theirs]
        assert [b.lm_score for b in ours] == pytest.approx([b.lm_score for b in theirs], abs=1e-5)


def test_ctcdecoder_keeps_its_decoders_and_forgets_the_oldest(monkeypatch, arpa):
    decoder = build_ctcdecoder(LABELS, arpa)
    made = []
    make = BeamSearchDecoder
    monkeypatch.setattr(
        "asr.decoding.ctcdecoder.BeamSearchDecoder",
        lambda *arguments, **options: made.append(options) or make(*arguments, **options),
    )
    logits = spikes([1, 2, 3, 1], 4, 3.0)

    for _ in range(3):
        decoder.decode(logits)
        decoder.decode(logits, hotwords=iter(["ab"]))
        decoder.decode_beams(logits)
    assert len(made) == 3
    decoder.reset_params(alpha=0.1)
    decoder.decode(logits)
    assert len(made) == 4
    for width in range(1, 20):
        decoder.decode(logits, width)
    assert len(decoder._decoders) == 16


def test_ctcdecoder_takes_probabilities_as_pyctcdecode_does():
    decoder = build_ctcdecoder(LABELS)
    logits = 2 * np.random.default_rng(3).normal(size=(30, 4))
    probs = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)

    for mine, theirs in zip(decoder.decode_beams(probs), decoder.decode_beams(logits), strict=True):
        assert mine.text == theirs.text
        assert mine.logit_score == pytest.approx(theirs.logit_score, abs=1e-4)


def test_ctcdecoder_words_last_from_their_first_frame_to_the_one_after_their_end():
    logits = spikes([0, 1, 1, 2, 2, 2, 0, 3, 3, 1, 1, 0], 4, 3.0)
    logits[2] *= 2  # the spike is within the run
    logits[4] *= 2
    decoder = build_ctcdecoder(LABELS)

    assert decoder.decode_beams(logits)[0].text_frames == [("ab", (1, 6)), ("a", (9, 11))]


@pytest.mark.parametrize("shape", [(4,), (1, 5, 4), (1, 1, 4), (5, 3), (5, 5)])
def test_ctcdecoder_refuses_other_shapes(shape):
    decoder = build_ctcdecoder(LABELS)

    for decode in (decoder.decode, decoder.decode_beams):
        with pytest.raises(ValueError, match=r"logits must be \(T, C=4\), .* in utterance 0"):
            decode(np.zeros(shape))


def test_ctcdecoder_takes_unigrams_that_change_nothing(arpa):
    logits = spikes([1, 2, 3, 1], 4, 3.0)
    plain = build_ctcdecoder(LABELS, arpa).decode_beams(logits)

    assert build_ctcdecoder(LABELS, arpa, ["a", "ab", "more"]).decode_beams(logits) == plain
    assert build_ctcdecoder(LABELS, unigrams=["a"]).decode(logits) == "ab a"
    with pytest.raises(ValueError, match="but 1 of its words are not there, such as 'ab'"):
        build_ctcdecoder(LABELS, arpa, ["a"])


def test_ctcdecoder_refuses_scores_without_boundaries():
    with pytest.raises(ValueError, match="lm_score_boundary must be True"):
        build_ctcdecoder(LABELS, lm_score_boundary=False)
