"""`asr lm`: words, characters and pieces; compiled models; perplexity."""

import gzip
import math
import re
import shlex
from pathlib import Path

import kenlm
import numpy as np
import pytest
from ngram_texts import draw_sentences
from oracles.ngram import Arpa

from asr.cli import main
from asr.decoding import BeamSearchDecoder, NGramLM
from asr.ngram.estimation import estimate_ngram
from asr.ngram.perplexity import measure_perplexity
from asr.text import SentencePieceTokenizer


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("ab ba\nab  ab\tba\n\nba\n" * 5)
    return path


def lm_command(*words):
    return main(["lm", *map(str, words)])


def test_character_model(tmp_path, text):
    arpa = tmp_path / "chars.arpa"

    assert lm_command("build", text, "--unit", "char", "--order", 4, "-o", arpa) == 0

    estimate_ngram(["a b _ b a", "a b _ a b _ b a", "b a"] * 5, 4, tmp_path / "by_hand.arpa")
    by_hand = (tmp_path / "by_hand.arpa").read_text().replace("_", "\u2581")
    assert arpa.read_text() == by_hand


def test_character_model_guides_a_decoder(tmp_path, text):
    arpa = tmp_path / "chars.arpa"
    lm_command("build", text, "--unit", "char", "-o", arpa)
    lm = NGramLM(arpa, unit="token")
    log_probs = np.log(np.full((5, 4), 0.25))

    ((hypothesis,),) = BeamSearchDecoder(["", " ", "a", "b"], lm=lm, lm_alpha=3.0)(log_probs)

    spelled = " ".join(hypothesis.text.replace(" ", "\u2581"))
    assert hypothesis.text in ("ba", "ab ba")
    assert hypothesis.lm_score == pytest.approx(lm.score(spelled), abs=1e-5)


def test_piece_model(tmp_path, text, rng):
    tokenizer = SentencePieceTokenizer.train(["ab ba", "ab ab ba", "ba"], 5)
    (tmp_path / "pieces.model").write_bytes(tokenizer.model)
    arpa = tmp_path / "pieces.arpa"

    words = ["--tokenizer", tmp_path / "pieces.model", "--order", 2]
    assert lm_command("build", text, *words, "-o", arpa) == 0

    pieces = {gram[0] for gram in Arpa(arpa).grams if len(gram) == 1} - {"<s>", "</s>", "<unk>"}
    assert pieces
    assert pieces <= set(tokenizer.tokens)
    spelled = [tokenizer.tokens[i] for i in tokenizer.encode("ab ba")]
    assert NGramLM(arpa).score(" ".join(spelled)) > math.log(0.01)
    assert lm_command("perplexity", arpa, text, *words[:2]) == 0


def test_piece_model_names_file_and_line_of_what_it_cannot_spell(tmp_path, text, capsys):
    tokenizer = SentencePieceTokenizer.train(["ab ba", "ab ab ba", "ba"], 5)
    (tmp_path / "pieces.model").write_bytes(tokenizer.model)
    text.write_text("ab\nab zz\n")

    words = ["--tokenizer", tmp_path / "pieces.model", "-o", tmp_path / "lm.arpa"]
    assert lm_command("build", text, *words) == 2

    assert f"asr lm: {text}:2: " in capsys.readouterr().err
    assert not (tmp_path / "lm.arpa").exists()


def test_unit_and_tokenizer_exclude_each_other(tmp_path, text, capsys):
    with pytest.raises(SystemExit, match="2"):
        lm_command("build", text, "--unit", "char", "--tokenizer", "x", "-o", tmp_path / "lm.arpa")
    assert "not allowed with argument" in capsys.readouterr().err


def test_options_reach_the_model(tmp_path, rng, capsys):
    path, arpa = tmp_path / "text.txt", tmp_path / "lm.arpa"
    path.write_text("\n".join(draw_sentences(rng, 200)))
    words = ["--order", 3, "--prune", 0, 0, 1, "--prune-entropy", 1e-3, "--vocab-size", 9]

    assert lm_command("build", path, *words, "--memory", 8, "-o", arpa) == 0

    out = capsys.readouterr().out
    declared = Arpa(arpa).declared
    assert declared[1] == 9 + 3
    for n in (1, 2, 3):
        assert f"{n}-grams: {declared[n]:,} of " in out
    assert declared[3] < declared[2] < 100


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--prune-entropy", "-1"], "prune_entropy must be > 0, got -1.0"),
        (["--memory", "0"], "memory must be >= 1 MiB, got 0"),
        (["--tokenizer", "none.model"], "none.model: cannot read a SentencePiece model"),
    ],
)
def test_bad_option_is_one_line(tmp_path, text, capsys, words, message):
    assert lm_command("build", text, *words, "-o", tmp_path / "lm.arpa") == 2

    err = capsys.readouterr().err
    assert err.startswith(f"asr lm: {message}")
    assert err.count("\n") == 1


def test_compiled_model_scores_the_same(tmp_path, text, capsys):
    arpa, compiled = tmp_path / "lm.arpa", tmp_path / "lm.bin"
    lm_command("build", text, "-o", arpa)

    assert lm_command("compile", arpa, "-o", compiled) == 0

    assert f"{compiled}: order 3, 5 words, " in capsys.readouterr().out
    assert NGramLM(compiled).score("ab ba zz") == NGramLM(arpa).score("ab ba zz")


def test_perplexity_of_a_sentence_equals_kenlm(tmp_path, text):
    arpa = tmp_path / "lm.arpa"
    lm_command("build", text, "-o", arpa)

    for sentence in ("ab", "ab ba ab", "ab zz ba", "zz zz"):
        measured = measure_perplexity(NGramLM(arpa), [sentence.split()])

        theirs = kenlm.Model(str(arpa))
        known = [p for p, _, unknown in theirs.full_scores(sentence) if not unknown]
        assert measured.with_unknown == pytest.approx(theirs.perplexity(sentence), rel=1e-5)
        expected = 10 ** (-sum(known) / len(known))
        assert measured.without_unknown == pytest.approx(expected, rel=1e-5)
        assert measured.num_unknown == sentence.count("zz")


def test_perplexity_by_hand(tmp_path, capsys):
    arpa, dev = tmp_path / "lm.arpa", tmp_path / "dev.txt.gz"
    arpa.write_text(
        "\\data\\\nngram 1=4\n\n\\1-grams:\n-99\t<s>\n-1\t</s>\n-2\t<unk>\n-0.5\ta\n\n\\end\\\n"
    )
    dev.write_bytes(gzip.compress(b"a a b\n\na\n"))

    assert lm_command("perplexity", arpa, dev) == 0

    # log10: three times a, one <unk>, two ends: -1.5 - 2 - 2 in six events, -3.5 in five.
    assert capsys.readouterr().out == (
        "4 words in 2 sentences, 1 unknown\nlog10 probability -5.5000\n"
        f"perplexity {10 ** (5.5 / 6):.4f}\n"
        f"perplexity without unknown words {10 ** (3.5 / 5):.4f}\n"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\n\n", "cannot measure perplexity: the text holds no words"),
        ("a\n<s> a\n", "dev.txt:2: text must not hold '<s>'"),
    ],
)
def test_perplexity_of_a_bad_text_is_one_line(tmp_path, text, capsys, content, message):
    lm_command("build", text, "-o", tmp_path / "lm.arpa")
    (tmp_path / "dev.txt").write_text(content)

    assert lm_command("perplexity", tmp_path / "lm.arpa", tmp_path / "dev.txt") == 2

    assert message in capsys.readouterr().err


def test_damaged_gzip_arpa_is_one_line(tmp_path, text, capsys):
    lm_command("build", text, "-o", tmp_path / "lm.arpa")
    packed = gzip.compress((tmp_path / "lm.arpa").read_bytes())
    (tmp_path / "lm.arpa.gz").write_bytes(packed[:60] + bytes(20) + packed[80:])

    assert lm_command("compile", tmp_path / "lm.arpa.gz", "-o", tmp_path / "lm.bin") == 2

    assert "lm.arpa.gz: damaged gzip file (" in capsys.readouterr().err


def test_guide_examples_run(tmp_path, rng, monkeypatch):
    guide = Path(__file__).parents[2] / "docs" / "language_models.md"
    commands = re.findall(r"^    asr (lm .*)$", guide.read_text(encoding="utf-8"), re.M)
    (example,) = re.findall(
        r"^```python\n(.*?)^```", guide.read_text(encoding="utf-8"), re.M | re.S
    )
    monkeypatch.chdir(tmp_path)
    lines = draw_sentences(rng, 100)
    Path("text.txt").write_text("\n".join(lines))
    Path("dev.txt").write_text("\n".join(lines[:10]))
    Path("more.txt.gz").write_bytes(gzip.compress(b"a b\n"))
    Path("pieces.model").write_bytes(SentencePieceTokenizer.train(lines, 20).model)

    assert [main(shlex.split(command)) for command in commands] == [0] * 10
    exec(compile(example, str(guide), "exec"), {})
