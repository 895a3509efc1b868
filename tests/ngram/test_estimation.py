import gzip
import itertools
import math
from collections import Counter

import kenlm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ngram_texts import draw_sentences
from oracles.ngram import Arpa, KneserNey

from asr.decoding import NGramLM
from asr.ngram.estimation import NGramOptions, build_ngram, estimate_ngram

PRUNINGS = [(), (0, 1), (0, 0, 1), (0, 1, 2)]


def contexts_of(arpa):
    """Every context that the file knows, and some that it does not."""
    known = {gram for gram in arpa.grams if len(gram) < arpa.order and gram[-1] != "</s>"}
    return [(), *sorted(known), ("<unk>",), ("l", "<unk>")]


@pytest.fixture(params=[1, 2, 3, 4, 6], ids=lambda n: f"order{n}")
def order(request):
    return request.param


@pytest.fixture
def sentences(rng):
    return draw_sentences(rng, 150)


def read_back(tmp_path, lines, order, **options):
    path = tmp_path / "model.arpa"
    report = estimate_ngram(lines, order, path, NGramOptions(**options))
    return Arpa(path), report


@pytest.mark.parametrize("prune", PRUNINGS)
def test_probabilities_equal_the_textbook(tmp_path, rng, sentences, order, prune):
    prune = prune[:order]
    arpa, _ = read_back(tmp_path, sentences, order, prune=prune)
    full = [*prune, *[prune[-1] if prune else 0] * (order - len(prune))]
    textbook = KneserNey([s.split() for s in sentences], order, full)
    words = sorted(textbook.words)

    for _ in range(1000):
        # Half of the contexts are seen ones.
        context = tuple(rng.choice(words, size=rng.integers(order)))
        if rng.random() < 0.5:
            sentence = ("<s>", *sentences[rng.integers(len(sentences))].split())
            end = rng.integers(1, len(sentence) + 1)
            context = sentence[max(0, end - order + 1) : end] if order > 1 else ()
        word = str(rng.choice(words))
        expected = math.log10(textbook.probability(word, context))
        assert arpa.log10(word, context) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("prune", PRUNINGS)
def test_every_context_sums_to_one(tmp_path, sentences, order, prune):
    arpa, _ = read_back(tmp_path, sentences, order, prune=prune[:order])
    words = [gram[0] for gram in arpa.grams if len(gram) == 1 and gram != ("<s>",)]

    for context in contexts_of(arpa):
        total = sum(10 ** arpa.log10(word, context) for word in words)
        assert total == pytest.approx(1, abs=1e-6), context


@pytest.mark.parametrize("order", [2, 3, 4, 6])  # kenlm knows no unigram models
def test_kenlm_reads_and_scores_the_file(tmp_path, rng, sentences, order):
    path = tmp_path / "model.arpa"
    estimate_ngram(sentences, order, path)
    arpa, model = Arpa(path), kenlm.Model(str(path))

    assert model.order == order
    for sentence in ["", "a", "zebra", "a zebra b", *draw_sentences(rng, 100)]:
        assert model.score(sentence) == pytest.approx(arpa.score(sentence), abs=1e-5)


def test_orders_hold_what_the_text_holds(tmp_path, sentences, order):
    arpa, report = read_back(tmp_path, sentences, order)

    grams = Counter()
    for sentence in sentences:
        marked = ("<s>", *sentence.split(), "</s>")
        for n in range(1, order + 1):
            grams.update(marked[i : i + n] for i in range(len(marked) - n + 1))
    assert set(arpa.grams) == {*grams, ("<unk>",)}
    assert [arpa.declared[n] for n in range(1, order + 1)] == report.num_ngrams
    assert report.num_ngrams == [sum(len(g) == n for g in arpa.grams) for n in range(1, order + 1)]


def test_wide_keys_change_nothing(tmp_path, rng):
    # 5,000 further words make a word 13 bits wide and a 6-gram two keys.
    rare = [f"w{i}" for i in range(5000)]
    sentences = [*draw_sentences(rng, 100), *(" ".join(rare[i : i + 7]) for i in range(0, 5000, 7))]
    arpa, _ = read_back(tmp_path, sentences, 6)
    textbook = KneserNey([s.split() for s in sentences], 6)

    for sentence in sentences[::20]:
        marked = ("<s>", *sentence.split(), "</s>")
        for i in range(1, len(marked)):
            context = marked[max(0, i - 5) : i]
            expected = math.log10(textbook.probability(marked[i], context))
            assert arpa.log10(marked[i], context) == pytest.approx(expected, abs=1e-6)


def test_pruning_drops_what_was_seen_as_often(tmp_path, sentences):
    whole, _ = read_back(tmp_path, sentences, 3)
    pruned, report = read_back(tmp_path, sentences, 3, prune=(0, 1, 2))

    grams = Counter()
    for sentence in sentences:
        marked = ("<s>", *sentence.split(), "</s>")
        grams.update(marked[i : i + n] for n in (2, 3) for i in range(len(marked) - n + 1))
    dropped = set(whole.grams) - set(pruned.grams)
    assert dropped == {gram for gram, count in grams.items() if count <= len(gram) - 1}
    assert report.num_seen[2] - report.num_ngrams[2] == sum(len(gram) == 3 for gram in dropped) > 0


def test_vocabulary_limit_keeps_the_most_frequent_words(tmp_path):
    lines = ["a a a b b c d"] * 5 + ["d c"]

    arpa, report = read_back(tmp_path, lines, 2, vocab_size=3)

    # c and d are equally frequent; c came first.
    unigrams = {gram[0] for gram in arpa.grams if len(gram) == 1}
    assert unigrams == {"<unk>", "<s>", "</s>", "a", "b", "c"}
    assert report.num_unknown == 6


def test_vocabulary_limit_equals_writing_unk_by_hand(tmp_path, sentences):
    counts = Counter(word for sentence in sentences for word in sentence.split())
    kept = {word for word, _ in counts.most_common(8)}
    arpa, _ = read_back(tmp_path, sentences, 3, vocab_size=8)

    replaced = [[w if w in kept else "<unk>" for w in s.split()] for s in sentences]
    textbook = KneserNey(replaced, 3)
    for context in [(), ("<s>",), ("a", "b"), ("<unk>",), ("<unk>", "a")]:
        for word in textbook.words:
            expected = math.log10(textbook.probability(word, context))
            assert arpa.log10(word, context) == pytest.approx(expected, abs=1e-6)


def test_discounts_are_estimated_where_counts_allow(tmp_path, rng):
    sentences = draw_sentences(rng, 400)
    _, report = read_back(tmp_path, sentences, 3)
    textbook = KneserNey([s.split() for s in sentences], 3)

    assert report.discounts[2].estimated
    assert not report.discounts[0].estimated
    for ours, theirs in zip(report.discounts, textbook.discounts, strict=True):
        assert ours[:3] == pytest.approx(theirs, abs=1e-12)


def test_report_says_which_discounts_fell_back(tmp_path):
    _, report = read_back(tmp_path, ["a b", "a"], 2)

    assert "2-grams: 4 of 4; discounts 0.5000 1.0000 1.5000 (fallback" in str(report)
    assert "3 words in 2 sentences" in str(report)


def test_one_word_text(tmp_path, order):
    arpa, report = read_back(tmp_path, ["hello"], order)

    assert report.num_words == 1
    assert sum(10 ** arpa.log10(w, ("<s>",)) for w in ("hello", "</s>", "<unk>")) == pytest.approx(
        1
    )


def test_our_decoders_read_and_score_the_file(tmp_path, rng, sentences, order):
    path = tmp_path / "model.arpa"
    estimate_ngram(sentences, order, path)
    arpa, model = Arpa(path), NGramLM(path)

    for sentence in ["", "a", "zebra", "a zebra b", *draw_sentences(rng, 50)]:
        expected = arpa.score(sentence) * math.log(10)
        assert model.score(sentence, bos=True, eos=True) == pytest.approx(expected, abs=1e-4)


def test_kenlm_reads_orders_without_ngrams(tmp_path):
    path = tmp_path / "model.arpa"
    report = estimate_ngram(["a b", "c"], 5, path, NGramOptions(prune=(0, 0, 1)))

    assert report.num_ngrams == [6, 5, 0, 0, 0]
    expected = Arpa(path).score("a b c")
    assert kenlm.Model(str(path)).score("a b c") == pytest.approx(expected, abs=1e-5)
    assert NGramLM(path).score("a b c") == pytest.approx(expected * math.log(10), abs=1e-5)


@pytest.mark.parametrize("lines", [[], [""], ["", "  \t", "\n"]])
def test_text_without_words_is_refused(tmp_path, lines):
    with pytest.raises(ValueError, match="the text holds no words"):
        estimate_ngram(lines, 2, tmp_path / "model.arpa")
    assert list(tmp_path.iterdir()) == []


def test_empty_lines_are_skipped_and_counted(tmp_path):
    plain, _ = read_back(tmp_path, ["a b", "c"], 2)
    spaced, report = read_back(tmp_path, ["a b", "", " \n", "c"], 2)

    assert spaced.grams == plain.grams
    assert report.num_empty_lines == 2


@pytest.mark.parametrize("mark", ["<s>", "</s>", "<unk>"])
def test_sentence_marks_in_text_are_refused(tmp_path, mark):
    with pytest.raises(ValueError, match=f"line 3: text must not hold '{mark}'"):
        estimate_ngram(["a", "", f"b {mark} c"], 2, tmp_path / "model.arpa")


def test_words_that_look_like_marks_are_words(tmp_path):
    arpa, _ = read_back(tmp_path, ["<a> x<s> \\data\\ \\end\\ \\1-grams: ngram 1=2"], 2)

    assert ("<a>", "x<s>") in arpa.grams


def test_nul_characters_are_refused(tmp_path):
    with pytest.raises(ValueError, match="line 1: text must not hold NUL"):
        estimate_ngram(["a\0b"], 2, tmp_path / "model.arpa")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 0}, r"order must be in 1\.\.6, got 0"),
        ({"order": 7}, r"order must be in 1\.\.6, got 7"),
        ({"order": 2, "vocab_size": 0}, "vocab_size must be >= 1, got 0"),
        ({"order": 2, "prune": (1,)}, "start with 0"),
        ({"order": 3, "prune": (0, 2, 1)}, "never fall"),
        ({"order": 2, "prune": (0, 1, 1)}, "at most 2"),
        ({"order": 2, "memory": 0}, "memory must be >= 1 MiB, got 0"),
        ({"order": 2, "prune_entropy": 0.0}, "prune_entropy must be > 0, got 0.0"),
        ({"order": 2, "prune_entropy": math.nan}, "prune_entropy must be > 0, got nan"),
    ],
)
def test_bad_options_are_refused(tmp_path, options, message):
    rest = {name: value for name, value in options.items() if name != "order"}
    with pytest.raises(ValueError, match=message):
        estimate_ngram(["a b"], options["order"], tmp_path / "model.arpa", NGramOptions(**rest))


def test_failure_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.arpa"
    path.write_text("before")

    def fail(*_):
        raise OSError(28, "disk full")

    monkeypatch.setattr("asr.ngram.arpa._format", fail)
    with pytest.raises(OSError, match="disk full"):
        estimate_ngram(["a b"], 2, path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.arpa"]
    assert path.read_text() == "before"


def test_progress_names_every_step(tmp_path, sentences, capsys):
    options = NGramOptions(prune_entropy=1e-3, progress=True)

    estimate_ngram(sentences, 3, tmp_path / "model.arpa", options)

    shown = capsys.readouterr().err
    for step in ("reading", "counting", "cutting", "3-grams", "pruning 2-grams", "writing"):
        assert f"{step}: " in shown


def test_same_text_gives_the_same_file(tmp_path, sentences):
    estimate_ngram(sentences, 3, tmp_path / "a.arpa")
    estimate_ngram(iter(sentences), 3, tmp_path / "b.arpa")

    assert (tmp_path / "a.arpa").read_bytes() == (tmp_path / "b.arpa").read_bytes()


def test_files_equal_lines(tmp_path, sentences):
    plain, packed = tmp_path / "a.txt", tmp_path / "b.txt.gz"
    plain.write_text("\ufeff" + "\r\n".join(sentences[:70]) + "\r\n", encoding="utf-8")
    packed.write_bytes(gzip.compress("\n".join(sentences[70:]).encode()))

    report = build_ngram([plain, packed], 3, tmp_path / "files.arpa")
    estimate_ngram(sentences, 3, tmp_path / "lines.arpa")

    assert report.num_sentences == len(sentences)
    assert (tmp_path / "files.arpa").read_bytes() == (tmp_path / "lines.arpa").read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"good\nb\xff\n", r"a\.txt:2: not UTF-8"),
        ("a.txt", b"good\n</s>\n", r"a\.txt:2: text must not hold"),
        ("a.txt", None, r"a\.txt: cannot read .*No such file"),
        ("a.txt.gz", b"plain", r"a\.txt\.gz: cannot read"),
        ("a.txt.gz", gzip.compress(b"a b c\n" * 1000, mtime=0)[:-9], r"a\.txt\.gz: cannot read"),
    ],
)
def test_bad_text_file_is_named(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(ValueError, match=message):
        build_ngram([tmp_path / name], 2, tmp_path / "model.arpa")


@settings(deadline=None)
@given(
    lines=st.lists(st.lists(st.sampled_from("abc"), max_size=5).map(" ".join), min_size=1),
    order=st.integers(1, 4),
    threshold=st.integers(0, 2),
)
def test_any_text_equals_the_textbook(tmp_path_factory, lines, order, threshold):
    lines.append("a")
    prune = [0, *[threshold] * (order - 1)]
    arpa, _ = read_back(tmp_path_factory.mktemp("any"), lines, order, prune=prune)
    textbook = KneserNey([line.split() for line in lines if line], order, prune)

    for context in itertools.product(("a", "b", "<unk>"), repeat=min(2, order - 1)):
        for word in ("a", "c", "</s>", "<unk>"):
            p = textbook.probability(word if word in textbook.words else "<unk>", context)
            assert 10 ** arpa.log10(word, context) == pytest.approx(p, abs=1e-6)


@pytest.fixture(scope="module")
def books(real_speech, tmp_path_factory):
    path = tmp_path_factory.mktemp("books") / "books.arpa"
    report = build_ngram([real_speech / "lm" / "gutenberg_5books.txt.gz"], 3, path)
    return path, report


def test_real_text_gives_lmplz_discounts_and_probabilities(books):
    # KenLM 4cb443e, `lmplz -o 3` on the same text: its printed discounts and lines of its file.
    # All 829,456 n-grams agree to 5e-7, the rounding of the seventh decimal.
    path, report = books
    arpa = Arpa(path)

    assert report.num_ngrams == [24551, 258100, 546805]
    assert report.discounts[0][:3] == pytest.approx((0.557595, 1.0041, 1.52318), rel=5e-6)
    assert report.discounts[1][:3] == pytest.approx((0.762904, 1.10871, 1.36662), rel=5e-6)
    assert report.discounts[2][:3] == pytest.approx((0.862917, 1.1846, 1.41574), rel=5e-6)
    for gram, expected in {
        "<unk>": (-5.3856414, 0),
        "</s>": (-1.4761025, 0),
        "the": (-1.8958428, -0.52840567),
        "of the": (-0.90377915, -0.37232777),
        "emma woodhouse": (-2.1392753, -0.064030945),
        "emma woodhouse handsome": (-1.5363241,),
        "virtue of the": (-0.96708137,),
    }.items():
        key = tuple(gram.split())
        assert arpa.grams[key][: len(expected)] == pytest.approx(expected, abs=1e-6)


def test_real_text_sums_to_one(books):
    path, _ = books
    model = kenlm.Model(str(path))
    words = [gram[0] for gram in Arpa(path).grams if len(gram) == 1 and gram != ("<s>",)]

    for context in ["", "emma", "of the", "call me", "zebra", "the zebra"]:
        state, scored = kenlm.State(), kenlm.State()
        model.BeginSentenceWrite(state)
        for word in context.split():
            model.BaseScore(state, word, scored)
            state, scored = scored, kenlm.State()
        total = np.sum(10.0 ** np.array([model.BaseScore(state, w, scored) for w in words]))
        # kenlm computes in float32.
        assert total == pytest.approx(1, abs=2e-5)
