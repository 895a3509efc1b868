"""The sentences of the embedded corpus: what people say to a house, a phone and a calendar.

A rule is a tuple of alternatives, equally likely; `<rule>` stands for a rule or for a generator of
numbers, times, dates or letters. A single capital is a letter's name ("spell K A T E"), so that
the voice tells the letter A from the article; the transcript is lower case.

Why slots rather than a list of sentences: training and test share every word and no sentence.
"""

from __future__ import annotations

import hashlib
import random
import re
import string
from collections.abc import Callable
from typing import Literal

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")

ALPHABET = "abcdefghijklmnopqrstuvwxyz' "

RULES: dict[str, tuple[str, ...]] = {
    "sentence": (
        *("<alarm>", "<phone>", "<home>", "<home>", "<home>", "<reminder>", "<reminder>"),
        *("<calendar>", "<calendar>", "<weather>", "<weather>", "<music>", "<music>", "<travel>"),
        *("<shopping>", "<shopping>", "<letters>", "<letters>", "<sum>", "<money>", "<place>"),
    ),
    "alarm": (
        "set an alarm for <time> on <weekday>",
        "set an alarm for <time> tomorrow <daytime>",
        "wake me up at <time> on <weekday>",
        "cancel the alarm at <time> <when>",
        "set a timer for <small> minutes",
        "start a timer for <small> hours and <small> minutes",
        "stop the timer after <small> seconds",
    ),
    "phone": (
        "call <person> at <digits>",
        "call <person> on <digits> <when>",
        "call my <family> <when>",
        "dial <digits> please",
        "dial extension <digits>",
        "the number of <person> is <digits>",
        "save the number <digits> for <name>",
    ),
    "home": (
        "turn the <room> <device> <on_off>",
        "turn <on_off> the <device> in the <room>",
        "turn the <device> in the <room> <on_off> <when>",
        "turn the <room> lights down to <number> percent",
        "make the <room> lights <colour> please",
        "paint the <room> <colour> and <colour>",
        "set the heating in the <room> to <small> degrees",
        "open the <opening> in the <room> at <time>",
        "close the <room> <opening> after <time>",
        "lock the <side> door at <time>",
    ),
    "reminder": (
        "remind me to <task> on <date>",
        "remind me to <task> at <time>",
        "remind me to <task> <when>",
        "remind <name> to <task> on <weekday>",
        "don't forget to <task> before <date>",
        "i have to <task> before <time>",
        "did <name> <task> on <weekday>",
    ),
    "calendar": (
        "what's on my calendar on <date>",
        "what's on my calendar for <weekday> <daytime>",
        "move the <event> with <person> to <date>",
        "move the <event> from <weekday> to <weekday>",
        "my <event> with <person> is at <time>",
        "the <event> starts at <time> on <date>",
        "tell <person> the <event> is on <date>",
        "send a message to <person> about the <event>",
    ),
    "weather": (
        "will it <fall> in <city> on <weekday>",
        "will it <fall> in <city> <when>",
        "how <warm> is it in <city> <when>",
        "how <warm> was it in <city> on <date>",
        "it was <number> degrees and <warm> in <city>",
        "show me the weather in <city> on <date>",
    ),
    "music": (
        "play some <genre> in the <room>",
        "play some <genre> music for <small> minutes",
        "play <genre> in the <room> at <time>",
        "play the <ordinal> <genre> song again",
        "skip to song number <number>",
        "turn the volume up to <number> percent",
        "turn the volume down to <number> please",
        "switch to radio station <number>",
        "stop the music in the <room> after <small> songs",
    ),
    "travel": (
        "the <vehicle> to <city> leaves at <time>",
        "the <vehicle> from <city> arrives at <time>",
        "book a <vehicle> to <city> for <date>",
        "book a <vehicle> from <city> to <city>",
        "how far is it from <city> to <city>",
        "i'm flying to <city> on <date>",
        "find a hotel in <city> for <small> nights",
    ),
    "shopping": (
        "add <small> <item> to the shopping list",
        "add <item> and <item> to my list",
        "we need <item> and <small> <item>",
        "buy <small> bottles of <drink>",
        "get some <item> and a bottle of <drink>",
        "order <drink> and <item> for <name>",
        "remove the <drink> and the <item> from my list",
    ),
    "letters": (
        "spell <spelled_name> for <person>",
        "spell the name of my <family> <spelled_name>",
        "my name is <name_and_spelling>",
        "call <name_and_spelling> <when>",
        "the <event> is in the city of <city_and_spelling>",
        "the code is <code>",
        "type the letters <code>",
        "enter code <code> please",
    ),
    "sum": (
        "what is <number> plus <number>",
        "what is <hundreds> minus <number>",
        "what is <small> times <number>",
        "count from <number> to <number>",
        "<number> and <small> is <number>",
    ),
    "money": (
        "pay <hundreds> dollars to <person>",
        "send <number> dollars to <name> <when>",
        "the <item> cost <number> dollars",
        "my <family> paid <hundreds> pounds for the <event>",
        "<name> owes me <number> pounds",
    ),
    "place": (
        "the <event> is on the <ordinal> floor",
        "meet <name> at gate <letter> <small> at <time>",
        "meet my <family> on level <small> at <time>",
        "take the <ordinal> street on the <hand>",
        "turn <hand> after <hundreds> metres",
        "i parked in row <letter> on level <small>",
    ),
    "person": ("<name>", "doctor <name>", "my <family>"),
    "name": (
        *("kate", "john", "peter", "mary", "david", "susan", "victor", "helen", "george", "julia"),
        *("max", "emma", "frank", "zoe"),
    ),
    "family": ("mother", "father", "sister", "brother"),
    "city": (
        *("london", "paris", "berlin", "madrid", "boston", "chicago", "sydney", "dublin"),
        *("vienna", "quebec"),
    ),
    "room": (
        *("kitchen", "bedroom", "bathroom", "living room", "garage", "hall", "office", "garden"),
    ),
    "device": ("lights", "lamp", "fan", "heater", "radio"),
    "on_off": ("on", "off"),
    "opening": ("window", "door", "curtains"),
    "side": ("front", "back"),
    "colour": ("red", "green", "blue", "yellow", "white"),
    "warm": ("warm", "cold", "windy", "sunny"),
    "fall": ("rain", "snow", "be sunny", "be windy"),
    "genre": ("jazz", "rock", "piano", "dance"),
    "vehicle": ("train", "bus", "flight", "taxi"),
    "event": ("meeting", "lunch", "dinner", "party", "lesson", "concert", "interview"),
    "item": (
        *("apples", "bananas", "potatoes", "tomatoes", "onions", "carrots", "eggs", "lemons"),
        *("cookies", "candles", "flowers"),
    ),
    "drink": ("milk", "water", "juice", "wine", "coffee"),
    "task": (
        *("water the plants", "feed the cat", "walk the dog", "pay the rent", "wash the car"),
        *("clean the bathroom", "pick up the children", "fix the heater", "return the books"),
        *("call the bank", "send the letter", "buy some bread", "take my medicine"),
        *("bring the keys", "print the tickets"),
    ),
    "hand": ("left", "right"),
    "when": ("today", "tomorrow", "tonight", "this <daytime>", "next week", "next <weekday>"),
    "daytime": ("morning", "afternoon", "evening"),
    "weekday": (*("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),),
    "time": (
        *("<hour> o'clock", "<hour> <minute>", "<hour> <minute>", "half past <hour>"),
        *("quarter past <hour>", "quarter to <hour>", "<hour> A M", "<hour> <minute> P M"),
    ),
    "date": ("the <day>", "<month_day>"),
}

ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
ORDINALS = (
    *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"),
    *("tenth", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth"),
    *("seventeenth", "eighteenth", "nineteenth", "twentieth"),
)
MONTHS = {
    **{"january": 31, "february": 29, "march": 31, "april": 30, "may": 31, "june": 30},
    **{"july": 31, "august": 31, "september": 30, "october": 31, "november": 30, "december": 31},
}

_SLOT = re.compile(r"<(\w+)>")
_SPLIT_BUCKETS = 10


def cardinal(number: int) -> str:
    """Write a number of 0..999 in words: 125 is "one hundred and twenty five"."""
    if number < len(ONES):
        return ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return TENS[tens - 2] + (f" {ONES[ones]}" if ones else "")
    hundreds, rest = divmod(number, 100)
    return f"{ONES[hundreds]} hundred" + (f" and {cardinal(rest)}" if rest else "")


def ordinal(number: int) -> str:
    """Write the place of 1..31 in words: 22 is "twenty second"."""
    if number <= len(ORDINALS):
        return ORDINALS[number - 1]
    tens, ones = divmod(number, 10)
    return f"{TENS[tens - 2]} {ORDINALS[ones - 1]}" if ones else "thirtieth"


def split_of(text: str) -> Split:
    """Tell which split owns a transcript: 8 in 10 train, 1 dev, 1 test, by a hash of the text."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    bucket = int.from_bytes(digest, "big") % _SPLIT_BUCKETS
    return "dev" if bucket == 0 else "test" if bucket == 1 else "train"


def compose(rng: random.Random) -> str:
    """Make up one sentence as it is to be spoken (letters' names as single capitals)."""
    return _expand("<sentence>", rng)


def compose_for(split: Split, rng: random.Random) -> str:
    """Make up sentences until one belongs to `split`."""
    while True:
        sentence = compose(rng)
        if split_of(transcript(sentence)) == split:
            return sentence


def transcript(spoken: str) -> str:
    """Write a spoken sentence as training sees it."""
    return spoken.lower()


def vocabulary() -> set[str]:
    """Collect every word that a transcript can hold."""
    words = {*ONES, *TENS, *ORDINALS, *MONTHS, "thirtieth", "hundred", "and", "of", "spelled"}
    words |= set(string.ascii_lowercase)
    for alternatives in RULES.values():
        for template in alternatives:
            words |= set(_SLOT.sub(" ", template).lower().split())
    return words


def _expand(template: str, rng: random.Random) -> str:
    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        if name in _GENERATORS:
            return _GENERATORS[name](rng)
        return _expand(_pick(RULES[name], rng), rng)

    return _SLOT.sub(fill, template)


def _pick(choices: tuple[str, ...], rng: random.Random) -> str:
    return choices[_draw(rng, 0, len(choices) - 1)]


def _draw(rng: random.Random, low: int, high: int) -> int:
    """Draw an integer of low..high; from `random()`, whose values no Python version may change."""
    return low + int(rng.random() * (high - low + 1))


def _hour(rng: random.Random) -> str:
    return cardinal(_draw(rng, 1, 12))


def _minute(rng: random.Random) -> str:
    return cardinal(5 * _draw(rng, 2, 11))


def _small(rng: random.Random) -> str:
    return cardinal(_draw(rng, 2, 20))


def _number(rng: random.Random) -> str:
    return cardinal(_draw(rng, 2, 99))


def _hundreds(rng: random.Random) -> str:
    """Round hundreds half of the time: full ones are long."""
    hundred = 100 * _draw(rng, 1, 9)
    return cardinal(hundred if rng.random() < 0.5 else hundred + _draw(rng, 1, 99))


def _digits(rng: random.Random) -> str:
    return " ".join(ONES[_draw(rng, 0, 9)] for _ in range(_draw(rng, 3, 6)))


def _day(rng: random.Random) -> str:
    month = _pick(tuple(MONTHS), rng)
    return f"{ordinal(_draw(rng, 1, MONTHS[month]))} of {month}"


def _month_day(rng: random.Random) -> str:
    month = _pick(tuple(MONTHS), rng)
    return f"{month} {ordinal(_draw(rng, 1, MONTHS[month]))}"


def _ordinal(rng: random.Random) -> str:
    return ordinal(_draw(rng, 1, 20))


def _letter(rng: random.Random) -> str:
    return _pick(tuple(string.ascii_uppercase), rng)


def _code(rng: random.Random) -> str:
    """Letters, half of the time with digits behind them."""
    letters = [_letter(rng) for _ in range(_draw(rng, 3, 5))]
    digits = [ONES[_draw(rng, 0, 9)] for _ in range(_draw(rng, 1, 3))]
    return " ".join(letters + (digits if rng.random() < 0.5 else []))


def _spelled_name(rng: random.Random) -> str:
    return " ".join(_pick(RULES["name"], rng).upper())


def _name_and_spelling(rng: random.Random) -> str:
    name = _pick(RULES["name"], rng)
    return f"{name} spelled {' '.join(name.upper())}"


def _city_and_spelling(rng: random.Random) -> str:
    city = _pick(RULES["city"], rng)
    return f"{city} {' '.join(city.upper())}"


_GENERATORS: dict[str, Callable[[random.Random], str]] = {
    **{"hour": _hour, "minute": _minute, "small": _small, "number": _number, "digits": _digits},
    **{"hundreds": _hundreds, "day": _day, "month_day": _month_day, "ordinal": _ordinal},
    **{"letter": _letter, "code": _code, "spelled_name": _spelled_name},
    **{"city_and_spelling": _city_and_spelling, "name_and_spelling": _name_and_spelling},
}
