import base64
import io
import json
import re

import numpy as np
import soundfile

from asr.corpora.page import PER_REASON
from tests.corpora.layout_makers import speech, write_speech
from tests.corpus_files import run, texts, write_text
from tests.page_reader import Page

EVIL = "<script>alert(1)</script>"


def make(source, count=30):
    """Utterances of a second with five letters, and some that do not fit."""
    rows = ["path,text,speaker"]
    for number in range(count):
        write_speech(source / f"{number:02d}.wav", number, 1.0 + number % 5 / 10)
        rows.append(f"{number:02d}.wav,hello {'there' if number % 3 else 'you'},s{number}")
    write_speech(source / "long.wav", 100, 20.0)
    rows.append("long.wav,hi,s1")
    loud = np.clip(speech(101) * 60, -1, 1)
    soundfile.write(source / "loud.wav", loud, 16000)
    rows.append("loud.wav,hello you,s2")
    broken = speech(102)
    broken[:8000] = 0
    soundfile.write(source / "gap.wav", broken, 16000)
    rows.append("gap.wav,hello you,s3")
    soundfile.write(source / "zero.wav", np.zeros(16000), 16000)
    rows.append("zero.wav,hello you,s4")
    rows.append(f"none.wav,{EVIL},s5")
    write_text(source / "table.csv", *rows)


def test_page_shows_everything_in_one_file_and_escapes_it(tmp_path):
    make(tmp_path / EVIL.replace("/", "_"))

    report = run("csv", tmp_path / EVIL.replace("/", "_"), tmp_path / "out", unknown="remove")

    html = (tmp_path / "out" / "prepare.html").read_text()
    page = Page(html)
    assert page.open == []
    assert page.fetched == []
    assert "<script" not in html
    assert page.sections[:4] == ["Not to be missed", "Splits", "What it is like", "To listen to"]
    assert html.count("<svg") == 2
    for text in (
        "text too short for its audio",
        "clipped",
        "digital silence",
        "no such audio file",
    ):
        assert text in page.text
    assert "@media" in html
    assert 'name="viewport"' in html
    assert {name: item.count for name, item in report.suspects.items()} == {
        "text too short for its audio": 1,
        "clipped": 1,
        "digital silence": 1,
    }
    assert (
        report.rejected["digital silence"].examples[0].endswith("zero.wav: all 16000 samples are 0")
    )


def test_players_hold_the_first_seconds_of_the_worst(tmp_path):
    make(tmp_path / "source")
    for number in range(PER_REASON + 3):
        clipped = np.clip(speech(number + 200) * (30 + number), -1, 1)
        soundfile.write(tmp_path / "source" / f"c{number}.wav", clipped, 16000)
        with (tmp_path / "source" / "table.csv").open("a") as file:
            file.write(f"c{number}.wav,hello you,s{number}\n")

    run("csv", tmp_path / "source", tmp_path / "out", unknown="remove")

    html = (tmp_path / "out" / "prepare.html").read_text()
    players = re.findall(r'<audio[^>]*src="data:audio/mpeg;base64,([^"]*)"', html)
    heard = [soundfile.info(io.BytesIO(base64.b64decode(player))) for player in players]
    assert len(players) == PER_REASON + 2
    assert sorted(round(info.duration) for info in heard) == [1] * (PER_REASON + 1) + [15]
    lines = (tmp_path / "out" / "suspects.jsonl").read_text().splitlines()
    clipped = [line for line in map(json.loads, lines) if line["reason"] == "clipped"]
    assert len(clipped) == PER_REASON + 4
    percents = [float(line["detail"].split()[-3].rstrip("%")) for line in clipped]
    assert percents == sorted(percents, reverse=True)


def test_noise_alone_has_a_page_too(tmp_path):
    write_speech(tmp_path / "source" / "a.wav", 0)
    line = {"audio_filepath": "a.wav", "duration": 1.0, "text": ""}
    write_text(tmp_path / "source" / "noise.jsonl", json.dumps(line))

    run("folder", tmp_path / "source", tmp_path / "out")

    page = Page((tmp_path / "out" / "prepare.html").read_text())
    assert "There is no speech in it." in page.text
    assert texts(tmp_path / "out", "noise") == {"a": ""}
