import pytest

from asr.text.numbers import NumberSpeller, spoken_languages


@pytest.mark.parametrize(
    ("language", "text", "spelled"),
    [
        ("en", "21", "twenty-one"),
        ("en", "0", "zero"),
        ("en", "1,000 and 999,999,999,999", "one thousand and nine hundred ninety-nine billion nine"
         " hundred ninety-nine million nine hundred ninety-nine thousand nine hundred ninety-nine"),
        ("en", "3.05", "three point zero five"),
        ("en", "-7", "minus seven"),
        ("en", "in 1984, (2005)", "in nineteen eighty-four, (two thousand five)"),
        ("en", "1st 2nd 3rd 21ST", "first second third twenty-first"),
        ("en", "$20.50", "twenty dollars fifty cents"),
        ("en", "$1 $1.01 \u00a31.01", "one dollar one dollar one cent one pound one penny"),
        ("en", "$20.", "twenty dollars."),
        ("en", "$1.5 billion", "one point five billion dollars"),
        ("de", "1.234 und 3,5", "eintausendzweihundertvierunddreißig und drei Komma fünf"),
        ("de", "1 \u20ac 20,50 \u20ac", "ein Euro zwanzig Euro fünfzig"),
        ("de", "Es sind 3.", "Es sind drei."),
        (
            "fr",
            "1er 2e 1\u202f000 21 \u20ac 1 000,5",
            "premier deuxième mille vingt-et-un euros mille virgule cinq",
        ),
        ("es", "3\u00ba 3\u00aa", "tercero tercera"),
        ("tr", "1984 3,5", "bin dokuz yüz seksen dört üç virgül beş"),
        ("ru", "21", "двадцать один"),
        ("zh", "\u670921\u4e2a", "有二十一个"),
        ("th", "21", "ยี่สิบเอ็ด"),
        ("ar", "\u0662\u0661", "واحد وعشرون"),
    ],
)  # fmt: skip
def test_numbers_are_spelled(language, text, spelled):
    found, count, unspelled = NumberSpeller(language).spell(text)

    assert found == spelled
    assert count > 0
    assert unspelled == []


@pytest.mark.parametrize(
    ("language", "number"),
    [
        ("en", "10:30"),
        ("en", "12/05/2024"),
        ("en", "3-4"),
        ("en", "007"),
        ("en", "A4"),
        ("en", "2,5"),
        ("en", "1,00"),
        ("en", "1.2.3"),
        ("en", "1000000000000"),
        ("en", "555-1234"),
        ("en", "$1.234"),
        ("en", "@3"),
        ("de", "3.5"),
        ("ru", "3,5"),
        ("zh", "2"),
        ("zh", "1984"),
    ],
)
def test_what_has_several_readings_is_left_and_listed(language, number):
    text = {"zh": f"有{number}年"}.get(language, f"a {number} b")

    assert NumberSpeller(language).spell(text) == (text, 0, [number])


def test_german_ordinal_has_a_case_that_figures_do_not_tell():
    assert NumberSpeller("de").spell("am 3. Mai") == ("am 3. Mai", 0, ["3."])


def test_language_without_rules_is_refused():
    with pytest.raises(ValueError, match="'eu' cannot be spelled"):
        NumberSpeller("eu")


@pytest.mark.parametrize("language", sorted(spoken_languages()))
def test_every_number_of_a_language_is_spelled_apart(language):
    speller = NumberSpeller(language)
    numbers = [*range(121), *range(200, 1000, 100), *range(1000, 10000, 1000), 10**5, 10**6]

    spelled = [speller.spell(str(n)) for n in numbers]

    assert not any(unspelled for _, _, unspelled in spelled)
    assert len({words for words, _, _ in spelled}) == len(numbers)
