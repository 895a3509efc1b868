"""Known texts -> when each of their words and tokens was said.

A best path through the CTC trellis gives every frame a class; here the frames of one label become
a span, spans become words, frames seconds. Sees log-probabilities and token strings, no model.

    (aligned,) = align_labels([log_probs], [tokenizer.encode(text)], tokenizer.tokens)
    alignment = time_alignment(aligned, seconds_per_frame, duration_s)
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from asr.ctc import explain, forced_align
from asr.recognition.transcripts import TimedWord, time_words
from asr.text import BLANK, WORD_START


class Span(NamedTuple):
    """A token or a word of the text, and its frames.

    Attributes:
        word: the token as the vocabulary has it, or the word.
        start_frame: its first frame on the best path.
        end_frame: one past its last.
        confidence: in [0, 1]. Of a token, its largest probability in its frames; of a word, the
            product over its tokens.
    """

    word: str
    start_frame: int
    end_frame: int
    confidence: float


class Path(NamedTuple):
    """A class for every frame."""

    classes: list[int]
    scores: list[float]  # ln probability of that class at its frame


class FramedAlignment(NamedTuple):
    """The best path of one text; separators between words are left out of `tokens`."""

    words: list[Span]
    tokens: list[Span]
    score: float  # ln probability of the path


@dataclass(frozen=True)
class Alignment:
    """A text with its times.

    Attributes:
        words: the words of the text, in order.
        tokens: what the words are made of, separators left out.
        duration_s: seconds of audio.
        score: ln probability of the best path.
    """

    words: list[TimedWord]
    tokens: list[TimedWord]
    duration_s: float
    score: float


def align_labels(
    log_probs: Sequence[Tensor],
    labels: Sequence[Sequence[int]],
    tokens: Sequence[str],
    blank: int = BLANK,
) -> list[FramedAlignment | str]:
    """Align utterances with the labels of their texts.

    Args:
        log_probs: (T, C) natural logs for each utterance; T may differ.
        labels: classes of each text, as a tokenizer of `asr.text` encodes it; may be empty.
        tokens: C strings; " " separates words, or U+2581 opens them.
        blank: class of the blank.

    Returns:
        For each utterance its alignment, or why it has none: too few frames, a label that is no
        class or is the blank, NaN.

    Raises:
        ValueError: rows are no log-probabilities, or `tokens` are not as many as their classes.
    """
    results: list[FramedAlignment | str] = []
    if log_probs and len(tokens) != log_probs[0].shape[1]:
        raise ValueError(f"tokens must be {log_probs[0].shape[1]}, one a class, got {len(tokens)}")
    for path in best_paths(log_probs, labels, blank):
        if isinstance(path, str):
            results.append(path)
            continue
        spans = merge_frames(*path, tokens, blank)
        total = math.fsum(path.scores)
        results.append(FramedAlignment(group_words(spans), _without_separators(spans), total))
    return results


def best_paths(
    log_probs: Sequence[Tensor], labels: Sequence[Sequence[int]], blank: int = BLANK
) -> list[Path | str]:
    """Find the most probable path of each utterance with its labels, as `align_labels`.

    Returns:
        For each utterance its path, or why it has none.

    Raises:
        ValueError: rows are no log-probabilities.
    """
    if not log_probs:
        return []
    frames = [len(rows) for rows in log_probs]
    batch = pad_sequence(list(log_probs))  # (T, N, C)
    reasons = dict(explain(batch, *_concatenate(labels, frames), blank))
    usable = [n for n in range(len(frames)) if n not in reasons]
    found: dict[int, Path | str] = {**reasons}
    if usable:
        chosen = [labels[n] for n in usable], [frames[n] for n in usable]
        whole = batch if len(usable) == len(frames) else batch[:, usable]
        paths, scores = forced_align(whole, *_concatenate(*chosen), blank)
        for n, path, score in zip(usable, paths, scores, strict=True):
            found[n] = Path(path[: frames[n]].tolist(), score[: frames[n]].tolist())
    return [found[n] for n in range(len(frames))]


def merge_frames(
    path: Sequence[int], scores: Sequence[float], tokens: Sequence[str], blank: int = BLANK
) -> list[Span]:
    """Merge neighbouring frames of one label into spans; blanks belong to none.

    Args:
        path: (T,) class of each frame.
        scores: (T,) ln probability of that class at its frame.
        tokens: C strings.
        blank: class of the blank.
    """
    spans: list[Span] = []
    previous = blank
    for frame, (label, score) in enumerate(zip(path, scores, strict=True)):
        confidence = math.exp(min(score, 0.0))
        if label == previous and label != blank:
            last = spans[-1]
            best = max(last.confidence, confidence)
            spans[-1] = last._replace(end_frame=frame + 1, confidence=best)
        elif label != blank:
            spans.append(Span(tokens[label], frame, frame + 1, confidence))
        previous = label
    return spans


def group_words(spans: Iterable[Span]) -> list[Span]:
    """Join the tokens of each word: from its first token's first frame to its last one's last.

    A word ends at a token " ", and before one that begins with U+2581. These two marks are no part
    of a word, and where one is a token by itself its frames are none of the word's.
    """
    words: list[Span] = []
    inside = False
    for span in spans:
        text = span.word.removeprefix(WORD_START).strip(" ")
        inside = inside and text == span.word
        if not text:
            continue
        if inside:
            last = words[-1]
            confidence = last.confidence * span.confidence
            words[-1] = Span(last.word + text, last.start_frame, span.end_frame, confidence)
        else:
            words.append(span._replace(word=text))
        inside = True
    return words


def time_alignment(
    framed: FramedAlignment, seconds_per_frame: float, duration_s: float
) -> Alignment:
    """Turn frames into seconds: frame t covers [t, t + 1) * seconds_per_frame, cut at the end."""
    return Alignment(
        time_words(framed.words, seconds_per_frame, duration_s),
        time_words(framed.tokens, seconds_per_frame, duration_s),
        duration_s,
        framed.score,
    )


def _without_separators(spans: Iterable[Span]) -> list[Span]:
    return [span for span in spans if span.word not in (" ", WORD_START)]


def _concatenate(
    labels: Sequence[Sequence[int]], frames: list[int]
) -> tuple[list[int], list[int], list[int]]:
    """Bring labels into the concatenated form of `ctc_loss`: targets, frames, target lengths."""
    joined = [label for target in labels for label in target]
    return joined, frames, [len(target) for target in labels]
