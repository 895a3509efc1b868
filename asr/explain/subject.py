"""One recording with its text, and all that an explanation looks at: what goes in, what comes out.

The text is what the user says was said, or what greedy decoding hears.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asr.acoustic.chunks import MAX_CHUNK_S
from asr.acoustic.model import AcousticModel
from asr.alignment.spans import Span, align_labels, group_words
from asr.audio import read_audio
from asr.decoding import GreedyDecoder
from asr.recognition.transcripts import TimedWord, time_words
from asr.text import WORD_START


@dataclass(frozen=True)
class Subject:
    """What is explained.

    Attributes:
        waveform: (L,) float32 at the model's rate.
        features: (1, T, F), what the network sees, where its weights are.
        energies: (T, F') log energies, what a picture shows.
        log_probs: (T', C) on the CPU.
        text: what was said.
        labels: its S labels.
        words: its words; their frames are places among the labels.
        times: the words with the seconds of the best path.
    """

    waveform: np.ndarray
    features: Tensor
    energies: np.ndarray
    log_probs: Tensor
    text: str
    labels: list[int]
    words: list[Span]
    times: list[TimedWord]


class Choice:
    """The words of a subject whose score is explained.

    Attributes:
        title: the word, or the whole text.
        places: of its labels among the subject's.
        words: numbers of its words among the subject's.
    """

    def __init__(self, subject: Subject, numbers: Sequence[int], title: str) -> None:
        self.title = title
        self.words = list(numbers)
        spans = [subject.words[number] for number in numbers]
        self.places = [place for w in spans for place in range(w.start_frame, w.end_frame)]


def read_subject(
    model: AcousticModel, audio: str | Path, text: str | None, max_duration_s: float
) -> Subject:
    """Read a recording, run the model and find the words of its text.

    Args:
        model: the model.
        audio: a file.
        text: what was said, in the model's alphabet; None for what greedy decoding hears.
        max_duration_s: seconds of the longest file, in (0, `MAX_CHUNK_S`]: no network sees
            more at once, and a gradient goes through all that it sees.

    Raises:
        ValueError: the file cannot be read, is too long, or too short for a frame; the text has
            no words, holds a character outside the alphabet, or does not fit the audio.
    """
    if not 0 < max_duration_s <= MAX_CHUNK_S:
        raise ValueError(f"max_duration_s must be in (0, {MAX_CHUNK_S:g}], got {max_duration_s}")
    waveform = read_audio(audio, model.sample_rate, max_duration_s).waveform
    try:
        model.check_length(len(waveform))
    except ValueError as error:
        raise ValueError(f"{audio}: {error}") from error
    samples, lengths = torch.from_numpy(waveform)[None], torch.tensor([len(waveform)])
    log_probs = model.log_probs(samples, lengths)[0][0]
    with torch.no_grad():
        features, _ = model.features(samples.to(model.device), lengths)
        energies, _ = model.features.log_energies(samples.to(model.device), lengths)
    labels, text = _read_text(model, audio, log_probs, text)
    words = spell_words(labels, model.tokenizer.tokens, separated=model.separates_words)
    if model.separates_words and [word.word for word in words] != text.split():
        raise ValueError("a token of the model reaches over several words of the text")
    times = _time_words(model, audio, log_probs, labels, len(waveform))
    energy_rows = energies[0].detach().cpu().numpy()
    return Subject(waveform, features.detach(), energy_rows, log_probs, text, labels, words, times)


def _read_text(
    model: AcousticModel, audio: str | Path, log_probs: Tensor, text: str | None
) -> tuple[list[int], str]:
    """Labels and text, given or heard."""
    if text is None:
        heard = GreedyDecoder(model.tokenizer.tokens)(log_probs)[0][0]
        if not heard.text.strip():
            raise ValueError(f"{audio}: no word is recognised in it: give text=...")
        return list(heard.token_ids), heard.text
    labels = model.tokenizer.encode(text)
    if not text.strip():
        raise ValueError(f"text must hold a word, got {text!r}")
    return labels, model.tokenizer.reference(text)


def spell_words(labels: Sequence[int], tokens: Sequence[str], *, separated: bool) -> list[Span]:
    """Find the labels of each word: spans whose frames are places among the labels.

    Args:
        labels: of a text.
        tokens: C strings.
        separated: whether words are written apart; otherwise every token is a word.
    """
    spans = [Span(tokens[label], place, place + 1, 1.0) for place, label in enumerate(labels)]
    if separated:
        return group_words(spans)
    return [span for span in spans if span.word not in (" ", WORD_START)]


def _time_words(
    model: AcousticModel,
    audio: str | Path,
    log_probs: Tensor,
    labels: list[int],
    num_samples: int,
) -> list[TimedWord]:
    """Align the labels; words stand as `spell_words` has them."""
    (framed,) = align_labels([log_probs], [labels], model.tokenizer.tokens)
    if isinstance(framed, str):
        raise ValueError(f"{audio}: the text cannot be aligned with it: {framed}")
    found = framed.words if model.separates_words else framed.tokens
    return time_words(found, model.seconds_per_frame, num_samples / model.sample_rate)


def choose_word(subject: Subject, word: str | None, occurrence: int) -> Choice:
    """Choose a word of the text, or with None all its words together.

    Args:
        subject: with the text.
        word: as it stands in the text.
        occurrence: which of several equal ones, from 1.

    Raises:
        ValueError: the text has no such word, or not so many.
    """
    if word is None:
        if occurrence != 1:
            raise ValueError(f"occurrence={occurrence} needs word=...")
        return Choice(subject, range(len(subject.words)), subject.text)
    numbers = [n for n, found in enumerate(subject.words) if found.word == word]
    if not numbers:
        raise ValueError(f"word must be one of the text, got {word!r}: {subject.text!r}")
    if not 1 <= occurrence <= len(numbers):
        raise ValueError(
            f"occurrence must be 1..{len(numbers)}, as often as {word!r} is in the text, got "
            f"{occurrence}"
        )
    return Choice(subject, [numbers[occurrence - 1]], word)
