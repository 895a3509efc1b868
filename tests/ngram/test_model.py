"""NGramLM: the ARPA reader and its scores."""

import gzip
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest

from asr.decoding import BeamSearchDecoder, NGramLM
from tests.oracles.decoding import LN10, BackoffModel, random_model

TINY = """\\data\\
ngram 1=4
ngram 2=2

\\1-grams:
-99\t<s>\t-0.5
-1.0\t</s>
-2.0\t<unk>
-0.3\ta\t-0.2

\\2-grams:
-0.1\t<s> a
-0.4\ta </s>

\\end\\
"""


@pytest.fixture
def write_arpa(tmp_path):
    def write(text, name="lm.arpa"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_ngram_lm_scores_the_hand_computed_sentence(write_arpa):
    lm = NGramLM(write_arpa(TINY))

    assert (lm.order, len(lm)) == (2, 4)
    assert lm.score("a") == pytest.approx((-0.1 - 0.4) * LN10, abs=1e-6)
    assert lm.score("b a") == pytest.approx((-0.5 - 2.0 - 0.3 - 0.4) * LN10, abs=1e-6)
    assert lm.score("a", bos=False, eos=False) == pytest.approx(-0.3 * LN10, abs=1e-6)
    assert lm.score("") == pytest.approx((-0.5 - 1.0) * LN10, abs=1e-6)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5, 6])
def test_ngram_lm_equals_the_definition_of_backoff(rng, write_arpa, order):
    model = random_model(rng, ["a", "b"], order)
    lm = NGramLM(write_arpa(model.arpa()))
    for _ in range(300):
        words = list(rng.choice(["a", "b", "zz", "<unk>"], size=rng.integers(0, 9)))
        bos, eos = bool(rng.integers(2)), bool(rng.integers(2))

        score = lm.score(" ".join(words), bos=bos, eos=eos)

        assert score == pytest.approx(model.sentence(words, bos, eos), abs=1e-4, rel=1e-5)


def test_ngram_lm_equals_kenlm(rng, write_arpa):
    kenlm = pytest.importorskip("kenlm")
    vocabulary = ["a", "b", "c"]
    for order in (2, 3, 5):
        # kenlm refuses unigram models, and those of which many suffixes were pruned.
        model = random_model(rng, vocabulary, order, keep_suffixes=True)
        path = write_arpa(model.arpa(), f"{order}.arpa")
        ours, theirs = NGramLM(path), kenlm.Model(str(path))
        for _ in range(500):
            words = rng.choice([*vocabulary, "zz"], size=rng.integers(0, 12))
            sentence, bos, eos = " ".join(words), bool(rng.integers(2)), bool(rng.integers(2))
            expected = theirs.score(sentence, bos=bos, eos=eos) * LN10
            assert ours.score(sentence, bos, eos) == pytest.approx(expected, abs=1e-4, rel=1e-5)


def test_ngram_lm_without_unk_scores_unknown_words_as_kenlm_does(write_arpa):
    lm = NGramLM(write_arpa(TINY.replace("-2.0\t<unk>\n", "").replace("1=4", "1=3")))

    assert lm.score("b", bos=False, eos=False) == pytest.approx(-100 * LN10)


def test_ngram_lm_reads_past_a_preamble_that_mentions_data(write_arpa):
    preamble = "free text\nBeginning of data mark: \\data\\\nngram 1=nr  # a comment\n\n"

    lm = NGramLM(write_arpa(preamble + TINY))

    assert lm.score("a") == NGramLM(write_arpa(TINY)).score("a")


def test_ngram_lm_reads_published_files(real_speech):
    an4 = NGramLM(real_speech / "an4-mini" / "etc" / "an4.ug.lm")
    turtle = NGramLM(real_speech / "lm" / "turtle.lm")

    assert (an4.order, len(an4)) == (2, 107)
    assert (turtle.order, len(turtle)) == (3, 92)  # 91 words and <unk>
    assert an4.score("A", bos=False, eos=False) == pytest.approx(-2.0253 * LN10, abs=1e-5)


@pytest.mark.parametrize("compress", [False, True])
def test_ngram_lm_reads_crlf_and_gzip(write_arpa, tmp_path, compress):
    path = tmp_path / "lm.arpa.gz"
    text = TINY.replace("\n", "\r\n").encode()
    if compress:
        path.write_bytes(gzip.compress(text))
    else:
        path = write_arpa(TINY.replace("\n", "\r\n"))

    assert NGramLM(path).score("a") == pytest.approx(-0.5 * LN10, abs=1e-6)


@pytest.mark.parametrize(
    ("word", "shown"), [(b"-\xe4", r"got '-\\xe4'"), ("\u00e4".encode() * 60, "got '\u00e4{40}'")]
)
def test_reason_quotes_bytes_that_are_not_utf8_and_words_that_are_long(tmp_path, word, shown):
    (tmp_path / "lm.arpa").write_bytes(TINY.encode().replace(b"-0.3\ta", word + b"\ta"))

    with pytest.raises(ValueError, match=rf"lm\.arpa:9: log10 probability must be .*{shown}$"):
        NGramLM(tmp_path / "lm.arpa")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1=4", "1=5", r"lm.arpa:11: \\1-grams: must hold the 5 n-grams .* announces, got 4"),
        ("2=2", "2=1", r"lm.arpa:15: \\2-grams: must hold the 1 n-grams .* announces, got 2"),
        ("2=2", "2=x", r"lm.arpa:3: expected 'ngram ORDER=COUNT', got 'ngram 2=x'"),
        ("ngram 2=2", "ngram 3=2", "lm.arpa:3: orders must be announced as 1, 2, 3"),
        ("-0.3\ta", "zero\ta", "lm.arpa:9: log10 probability must be a finite number, got 'zero'"),
        ("-0.3\ta", "nan\ta", "lm.arpa:9: log10 probability must be a finite number, got 'nan'"),
        ("-0.3\ta", "-1e300\ta", "lm.arpa:9: log10 probability must be a finite .* '-1e300'"),
        ("-0.3\ta", "-2e38\ta", "lm.arpa:9: log10 probability must be a finite .* '-2e38'"),
        ("-0.3\ta", "-inf\ta", "lm.arpa:9: log10 probability must be a finite .* '-inf'"),
        ("a\t-0.2", "a\t1e300", "lm.arpa:9: back-off weight must be a finite number, got '1e300'"),
        ("a\t-0.2", "a\tnan", "lm.arpa:9: back-off weight must be a finite number, got 'nan'"),
        ("-0.3\ta", "0.3\ta", "lm.arpa:9: log10 probability must be <= 0, got '0.3'"),
        ("a\t-0.2", "a\tx", "lm.arpa:9: back-off weight must be a finite number, got 'x'"),
        ("a\t-0.2", "a\t-0.2\t7", "lm.arpa:9: unexpected field at the end, got '7'"),
        ("-0.1\t<s> a", "-0.1\t<s>", "lm.arpa:12: expected 2 words"),
        ("-0.1\t<s> a", "-0.1\t<s> c", "lm.arpa:12: every word needs a unigram, got 'c'"),
        ("-0.1\t<s> a", "-0.1\ta </s>", r"an n-gram stands twice"),
        ("-0.3\ta\t", "-0.3\t</s>\t", "lm.arpa:9: a word must stand once"),
        ("-0.3\ta\t", "-0.3\t<UNK>\t", "lm.arpa:9: <unk> stands twice"),
        ("\\2-grams:", "\\3-grams:", r"lm.arpa:11: expected \\2-grams:, got '\\3-grams:'"),
        ("\\end\\\n", "", r"lm.arpa:14: the file ends within \\2-grams:"),
        ("\\data\\", "data", r"no \\data\\ line: not an ARPA file"),
    ],
)
def test_ngram_lm_names_file_line_and_rule(write_arpa, old, new, message):
    assert old in TINY
    with pytest.raises(ValueError, match=message):
        NGramLM(write_arpa(TINY.replace(old, new, 1)))


@pytest.mark.parametrize("length", range(0, len(TINY), 7))
def test_ngram_lm_cut_short_is_an_error(write_arpa, length):
    with pytest.raises(ValueError, match=r"lm\.arpa:"):
        NGramLM(write_arpa(TINY[: min(length, len(TINY) - 3)]))


def test_ngram_lm_context_must_exist(write_arpa):
    three = TINY.replace("ngram 2=2\n", "ngram 2=2\nngram 3=1\n").replace(
        "\\end\\", "\\3-grams:\n-0.1\ta a a\n\n\\end\\"
    )

    with pytest.raises(ValueError, match=r"lm.arpa:17: the context of an n-gram must be"):
        NGramLM(write_arpa(three))


def test_ngram_lm_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.arpa"):
        NGramLM(tmp_path / "none.arpa")


def test_ngram_lm_survives_pickling(write_arpa, monkeypatch, tmp_path):
    write_arpa(TINY)
    monkeypatch.chdir(tmp_path)
    lm = NGramLM("lm.arpa")
    pickled = pickle.dumps(BeamSearchDecoder(["", "a"], lm=lm))
    monkeypatch.chdir("/")

    assert pickle.loads(pickled).lm.score("a") == lm.score("a")


LETTERS = ["<blank>", "a", "b", " "]
EITHER = BackoffModel(
    {
        ("<s>",): (-99.0, 0.0),
        ("</s>",): (-0.5, 0.0),
        ("<unk>",): (-4.0, 0.0),
        ("a",): (-1.5, 0.0),
        ("b",): (-0.2, 0.0),
    }
)


def test_beam_search_language_model_changes_the_choice(write_arpa):
    log_probs = np.log([[0.02, 0.5, 0.46, 0.02]])
    lm = NGramLM(write_arpa(EITHER.arpa()))

    assert BeamSearchDecoder(LETTERS)(log_probs)[0][0].text == "a"
    assert BeamSearchDecoder(LETTERS, lm=lm)(log_probs)[0][0].text == "b"
    assert BeamSearchDecoder(LETTERS, lm=lm, lm_alpha=0.0)(log_probs)[0][0].text == "a"


def test_beam_search_last_word_counts_without_a_separator(write_arpa):
    lm = NGramLM(write_arpa(EITHER.arpa()))
    log_probs = np.log([[0.01, 0.97, 0.01, 0.01]])

    ((hypothesis,),) = BeamSearchDecoder(LETTERS, lm=lm, lm_alpha=1.0, lm_beta=0.25)(log_probs)

    assert hypothesis.text == "a"
    assert hypothesis.lm_score == pytest.approx(lm.score("a"))
    assert hypothesis.score == pytest.approx(hypothesis.acoustic_score + lm.score("a") + 0.25)


def test_beam_search_trailing_separator_costs_no_unknown_word(write_arpa):
    lm = NGramLM(write_arpa(EITHER.arpa()))
    log_probs = np.log([[0.01, 0.97, 0.01, 0.01], [0.01, 0.01, 0.01, 0.97]])

    ((hypothesis,),) = BeamSearchDecoder(LETTERS, lm=lm)(log_probs)

    assert hypothesis.tokens == ("a", " ")
    assert hypothesis.lm_score == pytest.approx(lm.score("a"))


def test_beam_search_word_bonus_needs_a_language_model():
    log_probs = np.log([[0.1, 0.6, 0.2, 0.1]])

    ((hypothesis,),) = BeamSearchDecoder(LETTERS, lm_beta=100.0)(log_probs)

    assert hypothesis.score == hypothesis.acoustic_score == pytest.approx(math.log(0.6))


@pytest.mark.parametrize("order", [1, 3, 6])
def test_ngram_lm_saved_scores_the_same(rng, tmp_path, write_arpa, order):
    model = random_model(rng, ["a", "b"], order)
    lm = NGramLM(write_arpa(model.arpa()))
    lm.save(tmp_path / "lm.bin")

    saved = NGramLM(tmp_path / "lm.bin")

    assert saved.words() == lm.words() == ["<unk>", "<s>", "</s>", "a", "b"]
    for _ in range(100):
        sentence = " ".join(rng.choice(["a", "b", "zz"], size=rng.integers(0, 9)))
        assert saved.score(sentence) == lm.score(sentence)
    assert list(tmp_path.glob("*.tmp")) == []


def test_ngram_lm_saved_and_cut_short_is_an_error(tmp_path, write_arpa):
    NGramLM(write_arpa(TINY)).save(tmp_path / "lm.bin")
    whole = (tmp_path / "lm.bin").read_bytes()
    for length in [*range(8, 100, 3), len(whole) - 8]:
        (tmp_path / "cut.bin").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut\.bin: "):
            NGramLM(tmp_path / "cut.bin")
    (tmp_path / "cut.bin").write_bytes(whole + b"12345678")
    with pytest.raises(ValueError, match="cut short, or longer than its header says"):
        NGramLM(tmp_path / "cut.bin")


DAMAGE = """
import sys
import numpy as np
from asr.decoding import BeamSearchDecoder, NGramLM
rng = np.random.default_rng(0)
whole = open(sys.argv[1], "rb").read()
log_probs = np.log(rng.dirichlet(np.full(4, 0.5), size=(2, 20)))
for case in range(300):
    damaged = bytearray(whole)
    for place in rng.integers(88 if case % 3 else 0, len(whole), size=rng.integers(1, 40)):
        damaged[place] = rng.integers(256)
    open(sys.argv[2], "wb").write(damaged)
    try:
        lm = NGramLM(sys.argv[2])
    except ValueError:
        continue
    lm.score("a b zz a a b")
    BeamSearchDecoder(["", "a", "b", " "], lm=lm)(log_probs)
    try:
        lm.words()
    except ValueError as error:
        assert str(error).endswith("a word is not UTF-8")
"""


def test_ngram_lm_damaged_file_never_crashes(rng, tmp_path, write_arpa):
    NGramLM(write_arpa(random_model(rng, ["a", "b"], 3).arpa())).save(tmp_path / "lm.bin")
    paths = [str(tmp_path / "lm.bin"), str(tmp_path / "damaged.bin")]

    child = subprocess.run(
        [sys.executable, "-c", DAMAGE, *paths], capture_output=True, text=True, timeout=120
    )

    assert (child.returncode, child.stdout) == (0, ""), child.stderr


def test_ngram_lm_refuses_unknown_unit(write_arpa):
    with pytest.raises(ValueError, match="unit must be 'word' or 'token', got 'char'"):
        NGramLM(write_arpa(TINY), unit="char")
