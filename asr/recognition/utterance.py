"""One utterance of a stream while it is decoded."""

import torch
from torch import Tensor

from asr.acoustic.model import AcousticModel
from asr.decoding.decoder import StreamingDecoder
from asr.decoding.hypothesis import Hypothesis, split_by_token, starts_word
from asr.recognition.endpoints import Endpoints
from asr.recognition.transcripts import PartialTranscript, Segment, make_segment, time_words
from asr.text import BLANK, WORD_START


class Utterance:
    """Takes the frames of one utterance, and knows how long it has been silent.

    Args:
        model: the model that the frames come from.
        decoder: made for its tokens.
        first_frame: of the stream.

    Attributes:
        num_frames: that were taken.
        num_silent: of these, at the end: their best token is the blank or separates words.
    """

    def __init__(self, model: AcousticModel, decoder: StreamingDecoder, first_frame: int) -> None:
        self.num_frames = 0
        self.num_silent = 0
        self._has_words = False  # whether other frames were before
        self._model = model
        self._first_frame = first_frame
        self._decoding = decoder.stream()
        tokens = model.tokenizer.tokens
        separators = [i for i, token in enumerate(tokens) if token in (" ", WORD_START)]
        self._silent = {BLANK, *separators}
        self._starts = {i for i, token in enumerate(tokens) if starts_word(token)}
        self._last = BLANK  # best token of the last frame that was not the blank's
        # Words that are tokens get their confidence from the frames.
        self._rows: list[Tensor] | None = None if model.separates_words else []

    @property
    def end_frame(self) -> int:
        """One past the last frame, in the stream."""
        return self._first_frame + self.num_frames

    def push(self, rows: Tensor, endpoints: Endpoints | None) -> int:
        """Take log-probabilities (T, C) up to the frame that ends the utterance.

        Returns:
            how many were taken: T, or fewer if it has ended; see `has_ended`.
        """
        count = 0
        for best in rows.argmax(dim=1).tolist():
            if self.has_ended(endpoints):
                break
            self._count(best)
            count += 1
        self._decoding.push(rows[:count])
        if self._rows is not None:
            self._rows.append(rows[:count])
        return count

    def has_ended(self, endpoints: Endpoints | None) -> bool:
        """Whether its last frame ends it."""
        length_s = self.num_frames * self._model.seconds_per_frame
        return endpoints is not None and endpoints.has_ended(
            length_s, self._silence_s, has_words=self._has_words
        )

    def ends_in_pause(self, endpoints: Endpoints | None) -> bool:
        """Whether its end is no place within a word."""
        return endpoints is not None and endpoints.is_pause(self._silence_s)

    @property
    def is_in_word(self) -> bool:
        """Whether further tokens would belong to the last word; False if tokens are words."""
        return self._model.separates_words and self._last not in self._silent

    def partial(self, heard_s: float) -> PartialTranscript:
        """Describe it so far; `heard_s` seconds of the stream were heard."""
        known = self._decoding.partial()
        words = self._with_words(known.best).words
        frame_s = self._model.seconds_per_frame
        timed = time_words(words, frame_s, heard_s, self._first_frame)
        return PartialTranscript(known.text, known.stable_text, timed)

    def finish(self, heard_s: float, rest: Tensor | None = None) -> list[Segment]:
        """End it: return its segment, or none if it has no words.

        Args:
            heard_s: seconds of the stream that were heard.
            rest: log-probabilities (T, C) after its last frame, where the last word may end.
        """
        num_rest = 0 if rest is None else self._finish_word(rest)
        n_best = self._decoding.finish()
        n_best[0] = self._with_words(n_best[0])
        frame_s = self._model.seconds_per_frame
        num_frames = self.num_frames + num_rest
        segment = make_segment(n_best, self._first_frame, num_frames, frame_s, heard_s)
        return [segment] if segment.text else []

    def _finish_word(self, rest: Tensor) -> int:
        """Decode frames until another word begins; return how many."""
        best = rest.argmax(dim=1).tolist()
        count = next((t for t, token in enumerate(best) if token in self._starts), len(best))
        self._decoding.push(rest[:count])
        return count

    def _with_words(self, best: Hypothesis) -> Hypothesis:
        """Make words of tokens, where no spaces separate them."""
        if not self._rows:
            return best
        return split_by_token(best, torch.cat(self._rows).numpy())

    @property
    def _silence_s(self) -> float:
        return self.num_silent * self._model.seconds_per_frame

    def _count(self, best: int) -> None:
        is_silent = best in self._silent
        self.num_frames += 1
        self._last = self._last if best == BLANK else best
        self.num_silent = self.num_silent + 1 if is_silent else 0
        self._has_words = self._has_words or not is_silent
