import pytest

from oracles.scoring import edit_distance, edits, sclite_split


@pytest.mark.parametrize(
    ("reference", "hypothesis", "distance"),
    [
        ("", "", 0),
        ("", "ab", 2),
        ("ab", "", 2),
        ("abc", "abc", 0),
        ("kitten", "sitting", 3),
        ("saturday", "sunday", 3),
    ],
)
def test_edit_distance_of_textbook_pairs(reference, hypothesis, distance):
    assert edit_distance(reference, hypothesis) == distance


def test_edits_of_one_symbol_each():
    assert edits("a", "b") == {(0, 0, 1), (1, 1, 0)}
    assert edits("a", "a") == {(0, 0, 0), (1, 1, 0)}


def test_sclite_prefers_two_gaps_to_two_substitutions():
    # Costs 3 + 3 = 6 against 4 + 4 = 8.
    assert sclite_split("xa", "ab") == {(1, 1, 0)}


def test_sclite_accepts_more_errors_than_necessary():
    # Three insertions and three deletions cost 18, five substitutions 20.
    assert sclite_split("xyzab", "abpqr") == {(3, 3, 0)}
    assert edit_distance("xyzab", "abpqr") == 5
