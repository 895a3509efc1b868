"""Sets that were decoded, for the tests of scores and of their files."""

import json

import tones

from asr.data.loading import Rendered, pad_batch
from asr.evaluation.scoring import Decoded, DecoderResult


class Hyp:
    """A hypothesis as far as scoring looks at it."""

    def __init__(self, text, score=-1.0):
        self.text, self.score = text, score
        self.acoustic_score, self.lm_score, self.words = score, 0.0, ()


def result_of(*pairs):
    """A decoder's result for (reference, hypothesis...) tuples."""
    decoded = [
        Decoded(f"u{i}", reference, 2.0, [Hyp(text) for text in texts])
        for i, (reference, *texts) in enumerate(pairs)
    ]
    return DecoderResult(decoded, 0.04, acoustic_s=1.0, decoder_s=0.5)


def batch_of(texts, rng):
    class Speech:
        def __init__(self, number, text):
            self.id, self.text = f"u{number:02d}", text

    return pad_batch(
        [Rendered(Speech(i, t), t, tones.speak(t, rng), [1] * len(t)) for i, t in enumerate(texts)]
    )


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]
