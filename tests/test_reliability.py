"""Small forms of what docs/reliability.md counts; tests/reliability.py is the large one."""

from collections import Counter

import numpy as np
import pytest
import tones
from damaged_files import Kind, make_kinds, spoil
from damaged_readers import READ, REFUSED, outcome_of, read_damaged
from doomed_reader import read_or_die

from asr.audio import AudioError
from asr.recognition.recognizer import Recognizer

# The first holds a bomb, where the kind has one.
FILES_OF_A_KIND = 12


def test_damaged_files_are_read_or_refused_by_name_and_pickles_stay_shut(tmp_path):
    marker = tmp_path / "marker"
    kinds = make_kinds(tmp_path, marker)
    outcomes = Counter()

    for number, kind in enumerate(kinds):
        assert outcome_of(kind, kind.intact) == READ, kind.name
        path = tmp_path / f"case{kind.intact.suffix}"
        for n in range(FILES_OF_A_KIND):
            path.write_bytes(spoil(kind, (5, number, n)))
            outcomes[outcome_of(kind, path)] += 1

    assert len(kinds) == 20
    assert outcomes.keys() == {READ, REFUSED}
    assert not marker.exists()


@pytest.mark.slow
def test_file_that_kills_its_reader_is_counted_and_the_others_are_read(tmp_path):
    intact = tmp_path / "intact.txt"
    intact.write_bytes(b"good" + bytes(400))
    counts = Counter()

    read_damaged(
        [Kind("text", intact, read_or_die, (ValueError,))], 8, 1, tmp_path,
        lambda number, outcome: counts.update([(number, outcome)]),
    )  # fmt: skip

    assert counts.keys() == {(0, READ), (0, "died with -11")}
    assert counts.total() == 8


def test_every_length_is_recognised_or_too_short():
    model = Recognizer(tones.untrained_model())
    noise = np.random.default_rng(0).normal(0, 0.1, 2000).astype(np.float32)
    outcomes = []

    for length in [*range(260), *range(260, 2001, 29)]:
        try:
            found = model.transcribe(noise[:length], tones.SAMPLE_RATE)
            outcomes.append(found.duration_s == length / tones.SAMPLE_RATE)
        except AudioError:
            outcomes.append("too short")

    assert set(outcomes) == {"too short", True}
    assert "too short" not in outcomes[outcomes.index(True) :]
