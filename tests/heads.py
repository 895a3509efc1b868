"""Utterances with labels and a dictionary, for tests of auxiliary heads."""

from dataclasses import replace
from pathlib import Path

import torch

from asr.data.loading import Batch
from asr.data.manifest import Utterance, read_manifest, write_manifest
from asr.text import CharTokenizer

TOKENIZER = CharTokenizer(" abc")
ANNA, BEN, NOBODY = UTTERANCES = [
    Utterance(Path("0.wav"), 1.0, "ab cab", {"id": "0", "speaker": "anna"}),
    Utterance(Path("1.wav"), 0.75, "bb cab", {"id": "1", "speaker": "ben"}),
    Utterance(Path("2.wav"), 0.9, "ba", {"id": "2", "speaker": None}),
]
SIZES = [16000, 12000, 14400]


def write_dictionary(folder):
    """Say every word of UTTERANCES but "ba"."""
    path = folder / "some.dict"
    path.write_text("AB  AE1 B\nCAB  K AE1 B\nBB  B IY0\n")
    return str(path)


def make_batch(utterances=UTTERANCES):
    """Noise that is called UTTERANCES."""
    noise = torch.randn(3, 16000, generator=torch.Generator().manual_seed(0)) * 0.1
    rows = [UTTERANCES.index(utterance) for utterance in utterances]
    ids = [torch.tensor(TOKENIZER.encode(utterance.text)) for utterance in utterances]
    return Batch(
        [utterance.id for utterance in utterances],
        [utterance.text for utterance in utterances],
        noise[rows],
        torch.tensor([SIZES[row] for row in rows]),
        torch.nn.utils.rnn.pad_sequence(ids, batch_first=True),
        torch.tensor([len(row) for row in ids]),
        utterances,
    )


def add_labels(folder):
    """Give a corpus of tones two speakers, and a dictionary that lacks what begins with b.

    Every fifth utterance has no speaker, and the first of dev one whom training does not have.

    Returns:
        Words of `asr train` for two heads, as `overrides` of `tiny` takes them.
    """
    words = set()
    for split in ("train", "dev"):
        found = read_manifest(folder / f"{split}.jsonl")
        speakers = [
            {"speaker": "anna" if n % 2 else "ben"} if n % 5 else {} for n in range(len(found))
        ]
        if split == "dev":
            speakers[0] = {"speaker": "zoe"}
        labelled = [
            replace(u, extra=u.extra | speaker) for u, speaker in zip(found, speakers, strict=True)
        ]
        write_manifest(folder / f"{split}.jsonl", labelled)
        words |= {u.text for u in found if u.text[0] != "b"}
    lines = [f"{word}  {' '.join(word.upper())}\n" for word in sorted(words)]
    (folder / "tones.dict").write_text("".join(lines))
    return {"heads": "[speaker,phones]", "heads__phones__dictionary": folder / "tones.dict"}
