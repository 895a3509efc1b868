"""Speech that is recognised while it is spoken.

stream = asr.load("runs/streaming_digits/ckpt/best.ckpt").stream()
for samples in microphone:
    for segment in stream.push(samples):
        print(segment.text)

An utterance ends where `Endpoints` say. If that is within a word, whose end the network may keep
back until it hears more, it is made to say what it would say if the sound ended there. After a
silence the network begins anew, shortly before the end of that silence: it hears every utterance as
it heard those of its training, from the beginning, and no hour-long past. What it had seen of the
next utterance it sees again.
"""

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from asr.acoustic.model import AcousticModel
from asr.acoustic.streaming import AcousticStream, advance_streams, check_streams, latency
from asr.decoding import Decoder
from asr.decoding.decoder import StreamingDecoder
from asr.recognition.endpoints import Endpoints
from asr.recognition.sources import Waveform, as_mono
from asr.recognition.transcripts import PartialTranscript, Segment
from asr.recognition.utterance import Utterance
from asr.resampling import ResampleStream

# Silence before an utterance that the network hears, at most.
LEAD_S = 0.4
# Sound that goes through the network at a time, at most: what it saw after an utterance's end, it
# sees again.
_FEED_S = 1.0


class SpeechStream:
    """A stream of speech, made by `Recognizer.stream`; in memory that does not grow with it.

    Whatever the pieces that it comes in, the segments are the same. For one thread at a time.

    Args:
        model: the model.
        decoder: greedy or beam search, made for its tokens.
        sample_rate: Hz of what is pushed; the model's by default.
        endpoints: when utterances end; None: with the stream, whose text is then held whole.

    Raises:
        ValueError: model or decoder need whole utterances, or the rate is out of range.
    """

    def __init__(
        self,
        model: AcousticModel,
        decoder: Decoder,
        sample_rate: int | None,
        endpoints: Endpoints | None,
    ) -> None:
        check_streams(model)
        if not isinstance(decoder, StreamingDecoder):
            raise ValueError(
                f"a {type(decoder).__name__} cannot stream: use GreedyDecoder or BeamSearchDecoder"
            )
        self.model = model
        self.sample_rate = model.sample_rate if sample_rate is None else sample_rate
        self._decoder = decoder
        self._endpoints = endpoints
        self._resampler = ResampleStream(self.sample_rate, model.sample_rate)
        # At the model's rate: samples accepted, of these given to the network, and those held,
        # which it has not seen or would see again.
        self._num_samples = 0
        self._num_fed = 0
        self._held = np.empty(0, np.float32)
        self._held_from = 0
        self._is_closed = False
        # Samples from the beginning of a frame until its row is computed.
        self._num_ahead = math.ceil(latency(model).total_s * model.sample_rate)
        self._acoustic = AcousticStream(model)
        # As it was before the samples that were fed last, and what had been fed by then.
        self._before = self._acoustic.copy(), 0
        self._utterance = Utterance(model, decoder, first_frame=0)

    @property
    def duration_s(self) -> float:
        """Seconds of audio that the model has got."""
        return self._num_samples / self.model.sample_rate

    def push(self, samples: Waveform) -> list[Segment]:
        """Take the next samples and return the utterances that ended with words.

        Args:
            samples: (L,) or (channels, L) floating point in [-1, 1], numpy or torch, L >= 0.

        Raises:
            TypeError: they are not floating point.
            ValueError: they are not finite or out of range, and were not taken; or the stream has
                been finished.
        """
        self.accept(samples)
        return step([self])[0]

    def partial(self) -> PartialTranscript:
        """Describe the utterance that is being said; empty where none is."""
        return self._utterance.partial(self.duration_s)

    def finish(self) -> list[Segment]:
        """End the stream: return the utterances that were left; calls that follow give none."""
        self.close()
        return step([self])[0]

    def accept(self, samples: Waveform) -> None:
        """Take samples as `push` does, and leave the network to a `step` of many streams."""
        if self._is_closed:
            raise ValueError("nothing can be pushed after finish(): begin another stream")
        mono, _ = as_mono(samples)
        self._hear(self._resampler.push(mono))

    def close(self) -> None:
        """End the stream as `finish` does, and leave the network to a `step` of many streams."""
        if not self._is_closed:
            self._hear(self._resampler.finish())
            self._is_closed = True

    def _hear(self, samples: np.ndarray) -> None:
        self._num_samples += len(samples)
        self._held = np.concatenate([self._held, samples.clip(-1.0, 1.0)])

    @property
    def _has_work(self) -> bool:
        is_ending = self._is_closed and not self._acoustic.is_done
        return self._num_fed < self._num_samples or is_ending

    def _feed(self) -> None:
        """Give the network the next samples, or the end."""
        first = self._num_fed - self._held_from
        samples = self._held[first : first + int(_FEED_S * self.model.sample_rate)]
        self._before = self._acoustic.copy(), self._num_fed
        self._acoustic.push(samples)
        self._num_fed += len(samples)
        if self._is_closed and self._num_fed == self._num_samples:
            self._acoustic.finish()

    def _take(self, rows: Tensor) -> list[Segment]:
        """Decode what the network made of them, (T, C), and return the utterances that ended."""
        segments: list[Segment] = []
        first_frame = self._utterance.end_frame
        while True:
            rows = rows[self._utterance.push(rows, self._endpoints) :]
            if not self._utterance.has_ended(self._endpoints):
                break
            if self._utterance.ends_in_pause(self._endpoints):
                rest = self._rest_of_word(first_frame) if self._utterance.is_in_word else None
                segments += self._utterance.finish(self.duration_s, rest)
                self._begin_anew()
                return segments
            segments += self._utterance.finish(self.duration_s)
            self._begin_utterance(self._utterance.end_frame)
        self._forget(self._next_frame)
        if self._acoustic.is_done:
            segments += self._utterance.finish(self.duration_s)
            self._begin_utterance(self._utterance.end_frame)
        return segments

    def _rest_of_word(self, first_frame: int) -> Tensor:
        """Compute the rows after the utterance's last one as if the sound ended here.

        What the last row needed is heard, and no more, so that they do not depend on the pieces.

        Args:
            first_frame: of the stream, that of the first row of what was fed last.
        """
        acoustic, num_fed = self._before
        end_frame = self._utterance.end_frame
        end = (end_frame - 1) * self.model.samples_per_frame + self._num_ahead
        acoustic.push(self._held[num_fed - self._held_from : max(0, end - self._held_from)])
        acoustic.finish()
        return advance_streams([acoustic])[0][end_frame - first_frame :]

    @property
    def _next_frame(self) -> int:
        """Frame of the stream that the network would begin at if the utterance ended now."""
        if self._endpoints is None:  # before the end, it does not
            return self._utterance.end_frame
        lead = int(LEAD_S / self.model.seconds_per_frame)
        return self._utterance.end_frame - min(self._utterance.num_silent // 2, lead)

    def _begin_utterance(self, first_frame: int) -> None:
        self._utterance = Utterance(self.model, self._decoder, first_frame)

    def _begin_anew(self) -> None:
        """Begin an utterance in the silence that ended the last one, with the network."""
        frame = self._next_frame
        self._forget(frame)
        self._begin_utterance(frame)
        self._acoustic = AcousticStream(self.model)
        self._num_fed = self._held_from

    def _forget(self, frame: int) -> None:
        """Drop samples before a frame of the stream that the network has seen."""
        first = min(frame * self.model.samples_per_frame, self._num_fed)
        self._held = self._held[first - self._held_from :]
        self._held_from = first


def step(streams: Sequence[SpeechStream]) -> list[list[Segment]]:
    """Recognise what streams have accepted, in one batch where they are alike.

    Returns:
        For each stream what `push` or `finish` return.
    """
    segments: list[list[Segment]] = [[] for _ in streams]
    working = list(enumerate(streams))
    while working := [(place, stream) for place, stream in working if stream._has_work]:
        for _, stream in working:
            stream._feed()
        rows = advance_streams([stream._acoustic for _, stream in working])
        for (place, stream), new in zip(working, rows, strict=True):
            segments[place] += stream._take(new)
    return segments
