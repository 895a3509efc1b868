"""What was decoded -> files and tables: hyp.jsonl, hyp.trn, ref.trn, wer.txt, scores.json.

A model of whole clips leaves tags.json too.

What a terminal shows is made printable; files in JSON hold texts as they are.
"""

import json
import logging
import math
import re
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from asr.acoustic.model import AcousticModel
from asr.data.loading import BatchLoader, Speech
from asr.data.manifest import Utterance
from asr.data.unusable import BadUtterances, Unusable
from asr.decoding import Decoder
from asr.evaluation import tags
from asr.evaluation.errors import (
    Aligned,
    align_texts,
    format_alignment,
    format_confusions,
    format_summary,
    name_units,
    worst_first,
)
from asr.evaluation.metrics import ErrorRate, Metric, order_metrics, write_trn
from asr.evaluation.scoring import (
    Decoded,
    DecoderResult,
    Padding,
    Score,
    decode_batches,
    merge_results,
    pad_batches,
    score,
)
from asr.evaluation.table import format_table
from asr.files import parse_json, printable, read_bytes, write_atomically, write_json_lines
from asr.models import ClipNetwork
from asr.recognition.transcripts import finite, time_words, word_record

logger = logging.getLogger(__name__)

# What `write_results` and `write_shares` write, into a folder or one below it.
FILES = (
    "hyp.jsonl",
    "hyp.trn",
    "ref.trn",
    "wer.txt",
    "failures.jsonl",
    "scores.json",
    tags.FILE_NAME,
)
# Fields of an ErrorRate that may be infinite, which JSON writes as null.
RATES = ("rate", "low", "high")


class DecodedShare(NamedTuple):
    """What one process decoded of a set."""

    results: dict[str, DecoderResult]  # by decoder, and further rows of those with silence
    failures: list[Unusable]
    clips: tags.Tags | None  # of a model of whole clips


def decode_share(
    model: AcousticModel,
    loader: BatchLoader,
    decoders: Mapping[str, Decoder],
    padding: Padding | None = None,
    padded: Sequence[str] | None = None,
) -> DecodedShare:
    """Decode a loader's share of its utterances with every decoder.

    With `padding`, the decoders of the names `padded` (None: all) have a second row: the same
    utterances with silence around them.
    """
    total = len(loader.corpus.utterances(0)) // loader.world_size
    progress = sys.stderr.isatty() and loader.rank == 0
    decode = partial(decode_batches, model, progress=progress, total=total)
    clips = None
    if isinstance(model.network, ClipNetwork):
        several = model.network.activation == "sigmoid"
        clips = tags.Tags(model.tokenizer.tokens, several=several)
    results = decode(loader.batches(0), decoders, observe=clips.add if clips else None)
    if padding is not None:
        chosen = decoders if padded is None else padded
        batches = pad_batches(loader.batches(0), padding, model.sample_rate)
        results |= decode(batches, {f"{name}, {padding}": decoders[name] for name in chosen})
    return DecodedShare(results, loader.bad.skipped, clips)


def write_shares(
    folder: Path,
    shares: Sequence[DecodedShare],
    utterances: Sequence[Speech],
    metric: Metric = "wer",
) -> dict[str, Score]:
    """Write what one or several processes decoded of a set, as if one had decoded all.

    A model of whole clips leaves tags.json too, of the utterances as they are.

    Args:
        folder: made where it is missing.
        shares: one or more; together they have every utterance once.
        utterances: of the set.
        metric: whose units errors are listed by.

    Raises:
        TooManyBadError: not one utterance could be used.
    """
    first, *others = shares
    failures = BadUtterances(1.0, len(utterances))
    for failure in (failure for share in shares for failure in share.failures):
        failures.skip(failure)
    results = {
        name: merge_results([share.results[name] for share in shares]) for name in first.results
    }
    if first.clips is not None:
        for share in others:
            first.clips.take(share.clips)
        folder.mkdir(parents=True, exist_ok=True)
        logger.info("%s", first.clips.write(folder).describe())
    facts = {u.id: _facts(u) for u in utterances if isinstance(u, Utterance)}
    return write_results(folder, results, failures.skipped, facts, metric)


def _facts(utterance: Utterance) -> dict[str, object]:
    """What a listing says of a recording beside its text: where it is, and who speaks."""
    speaker = utterance.extra.get("speaker")
    known = {} if speaker is None else {"speaker": str(speaker)}
    return {"audio_filepath": str(utterance.audio_filepath), **known}


def write_results(
    folder: Path,
    results: Mapping[str, DecoderResult],
    failures: Sequence[Unusable],
    facts: Mapping[str, Mapping[str, object]] | None = None,
    metric: Metric = "wer",
) -> dict[str, Score]:
    """Write hypotheses, scores and failures; every file is whole or not there.

    A single decoder's files go into `folder`, those of several into a folder each, named after
    them: hyp.jsonl, hyp.trn, ref.trn, wer.txt, failures.jsonl. `folder`/scores.json has the table.

    Args:
        folder: made where it is missing.
        results: of `decode_batches`.
        failures: utterances that were not decoded, and why.
        facts: further keys of hyp.jsonl by utterance id, such as audio_filepath and speaker.
        metric: whose units errors are listed by.

    Returns:
        The score of every decoder.

    Raises:
        ValueError: two names give the same folder.
    """
    slugs = {name: re.sub(r"\W+", "_", name).strip("_") for name in results}
    if len(set(slugs.values())) < len(slugs):
        raise ValueError(f"decoder names must differ in letters or digits, got {list(results)}")
    scores = {name: score(result, len(failures)) for name, result in results.items()}
    for name, result in results.items():
        place = folder / slugs[name] if len(results) > 1 else folder
        place.mkdir(parents=True, exist_ok=True)
        _write_result(place, result, scores[name], failures, facts or {}, metric)
    folder.mkdir(parents=True, exist_ok=True)
    table = {
        name: {"folder": slugs[name] if len(results) > 1 else "."} | score_record(value, metric)
        for name, value in scores.items()
    }
    write_atomically(folder / "scores.json", json.dumps(table, indent=2) + "\n")
    return scores


def _write_result(
    folder: Path,
    result: DecoderResult,
    scored: Score,
    failures: Sequence[Unusable],
    facts: Mapping[str, Mapping[str, object]],
    metric: Metric,
) -> None:
    aligned = [
        align_texts(u.id, u.reference, text, metric)
        for u, text in zip(result.utterances, result.texts, strict=True)
    ]
    records = [
        _utterance_record(u, a, result.seconds_per_frame, facts.get(u.id, {}))
        for u, a in zip(result.utterances, aligned, strict=True)
    ]
    write_json_lines(folder / "hyp.jsonl", records)
    write_json_lines(folder / "failures.jsonl", [f.record() for f in failures])
    ids = trn_ids([u.id for u in result.utterances])
    write_trn(folder / "hyp.trn", ids, result.texts)
    write_trn(folder / "ref.trn", ids, result.references)
    listing = format_listing(scored, aligned, len(failures), metric)
    write_atomically(folder / "wer.txt", listing)


def _utterance_record(
    utterance: Decoded, aligned: Aligned, seconds_per_frame: float, facts: Mapping[str, object]
) -> dict[str, object]:
    best = utterance.hypotheses[0]
    words = time_words(best.words, seconds_per_frame, utterance.duration_s)
    return {
        "id": utterance.id,
        **facts,
        "duration": round(utterance.duration_s, 3),
        "text": utterance.reference,
        "pred_text": best.text,
        aligned.metric: finite(aligned.rate),
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


def format_listing(
    scored: Score, aligned: Sequence[Aligned], num_failures: int, metric: Metric = "wer"
) -> str:
    """Write wer.txt: summary, most confused units, and every utterance, worst first."""
    wrong = sum(1 for a in aligned if a.num_errors)
    parts = [
        *(format_summary(m.upper(), scored.error_rate(m)) for m in order_metrics(metric)),
        format_summary(
            f"oracle {_words_key(metric).upper()} of the n-best lists", scored.oracle_wer
        ),
        f"{scored.num_utterances} utterances, {wrong} with errors, {num_failures} not decoded; "
        f"{scored.audio_s:.1f} s of audio, real-time factor {scored.real_time_factor:.4f}",
        f"\nmost confused {name_units(metric)} (count, reference -> hypothesis)",
        format_confusions(aligned),
        "\nutterances, most errors first (I insertion, D deletion, S substitution)",
        *(f"\n{format_alignment(a)}" for a in worst_first(aligned)),
    ]
    return "\n".join(printable(line) for part in parts for line in part.split("\n")) + "\n"


def score_record(scored: Score, metric: Metric = "wer") -> dict[str, object]:
    """JSON object of a score; rates are fractions, infinite ones null.

    Where words are phones, their rates stand under "per" and "oracle_per".
    """
    words = _words_key(metric)
    named = {words: scored.wer, "cer": scored.cer, f"oracle_{words}": scored.oracle_wer}
    rates: dict[str, object] = {
        name: {key: finite(value, 6) for key, value in rate._asdict().items()}
        for name, rate in named.items()
    }
    return rates | {
        "num_utterances": scored.num_utterances,
        "num_unusable": scored.num_unusable,
        "audio_s": round(scored.audio_s, 3),
        "real_time_factor": finite(scored.real_time_factor, 6),
    }


def read_scores(path: Path) -> dict[str, Score]:
    """Read a scores.json.

    Raises:
        ValueError: the file is not one of ours; the message names it.
    """
    try:
        table: Any = parse_json(read_bytes(path))
        return {name: _score_of(record) for name, record in table.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: is not a table of scores: {error!r}") from error


def _score_of(record: dict) -> Score:
    words = "per" if "per" in record else "wer"
    wer, cer, oracle = (_rate_of(record[name]) for name in (words, "cer", f"oracle_{words}"))
    return Score(
        wer,
        cer,
        oracle,
        record["num_utterances"],
        record["audio_s"],
        record["real_time_factor"],
        record["num_unusable"],
    )


def _rate_of(record: dict) -> ErrorRate:
    rates = {name: math.inf if record[name] is None else record[name] for name in RATES}
    return ErrorRate._make((record | rates)[name] for name in ErrorRate._fields)


def table_header(metric: Metric = "wer") -> tuple[str, ...]:
    """Header of the table of decoders; the interval and the errors are of the first rate."""
    first, *others = (f"{name.upper()} %" for name in order_metrics(metric))
    return "decoder", first, "95 % interval", *others, "ins / del / sub", "utterances", "RTF"


def table_rows(scores: Mapping[str, Score], metric: Metric = "wer") -> list[tuple[str, ...]]:
    """Cells of the table of decoders, without the header."""
    rows = []
    for name, s in scores.items():
        first, *others = map(s.error_rate, order_metrics(metric))
        rows.append(
            (
                name,
                f"{100 * first.rate:.2f}",
                f"{100 * first.low:.2f} - {100 * first.high:.2f}",
                *(f"{100 * other.rate:.2f}" for other in others),
                f"{first.insertions} / {first.deletions} / {first.substitutions}",
                count_utterances(s),
                f"{s.real_time_factor:.4f}",
            )
        )
    return rows


def _words_key(metric: Metric) -> str:
    """Name of the rate of words, which are phones where these are counted."""
    return "per" if metric == "per" else "wer"


def count_utterances(scored: Score) -> str:
    """Say how many utterances a rate is of, and of how many that should have been."""
    if not scored.num_unusable:
        return str(scored.num_utterances)
    return f"{scored.num_utterances} of {scored.num_utterances + scored.num_unusable}"


def format_scores(
    scores: Mapping[str, Score], *, markdown: bool = False, metric: Metric = "wer"
) -> str:
    """Lay scores out as a table, one decoder a row; `metric` comes first."""
    return format_table([table_header(metric), *table_rows(scores, metric)], markdown=markdown)
