"""How far texts are from what was said, in the measures that people quote."""

from collections.abc import Sequence
from typing import NamedTuple

import jiwer

from asr.evaluation.metrics import ErrorRate, character_error_rate, word_error_rate
from asr.evaluation.table import format_table
from asr.recognition.transcripts import finite


class TextScores(NamedTuple):
    """Rates of a set of texts, as fractions.

    `wer` and `cer` have intervals and are split as sclite counts. `mer` and `wil` are jiwer's:
    match error rate, errors over errors and hits; word information lost, 1 - H^2 / (N P) for H
    hits, N words said and P words heard.

    Source: Morris, Maier and Green 2004, "From WER and RIL to MER and WIL: improved evaluation
        measures for connected speech recognition", Interspeech.
    """

    num_utterances: int
    wer: ErrorRate
    cer: ErrorRate
    mer: float
    wil: float


def score_texts(references: Sequence[str], hypotheses: Sequence[str]) -> TextScores:
    """Score texts, words split at white space; nothing is normalised.

    Raises:
        ValueError: the two have different lengths.
    """
    wer = word_error_rate(references, hypotheses)
    said, heard = ([" ".join(text.split()) for text in texts] for texts in (references, hypotheses))
    if any(said) or any(heard):
        output = jiwer.process_words(said, heard)
        mer, wil = output.mer, output.wil
    else:
        mer = wil = 0.0
    cer = character_error_rate(said, heard)
    return TextScores(len(references), wer, cer, float(mer), float(wil))


def format_text_scores(scores: TextScores) -> str:
    """Lay the measures out, one a row."""
    rows: list[tuple[str, ...]] = [("", "%", "95 % interval", "ins", "del", "sub", "of")]
    for name, rate in (("WER", scores.wer), ("CER", scores.cer)):
        interval = f"{100 * rate.low:.2f} - {100 * rate.high:.2f}"
        counts = (rate.insertions, rate.deletions, rate.substitutions, rate.reference_length)
        rows.append((name, f"{100 * rate.rate:.2f}", interval, *map(str, counts)))
    for name, value in (("MER", scores.mer), ("WIL", scores.wil)):
        rows.append((name, f"{100 * value:.2f}", "", "", "", "", ""))
    return f"{scores.num_utterances} utterances\n{format_table(rows)}"


def text_scores_record(scores: TextScores) -> dict[str, object]:
    """JSON object of the measures; infinite rates are null."""
    rates = {
        name: {key: finite(value, 6) for key, value in rate._asdict().items()}
        for name, rate in (("wer", scores.wer), ("cer", scores.cer))
    }
    return {
        "num_utterances": scores.num_utterances,
        **rates,
        "mer": finite(scores.mer, 6),
        "wil": finite(scores.wil, 6),
    }
