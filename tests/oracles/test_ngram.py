import math

import pytest

from oracles.ngram import Arpa, EntropyPruned, KneserNey, discounts

# <s> a b </s> and <s> a </s>: bigrams <s> a twice, a b, b </s>, a </s> once each.
# Words before: a after {<s>}, b after {a}, </s> after {a, b}: 1, 1, 2, in all 4.
# Both orders fall back to 0.5, 1, 1.5; the vocabulary is a, b, </s>, <unk>: uniform 1/4.
CORPUS = [["a", "b"], ["a"]]


def test_adjusted_counts_by_hand():
    model = KneserNey(CORPUS, order=2)

    assert model.adjusted == {
        ("a",): 1,
        ("b",): 1,
        ("</s>",): 2,
        ("<s>", "a"): 2,
        ("a", "b"): 1,
        ("a", "</s>"): 1,
        ("b", "</s>"): 1,
    }


@pytest.mark.parametrize(
    ("word", "context", "expected"),
    [
        # gamma() = (0.5 + 0.5 + 1) / 4 = 1/2
        ("a", (), 0.5 / 4 + 0.5 / 4),
        ("</s>", (), 1 / 4 + 0.5 / 4),
        ("<unk>", (), 0.5 / 4),
        # gamma(<s>) = 1 / 2, gamma(a) = (0.5 + 0.5) / 2, gamma(b) = 0.5 / 1
        ("a", ("<s>",), 1 / 2 + 0.5 * 0.25),
        ("b", ("a",), 0.5 / 2 + 0.5 * 0.25),
        ("</s>", ("a",), 0.5 / 2 + 0.5 * 0.375),
        ("</s>", ("b",), 0.5 + 0.5 * 0.375),
        ("a", ("b",), 0.5 * 0.25),
        ("a", ("<unk>",), 0.25),
    ],
)
def test_probabilities_by_hand(word, context, expected):
    model = KneserNey(CORPUS, order=2)

    assert model.probability(word, context) == pytest.approx(expected, abs=1e-15)


def test_discounts_by_hand():
    # t = 10, 4, 2, 1: Y = 10 / 18.
    adjusted = [1] * 10 + [2] * 4 + [3] * 2 + [4]

    assert discounts(adjusted) == pytest.approx((1 - 4 / 9, 2 - 5 / 6, 3 - 10 / 9), abs=1e-15)


def test_discounts_fall_back_without_counts():
    assert discounts([1, 1, 1]) == (0.5, 1.0, 1.5)


def test_pruned_mass_goes_to_the_shorter_context():
    model = KneserNey(CORPUS, order=2, prune=[0, 1])

    # Nothing after a is kept, so that all of it backs off; after <s> a stays.
    assert model.probability("b", ("a",)) == pytest.approx(0.25, abs=1e-15)
    assert model.probability("a", ("<s>",)) == pytest.approx(0.625, abs=1e-15)


@pytest.mark.parametrize(
    ("gram", "expected"),
    [
        # Of a, b, </s>, a, </s> one follows b. It leaves 0.3125 to the others with weight 1/2;
        # without "b </s>" the weight is 1.
        (("b", "</s>"), (0.6875 * math.log(0.6875 / 0.375) + 0.3125 * math.log(1 / 2)) / 5),
        # Two follow a. The weight goes from 1/2 to (1 - 0.4375) / (1 - 0.375) = 0.9, and b from
        # 0.375 to 0.9 / 4; a and <unk> had 0.1875 together.
        (("a", "b"), (0.375 * math.log(0.375 / 0.225) + 0.1875 * math.log(0.5 / 0.9)) * 2 / 5),
    ],
)
def test_entropy_of_a_lost_ngram_by_hand(gram, expected):
    assert EntropyPruned(KneserNey(CORPUS, order=2), 1e-9).loss(gram) == pytest.approx(expected)


def test_entropy_pruning_by_hand():
    # e^D - 1 is 0.0408 for "b </s>", 0.0331 for "a b", more for "<s> a", less for "a </s>":
    # 0.4 (0.4375 ln(0.4375 / 0.3125) + 0.1875 ln(0.5 / 0.8333)) = 0.0206.
    pruned = EntropyPruned(KneserNey(CORPUS, order=2), 0.035)

    assert pruned.retained == {("<s>", "a"), ("b", "</s>")}
    assert pruned.probability("b", ("a",)) == pytest.approx(0.25, abs=1e-15)
    assert pruned.probability("</s>", ("b",)) == pytest.approx(0.6875, abs=1e-15)


def test_arpa_scoring_by_hand(tmp_path):
    path = tmp_path / "hand.arpa"
    path.write_text(
        "\\data\\\nngram 1=4\nngram 2=1\n\n\\1-grams:\n-1.0\t<unk>\n-99\t<s>\t-0.5\n-0.25\t</s>\n"
        "-0.75\ta\t-0.125\n\n\\2-grams:\n-0.0625\t<s> a\n\n\\end\\\n"
    )
    arpa = Arpa(path)

    assert arpa.declared == {1: 4, 2: 1}
    assert arpa.score("a") == -0.0625 - 0.125 - 0.25
    assert arpa.score("a a") == -0.0625 - 0.125 - 0.75 - 0.125 - 0.25
    assert arpa.score("b") == -0.5 - 1.0 - 0.25
    assert arpa.score("") == -0.5 - 0.25
