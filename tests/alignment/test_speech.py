"""Alignment of recorded speech: a small model learns a few strings of digits, then times them."""

from itertools import pairwise

import numpy as np
import pytest
import tones
import torch

from asr.acoustic.model import build_model
from asr.alignment.aligner import align_each
from asr.corpora.connected_digits import ConnectedDigits
from asr.ctc import ctc_loss
from asr.data.manifest import read_manifest
from asr.text import CharTokenizer


def compose(root, num_strings):
    """Strings of one to three digits of one speaker, 8 kHz."""
    path = root / "fsdd/dev.jsonl"
    clips = [u for u in read_manifest(path) if u.extra["speaker"] == "george"]
    if not clips[0].audio_filepath.exists():
        pytest.skip(f"the audio of {path} is not unpacked")
    return ConnectedDigits(clips, num_strings, 1, max_digits=3).utterances(0)


def learn(utterances, num_steps):
    """Train a model of the tone language's size on these utterances alone."""
    torch.manual_seed(0)
    config = tones.CONFIG | {"model": tones.CONFIG["model"] | {"hidden_size": 48}}
    model = build_model(config, CharTokenizer(" efghinorstuvwxz"))
    waveforms = [torch.from_numpy(u.waveform(tones.SAMPLE_RATE)) for u in utterances]
    lengths = torch.tensor([len(w) for w in waveforms])
    targets = [torch.tensor(model.tokenizer.encode(u.text)) for u in utterances]
    with torch.no_grad():
        padded = torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
        features, feature_lengths = model.features(padded, lengths)
    model.network.train()
    optimizer = torch.optim.AdamW(model.network.parameters(), lr=0.01)
    for _ in range(num_steps):
        logits, output_lengths = model.network(features, feature_lengths)
        sizes = torch.tensor([len(t) for t in targets])
        loss = ctc_loss(logits, torch.cat(targets), output_lengths, sizes, from_logits=True)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def clip_starts(utterance):
    """Seconds at which a string's clips were put."""
    starts, now = [], 0.0
    for clip, pause_s in zip(utterance.clips, utterance.pauses_s, strict=False):
        starts.append(now + pause_s)
        now += pause_s + clip.duration
    return np.array(starts)


def test_digits_begin_where_their_clips_were_put(real_speech):
    utterances = compose(real_speech, 24)

    alignments = list(align_each(learn(utterances, 120), utterances, 1.0))

    errors, blind = [], []
    for utterance, found in zip(utterances, alignments, strict=True):
        assert [word.word for word in found.words] == utterance.text.split()
        assert all(a.end_s <= b.start_s for a, b in pairwise(found.words))
        assert found.words[-1].end_s <= found.duration_s
        known = clip_starts(utterance)
        errors += [word.start_s - start_s for word, start_s in zip(found.words, known, strict=True)]
        evenly = np.arange(len(known)) / len(known) * utterance.duration
        blind += list(evenly - known)
    # A model this small is late by a constant; that is no matter of the alignment.
    assert np.std(errors) < 0.7 * np.std(blind)
