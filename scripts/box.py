"""The model in the box: what it is trained on, and its file.

    python scripts/box.py texts data/box
    python scripts/box.py join data/box SPEECH_COMMANDS AN4 SPEECHOCEAN762 LIBRISPEECH
    python scripts/box.py pack runs/box/ckpt/best.ckpt asr/recognition/box.ckpt

`texts` writes words.txt and phrases.txt, which `asr prepare synth --text` reads aloud into
data/box/{words,phrases}. `join` puts that and the speech of folders that `asr prepare` wrote into
data/box/{train,dev}.jsonl; both give the same bytes every time. `pack` makes the small file of a
checkpoint, whose words are pronounced as scripts/box.dict says, and, beside it, box.txt with the
words that it searches. scripts/train_box.sh calls all three.
"""

import argparse
import random
import shutil
import string
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from asr.acoustic.shrinking import shrink_checkpoint
from asr.corpora.connected_digits import ConnectedDigits, save_strings
from asr.data.manifest import Utterance, read_manifest, write_manifest
from asr.files import write_atomically
from asr.synth.folder import NORMALIZER_NAME
from asr.synth.grammar import MONTHS, ONES, ORDINALS, SPLITS, TENS, cardinal, ordinal
from asr.text import PhoneTokenizer

SEED = 1
SAMPLE_RATE = 16000
DIGITS = ONES[:10]
# Those of Speech Commands beside the digits, and AN4's.
WORDS = (
    *("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "backward", "bed"),
    *("bird", "cat", "dog", "follow", "forward", "happy", "house", "learn", "marvin", "sheila"),
    *("tree", "visual", "wow"),
)
CONTROLS = ("start", "help", "repeat", "enter", "erase", "rubout")
SCALES = ("hundred", "thousand", "million")
# Voice and dictionary take a single "a" for the article: of the letter they are told by this name.
SPOKEN_A = "ay"
DICTIONARY = Path(__file__).with_name("box.dict")
LETTERS = (SPOKEN_A, *string.ascii_lowercase[1:])
SINGLE = (
    *(*WORDS, *DIGITS, *CONTROLS, *LETTERS, *ONES[10:], *TENS, *MONTHS, *ORDINALS, "thirtieth"),
    *(*SCALES, "oh"),
)

# Speakers that single digits are shuffled among before they are joined: most said one or two.
NUM_GROUPS = 8
FACTS = {
    "card": "docs/box.md",
    "speech": "Speech Commands (CC BY 4.0), CMU AN4 (BSD-style), speechocean762 (Apache-2.0), "
    "LibriSpeech (CC BY 4.0), synthetic voices",
}
# Strings of words and of digits that are joined from the clips of a split.
NUM_STRINGS = {"train": (600, 250), "dev": (60, 30)}
# So often an epoch goes through the sets that are small.
AN4_REPEATS, DIGITS_REPEATS = 3, 2
# So many sentences of speechocean762 take part in choosing the epoch.
NUM_SENTENCES = 150


def spell_number(number: int, *, british: bool = False) -> str:
    """Spell 0..999,999,999; "and" stands after hundreds where it is British."""
    for scale, name in ((1_000_000, "million"), (1_000, "thousand")):
        if number >= scale:
            many, rest = divmod(number, scale)
            words = f"{spell_number(many, british=british)} {name}"
            return f"{words} {spell_number(rest, british=british)}" if rest else words
    words = cardinal(number)
    return words if british else words.replace(" and ", " ")


def _number(rng: random.Random) -> str:
    number = rng.randrange(10 ** rng.randint(2, 7))
    return spell_number(number, british=rng.random() < 0.2)


def _digits(rng: random.Random) -> str:
    zero = rng.choice(("zero", "zero", "oh"))
    return " ".join(rng.choices([zero, *DIGITS[1:]], k=rng.randint(2, 7)))


def _letters(rng: random.Random) -> str:
    return " ".join(rng.choices(LETTERS, k=rng.randint(2, 7)))


def _commands(rng: random.Random) -> str:
    return " ".join(rng.choices([*WORDS, *CONTROLS], k=rng.randint(2, 3)))


def _command_and_value(rng: random.Random) -> str:
    value = rng.choice((_digits, _letters, _number))(rng)
    return f"{rng.choice([*CONTROLS, *WORDS])} {value}"


def _code(rng: random.Random) -> str:
    return f"{_letters(rng)} {spell_number(rng.randrange(1000))}"


def _date(rng: random.Random) -> str:
    year = f"{spell_number(rng.randint(17, 20))} {spell_number(rng.randint(10, 99))}"
    day = f"{rng.choice(tuple(MONTHS))} {ordinal(rng.randint(1, 31))}"
    return f"{day} {year}" if rng.random() < 0.7 else day


def _time(rng: random.Random) -> str:
    minute = rng.randrange(60)
    tail = f"oh {DIGITS[minute]}" if minute < 10 else spell_number(minute)
    half = f" {rng.choice([SPOKEN_A, 'p'])} m" if rng.random() < 0.5 else ""
    return f"{spell_number(rng.randint(1, 12))}{f' {tail}' if minute else ''}{half}"


# How many of each kind are drawn.
KINDS: dict[Callable[[random.Random], str], int] = {
    _commands: 500,
    _digits: 700,
    _number: 700,
    _letters: 900,
    _command_and_value: 400,
    _code: 300,
    _date: 300,
    _time: 200,
}


def draw_phrases() -> list[str]:
    """Draw the phrases, each once."""
    rng = random.Random(SEED)
    phrases = [draw(rng) for draw, count in KINDS.items() for _ in range(count)]
    return list(dict.fromkeys(phrases))


def _read(folder: Path, split: str, name: str, times: int = 1) -> Iterator[Utterance]:
    """Give a set's utterances, under names that no other set has."""
    for utterance in read_manifest(folder / f"{split}.jsonl"):
        for turn in range(times):
            identity = f"{name}-{turn}-{utterance.id}"
            yield replace(utterance, extra={"id": identity, "speaker": _speaker(utterance)})


def _speaker(utterance: Utterance) -> str:
    return str(utterance.extra.get("speaker", "unknown"))


def _digit_strings(utterances: Iterable[Utterance]) -> list[Utterance]:
    return [u for u in utterances if set(u.text.split()) <= set(DIGITS)]


def _join_words(clips: list[Utterance], out: Path, split: str) -> list[Utterance]:
    """Join clips to strings of words: of one speaker, and of digits alone by several."""
    shuffled = random.Random(SEED).sample(clips, len(clips))
    mixed = [
        replace(u, extra=u.extra | {"speaker": f"group{number % NUM_GROUPS}"})
        for number, u in enumerate(_digit_strings(shuffled))
    ]
    num_words, num_digits = NUM_STRINGS[split]
    pauses = {"min_pause_s": 0.01, "max_pause_s": 0.15}
    words = ConnectedDigits(clips, num_words, SEED, min_digits=2, max_digits=4, **pauses)
    digits = ConnectedDigits(mixed, num_digits, SEED, min_digits=2, max_digits=5, **pauses)
    strings = [*words.utterances(0), *digits.utterances(0)]
    return save_strings(strings, out / "strings" / split, SAMPLE_RATE)


def _spelled(utterance: Utterance) -> Utterance:
    words = [SPOKEN_A if word == "a" else word for word in utterance.text.split()]
    return replace(utterance, text=" ".join(words))


def join(
    out: Path, speech_commands: Path, an4: Path, speechocean762: Path, librispeech: Path
) -> None:
    """Write train.jsonl and dev.jsonl."""
    # A test set of synthetic speech says nothing about people: all of it is for training.
    read = [_read(out / part, s, part) for part in ("words", "phrases") for s in SPLITS]
    splits = {"train": [u for part in read for u in part], "dev": []}
    for split, utterances in splits.items():
        clips = list(_read(speech_commands, split, "speech_commands"))
        utterances += [*clips, *_join_words(clips, out, split)]
    train, dev = splits.values()
    # What AN4 calls "a" are letters.
    train += [_spelled(u) for u in _read(an4, "train", "an4", AN4_REPEATS)]
    train += _digit_strings(_read(speechocean762, "train", "digits", DIGITS_REPEATS))
    train += _read(speechocean762, "train", "speechocean762")
    train += _read(librispeech, "train", "librispeech")
    read_aloud = list(_read(speechocean762, "dev", "speechocean762"))
    digits = _digit_strings(read_aloud)
    sentences = [utterance for utterance in read_aloud if utterance not in digits]
    dev += digits
    dev += random.Random(SEED).sample(sentences, min(NUM_SENTENCES, len(sentences)))
    shutil.copyfile(out / "words" / NORMALIZER_NAME, out / NORMALIZER_NAME)
    for split, utterances in splits.items():
        write_manifest(out / f"{split}.jsonl", utterances)
        hours = sum(u.duration for u in utterances) / 3600
        print(f"{split}: {len(utterances)} utterances, {hours:.2f} h")


def write_texts(out: Path) -> None:
    """Write words.txt and phrases.txt."""
    out.mkdir(parents=True, exist_ok=True)
    for name, texts in (("words", dict.fromkeys(SINGLE)), ("phrases", draw_phrases())):
        write_atomically(out / f"{name}.txt", "".join(f"{text}\n" for text in texts))


def pack(checkpoint: Path, path: Path) -> None:
    """Write the small file of a checkpoint, and its words."""
    shrink_checkpoint(checkpoint, path, FACTS, PhoneTokenizer.from_file(DICTIONARY))
    words = {*SINGLE, "and", "a"} - {SPOKEN_A}
    write_atomically(path.with_suffix(".txt"), "".join(f"{word}\n" for word in sorted(words)))
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


STEPS = {"texts": write_texts, "join": join, "pack": pack}


def main() -> None:
    """Run a step with its paths."""
    parser = argparse.ArgumentParser(description="What the model in the box is made of.")
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("paths", type=Path, nargs="+", help="as above")
    args = parser.parse_args()
    STEPS[args.step](*args.paths)


if __name__ == "__main__":
    main()
