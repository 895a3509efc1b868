"""A test set -> hypotheses, scores, files.

The acoustic model runs once; every decoder then searches the same log-probabilities, so that rows
of a table differ in the decoder and in nothing else. Utterances are kept in the order of their ids:
results, bootstrap intervals included, do not depend on how batches were made.
"""

import json
import math
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from asr.acoustic.model import AcousticModel
from asr.data.loading import Batch, BatchLoader, Unusable
from asr.data.manifest import Utterance
from asr.decoding import Hypothesis
from asr.evaluation.errors import (
    Aligned,
    align_texts,
    format_alignment,
    format_confusions,
    format_summary,
    worst_first,
)
from asr.evaluation.metrics import ErrorRate, character_error_rate, word_error_rate, write_trn
from asr.files import write_atomically, write_json_lines
from asr.recognition.recognizer import Decoder
from asr.recognition.transcripts import finite, time_words, word_record

# Fields of an ErrorRate that may be infinite, which JSON writes as null.
RATES = ("rate", "low", "high")


class Decoded(NamedTuple):
    """What one decoder made of one utterance."""

    id: str
    reference: str
    duration_s: float
    hypotheses: list[Hypothesis]  # best first, at least one


@dataclass
class DecoderResult:
    """What one decoder made of a set, in the order of ids, and how long it took."""

    utterances: list[Decoded]
    seconds_per_frame: float
    acoustic_s: float
    decoder_s: float = 0.0

    @property
    def references(self) -> list[str]:
        """What was said."""
        return [u.reference for u in self.utterances]

    @property
    def texts(self) -> list[str]:
        """The best hypotheses."""
        return [u.hypotheses[0].text for u in self.utterances]

    @property
    def audio_s(self) -> float:
        """Seconds of audio."""
        return sum(u.duration_s for u in self.utterances)


class Score(NamedTuple):
    """One row of the table."""

    wer: ErrorRate
    cer: ErrorRate
    oracle_wer: ErrorRate  # of the best of each n-best list; equals `wer` for single hypotheses
    num_utterances: int
    audio_s: float
    real_time_factor: float  # seconds of acoustic model and decoder for a second of audio


def decode_batches(
    model: AcousticModel,
    batches: Iterable[Batch],
    decoders: Mapping[str, Decoder],
    *,
    progress: bool,
    total: int | None = None,
) -> dict[str, DecoderResult]:
    """Run the model once over all batches and every decoder on its log-probabilities.

    Args:
        model: the model.
        batches: what to decode; empty batches are passed over.
        decoders: by the names that tables show.
        progress: whether to draw a bar.
        total: utterances to come, for the bar's time left.

    Returns:
        A result for every name.

    Raises:
        ValueError: there is no decoder.
    """
    if not decoders:
        raise ValueError("decoders must name at least one decoder, got none")
    results = {name: DecoderResult([], model.seconds_per_frame, 0.0) for name in decoders}
    acoustic_s = 0.0
    with tqdm(total=total, desc="decoding", unit="utt", leave=False, disable=not progress) as bar:
        for batch in batches:
            if not batch.ids:
                continue
            started = time.perf_counter()
            log_probs, lengths = model.log_probs(batch.waveforms, batch.waveform_lengths)
            acoustic_s += time.perf_counter() - started
            durations = (batch.waveform_lengths.double() / model.sample_rate).tolist()
            for name, decoder in decoders.items():
                started = time.perf_counter()
                hypotheses = decoder(log_probs, lengths)
                results[name].decoder_s += time.perf_counter() - started
                results[name].utterances += map(
                    Decoded, batch.ids, batch.texts, durations, hypotheses
                )
            bar.update(len(batch.ids))
    for result in results.values():
        result.acoustic_s = acoustic_s
        result.utterances.sort(key=lambda u: u.id)
    return results


def decode_set(
    model: AcousticModel, loader: BatchLoader, decoders: Mapping[str, Decoder], folder: Path
) -> dict[str, Score]:
    """Decode a loader's utterances with every decoder and write what came out."""
    utterances = loader.corpus.utterances(0)
    progress = sys.stderr.isatty()
    results = decode_batches(
        model, loader.batches(0), decoders, progress=progress, total=len(utterances)
    )
    audio = {u.id: u.audio_filepath for u in utterances if isinstance(u, Utterance)}
    return write_results(folder, results, loader.bad.skipped, audio)


def score(result: DecoderResult) -> Score:
    """Score a decoder's hypotheses; an empty set scores 0 of 0 words."""
    references, texts = result.references, result.texts
    wer = word_error_rate(references, texts)
    oracle = word_error_rate(references, [_closest(u) for u in result.utterances])
    spent_s = result.acoustic_s + result.decoder_s
    return Score(
        wer=wer,
        cer=character_error_rate(references, texts),
        oracle_wer=oracle,
        num_utterances=len(texts),
        audio_s=result.audio_s,
        real_time_factor=spent_s / result.audio_s if result.audio_s else 0.0,
    )


def _closest(utterance: Decoded) -> str:
    """Return the hypothesis with the fewest word errors, the first of equals."""
    texts = [hypothesis.text for hypothesis in utterance.hypotheses]
    if len(texts) == 1:
        return texts[0]
    return min(texts, key=lambda t: align_texts("", utterance.reference, t).num_errors)


def write_results(
    folder: Path,
    results: Mapping[str, DecoderResult],
    failures: Sequence[Unusable],
    audio_filepaths: Mapping[str, Path] | None = None,
) -> dict[str, Score]:
    """Write hypotheses, scores and failures; every file is whole or not there.

    A single decoder's files go into `folder`, those of several into a folder each, named after
    them: hyp.jsonl, hyp.trn, ref.trn, wer.txt, failures.jsonl. `folder`/scores.json has the table.

    Args:
        folder: made where it is missing.
        results: of `decode_batches`.
        failures: utterances that were not decoded, and why.
        audio_filepaths: by utterance id, for hyp.jsonl.

    Returns:
        The score of every decoder.

    Raises:
        ValueError: two names give the same folder.
    """
    slugs = {name: re.sub(r"\W+", "_", name).strip("_") for name in results}
    if len(set(slugs.values())) < len(slugs):
        raise ValueError(f"decoder names must differ in letters or digits, got {list(results)}")
    scores = {name: score(result) for name, result in results.items()}
    for name, result in results.items():
        place = folder / slugs[name] if len(results) > 1 else folder
        place.mkdir(parents=True, exist_ok=True)
        _write_result(place, result, scores[name], failures, audio_filepaths or {})
    folder.mkdir(parents=True, exist_ok=True)
    table = {
        name: {"folder": slugs[name] if len(results) > 1 else "."} | score_record(value)
        for name, value in scores.items()
    }
    write_atomically(folder / "scores.json", json.dumps(table, indent=2) + "\n")
    return scores


def _write_result(
    folder: Path,
    result: DecoderResult,
    scored: Score,
    failures: Sequence[Unusable],
    audio_filepaths: Mapping[str, Path],
) -> None:
    aligned = [
        align_texts(u.id, u.reference, text)
        for u, text in zip(result.utterances, result.texts, strict=True)
    ]
    records = [
        _utterance_record(u, a, result.seconds_per_frame, audio_filepaths.get(u.id))
        for u, a in zip(result.utterances, aligned, strict=True)
    ]
    write_json_lines(folder / "hyp.jsonl", records)
    write_json_lines(folder / "failures.jsonl", [f._asdict() for f in failures])
    ids = trn_ids([u.id for u in result.utterances])
    write_trn(folder / "hyp.trn", ids, result.texts)
    write_trn(folder / "ref.trn", ids, result.references)
    listing = format_listing(scored, aligned, len(failures))
    write_atomically(folder / "wer.txt", listing)


def _utterance_record(
    utterance: Decoded, aligned: Aligned, seconds_per_frame: float, audio: Path | None
) -> dict[str, object]:
    best = utterance.hypotheses[0]
    words = time_words(best.words, seconds_per_frame, utterance.duration_s)
    return {
        "id": utterance.id,
        **({"audio_filepath": str(audio)} if audio else {}),
        "duration": round(utterance.duration_s, 3),
        "text": utterance.reference,
        "pred_text": best.text,
        "wer": finite(aligned.rate),
        "errors": aligned.num_errors,
        "score": finite(best.score),
        "acoustic_score": finite(best.acoustic_score),
        "lm_score": finite(best.lm_score),
        "words": [word_record(word) for word in words],
        "nbest": [{"text": h.text, "score": finite(h.score)} for h in utterance.hypotheses],
    }


def trn_ids(ids: Sequence[str]) -> list[str]:
    """Make ids that a .trn file can hold: no parentheses or spaces, each once, same order."""
    taken: set[str] = set()
    names = []
    for name in (re.sub(r"[()\s]+", "_", identity) or "_" for identity in ids):
        number, unique = 1, name
        while unique in taken:
            number += 1
            unique = f"{name}-{number}"
        taken.add(unique)
        names.append(unique)
    return names


def format_listing(scored: Score, aligned: Sequence[Aligned], num_failures: int) -> str:
    """Write wer.txt: summary, most confused words, and every utterance, worst first."""
    wrong = sum(1 for a in aligned if a.num_errors)
    parts = [
        format_summary("WER", scored.wer),
        format_summary("CER", scored.cer),
        format_summary("oracle WER of the n-best lists", scored.oracle_wer),
        f"{scored.num_utterances} utterances, {wrong} with errors, {num_failures} not decoded; "
        f"{scored.audio_s:.1f} s of audio, real-time factor {scored.real_time_factor:.4f}",
        f"\nmost confused words (count, reference -> hypothesis)\n{format_confusions(aligned)}",
        "\nutterances, most errors first (I insertion, D deletion, S substitution)",
        *(f"\n{format_alignment(a)}" for a in worst_first(aligned)),
    ]
    return "\n".join(parts) + "\n"


def score_record(scored: Score) -> dict[str, object]:
    """JSON object of a score; rates are fractions, infinite ones null."""
    rates: dict[str, object] = {
        name: {key: finite(value, 6) for key, value in getattr(scored, name)._asdict().items()}
        for name in ("wer", "cer", "oracle_wer")
    }
    return rates | {
        "num_utterances": scored.num_utterances,
        "audio_s": round(scored.audio_s, 3),
        "real_time_factor": finite(scored.real_time_factor, 6),
    }


def read_scores(path: Path) -> dict[str, Score]:
    """Read a scores.json.

    Raises:
        ValueError: the file is not one of ours; the message names it.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return {name: _score_of(record) for name, record in table.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: is not a table of scores: {error!r}") from error


def _score_of(record: dict) -> Score:
    wer, cer, oracle = (_rate_of(record[name]) for name in ("wer", "cer", "oracle_wer"))
    return Score(
        wer,
        cer,
        oracle,
        record["num_utterances"],
        record["audio_s"],
        record["real_time_factor"],
    )


def _rate_of(record: dict) -> ErrorRate:
    rates = {name: math.inf if record[name] is None else record[name] for name in RATES}
    return ErrorRate._make((record | rates)[name] for name in ErrorRate._fields)


HEADER = ("decoder", "WER %", "95 % interval", "CER %", "ins / del / sub", "RTF")


def table_rows(scores: Mapping[str, Score]) -> list[tuple[str, ...]]:
    """Cells of the table of decoders, without the header."""
    return [
        (
            name,
            f"{100 * s.wer.rate:.2f}",
            f"{100 * s.wer.low:.2f} - {100 * s.wer.high:.2f}",
            f"{100 * s.cer.rate:.2f}",
            f"{s.wer.insertions} / {s.wer.deletions} / {s.wer.substitutions}",
            f"{s.real_time_factor:.4f}",
        )
        for name, s in scores.items()
    ]


def format_table(scores: Mapping[str, Score], *, markdown: bool = False) -> str:
    """Lay scores out as a table, one decoder a row; numbers are aligned right."""
    rows = [HEADER, *table_rows(scores)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        for row in rows
    ]
    if not markdown:
        lines.insert(1, ["-" * width for width in widths])
        return "\n".join("  ".join(line).rstrip() for line in lines) + "\n"
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines.insert(1, rule)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
