import shutil

import pytest

from asr.corpora.connected_digits import ConnectedDigits
from asr.data.fingerprint import fingerprint, fingerprint_audio
from asr.data.manifest import Utterance, read_manifest, write_manifest


def test_fingerprint_notices_every_change_of_a_corpus(tmp_path):
    audio = tmp_path / "a.wav"
    audio.write_bytes(b"1234")
    one = Utterance(audio, 1.0, "a", {"id": "x", "speaker": "s"})
    prints = [
        fingerprint_audio(utterances)
        for utterances in (
            [one],
            [one, one],
            [],
            [Utterance(audio, 1.0, "b", {"id": "x", "speaker": "s"})],
            [Utterance(audio, 1.5, "a", {"id": "x", "speaker": "s"})],
            ConnectedDigits([one], 2, seed=1).utterances(0),
            ConnectedDigits([one], 2, seed=2).utterances(0),
        )
    ]
    composed = ConnectedDigits([one], 2, seed=1)
    again = fingerprint_audio([one])

    audio.write_bytes(b"12345")

    assert again == prints[0]
    prints += [fingerprint_audio([one]), fingerprint_audio(composed.utterances(0))]
    assert len(set(prints)) == len(prints)
    audio.unlink()
    assert fingerprint_audio([one]) not in prints


@pytest.mark.parametrize("make", [fingerprint, fingerprint_audio])
def test_moved_corpus_is_the_same(tmp_path, make):
    old = tmp_path / "old"
    old.mkdir()
    (old / "a.wav").write_bytes(b"1234")
    write_manifest(old / "m.jsonl", [Utterance(old / "a.wav", 1.0, "a", {"speaker": "s"})])
    before = [read_manifest(old / "m.jsonl")]
    before.append(ConnectedDigits(before[0], 2, seed=1).utterances(0))
    prints = [make(utterances) for utterances in before]

    shutil.move(old, tmp_path / "new")

    after = [read_manifest(tmp_path / "new/m.jsonl")]
    after.append(ConnectedDigits(after[0], 2, seed=1).utterances(0))
    assert [make(utterances) for utterances in after] == prints


def test_texts_alone_need_no_audio(tmp_path):
    gone = [Utterance(tmp_path / "gone.wav", 1.0, "\ud800", {"id": "x"})]

    assert fingerprint(gone) != fingerprint([])
