"""Word, phone and character error rates of a corpus, alignments, and files for NIST's sclite.

    rate = (insertions + deletions + substitutions) / reference_length, summed over the corpus first

Why two cost tables: the fewest errors that turn a hypothesis into its reference are one number, but
several alignments reach it, with different shares of insertions, deletions and substitutions. Ours
is sclite's (costs 3, 3, 4). On about 1 % of unrelated pairs sclite's costs accept more errors than
necessary (2 + 2 rather than 3 substitutions); there the fewest errors win, so that the rate is
always the edit distance, as jiwer's, and always the sum of the three counts.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, cast

import kaldialign
import numpy as np

from asr.files import write_atomically

# "per" counts words too: the texts of a model whose tokens are phones are phones with spaces.
Metric = Literal["wer", "cer", "per"]
_GAP = -1
_REPLICATES = 2000
# sclite reads these as markup and has no escape that keeps them; full-width forms replace them.
_MARKUP = str.maketrans({character: chr(ord(character) + 0xFEE0) for character in "{}@*;\\"})


class ErrorRate(NamedTuple):
    """Error rate of a corpus; rates are fractions (0.05 is 5 %) and exceed 1 with many insertions.

    `low` and `high` bound the central 95 % of the rates of corpora of the same size, drawn with
    replacement from the utterances: they hold what a different draw of utterances would change.
    """

    rate: float
    insertions: int
    deletions: int
    substitutions: int
    reference_length: int
    low: float
    high: float


class RateDifference(NamedTuple):
    """An error rate minus another of the same utterances, below 0 where the first is better.

    `low` and `high` bound the central 95 % of the differences in corpora of the same size, drawn
    with replacement from the utterances. `better` is the share of those corpora in which the first
    makes fewer errors, the probability of improvement.
    """

    difference: float
    low: float
    high: float
    better: float


def word_error_rate(
    references: Sequence[str], hypotheses: Sequence[str], *, seed: int = 0
) -> ErrorRate:
    """Score words, split at white space, case and punctuation included.

    Args:
        references: one text for each utterance; may be empty.
        hypotheses: as many texts, in the same order.
        seed: of the bootstrap; the same seed gives the same interval.

    Returns:
        The corpus' error rate. With no reference words at all it is inf if anything was inserted,
        else 0.

    Raises:
        ValueError: the two have different lengths.
        TypeError: either is one string rather than a sequence of them.

    Source: Bisani and Ney 2004, "Bootstrap estimates for confidence intervals in ASR performance
        evaluation", ICASSP.
    """
    _check(references, hypotheses)
    return _score([r.split() for r in references], [h.split() for h in hypotheses], seed)


def character_error_rate(
    references: Sequence[str], hypotheses: Sequence[str], *, seed: int = 0
) -> ErrorRate:
    """Score characters, spaces included; otherwise as `word_error_rate`."""
    _check(references, hypotheses)
    return _score([list(r) for r in references], [list(h) for h in hypotheses], seed)


# What a model, a decoder's options or a row of a table is judged by.
METRICS = {"wer": word_error_rate, "cer": character_error_rate, "per": word_error_rate}


def order_metrics(first: Metric) -> tuple[Metric, ...]:
    """Metrics in the order of a table's columns: what counts comes first; phones have one."""
    orders: dict[Metric, tuple[Metric, ...]] = {"wer": ("wer", "cer"), "cer": ("cer", "wer")}
    return orders.get(first, (first,))


def split_units(text: str, metric: Metric) -> list[str]:
    """Return what a metric counts of a text."""
    return list(text) if metric == "cer" else text.split()


def check_metric(name: str) -> None:
    """Refuse what is no metric.

    Raises:
        ValueError: the name is neither "auto" nor one of METRICS.
    """
    if name != "auto" and name not in METRICS:
        raise ValueError(f"metric must be auto, wer, cer or per, got {name!r}")


def choose_metric(name: str, separates_words: bool, says_phones: bool = False) -> Metric:
    """Resolve "auto": phones where tokens are phones, characters where words are not apart.

    Raises:
        ValueError: the name is neither "auto" nor one of METRICS, or counts what the texts of the
            model do not hold: phones are no words, and characters no phones.
    """
    check_metric(name)
    if says_phones != (name == "per") and (says_phones, name) != (True, "auto"):
        kind, wanted = ("", "auto or per") if says_phones else ("not ", "auto, wer or cer")
        raise ValueError(
            f"metric must be {wanted} for a model whose tokens are {kind}phones, got {name!r}"
        )
    if name != "auto":
        return cast(Metric, name)
    if says_phones:
        return "per"
    return "wer" if separates_words else "cer"


def compare_error_rates(
    references: Sequence[str],
    hypotheses: Sequence[str],
    others: Sequence[str],
    *,
    metric: Metric = "wer",
    seed: int = 0,
) -> RateDifference:
    """Score two hypotheses of every utterance against each other.

    Both rates are taken on the same draws of utterances: what makes a draw hard for both cancels
    out, and the interval is narrower than those of the two rates suggest.

    Args:
        references: one text for each utterance.
        hypotheses: as many texts.
        others: as many texts of another system.
        metric: what is counted.
        seed: of the bootstrap.

    Returns:
        The rate of `hypotheses` minus that of `others`; 0 without anything in the references.

    Raises:
        ValueError: they have different lengths.
        TypeError: one is a string rather than a sequence of them.

    Source: Bisani and Ney 2004, "Bootstrap estimates for confidence intervals in ASR performance
        evaluation", ICASSP, section 3.
    """
    _check(references, hypotheses)
    _check(references, others)
    split = [split_units(reference, metric) for reference in references]
    lengths = np.array([len(words) for words in split], dtype=np.int64)  # (N,)
    errors, other_errors = (
        np.array(
            [
                sum(_count_errors(r, split_units(t, metric))[:3])
                for r, t in zip(split, texts, strict=True)
            ],
            dtype=np.int64,
        )
        for texts in (hypotheses, others)
    )  # (N,) each
    change = errors - other_errors
    if not lengths.any():
        return RateDifference(0.0, 0.0, 0.0, 0.0)
    differences = _draw_rates(change, lengths, seed)
    better = float((differences < 0).mean())
    difference = float(change.sum() / lengths.sum())
    return RateDifference(difference, *_central(differences), better)


def align(
    reference_words: Sequence[str], hypothesis_words: Sequence[str]
) -> list[tuple[str | None, str | None]]:
    """Pair the words of a reference and a hypothesis with the fewest errors.

    Returns:
        (reference word, hypothesis word) in order; None stands in a deletion's second place and in
        an insertion's first. Of the alignments with the fewest errors it is one with the fewest
        substitutions, as sclite's.

    Source: NIST SCTK's sclite; kaldialign `sclite_mode`.
    """
    words = sorted({*reference_words, *hypothesis_words})
    ids = {word: i for i, word in enumerate(words)}
    pairs = _align_ids([ids[w] for w in reference_words], [ids[w] for w in hypothesis_words])
    return [(None if r == _GAP else words[r], None if h == _GAP else words[h]) for r, h in pairs]


def write_trn(path: str | Path, ids: Sequence[str], texts: Sequence[str]) -> None:
    r"""Write `text (id)` lines for `sclite -s -e utf-8 -i spu_id -r ref.trn trn -h hyp.trn trn`.

    The characters { } @ * ; \ are markup to sclite and become their full-width forms, in reference
    and hypothesis alike, which leaves the counts as they are.

    Raises:
        ValueError: the two have different lengths, or an id is empty, repeated or holds parentheses
            or white space.
    """
    if len(ids) != len(texts):
        raise ValueError(f"ids and texts must be as many, got {len(ids)} and {len(texts)}")
    seen: set[str] = set()
    for name in ids:
        if not name or name in seen or any(c in "()" or c.isspace() for c in name):
            raise ValueError(
                f"ids must be unique, without parentheses and white space, got {name!r}"
            )
        seen.add(name)
    lines = [
        f"{' '.join(text.split()).translate(_MARKUP)} ({name.translate(_MARKUP)})\n"
        for name, text in zip(ids, texts, strict=True)
    ]
    write_atomically(path, "".join(lines))


def _check(references: Sequence[str], hypotheses: Sequence[str]) -> None:
    if isinstance(references, str) or isinstance(hypotheses, str):
        raise TypeError("references and hypotheses must be sequences of texts, got one text")
    if len(references) != len(hypotheses):
        raise ValueError(
            "references and hypotheses must be as many, "
            f"got {len(references)} and {len(hypotheses)}"
        )


def _score(references: list[list[str]], hypotheses: list[list[str]], seed: int) -> ErrorRate:
    pairs = zip(references, hypotheses, strict=True)
    counts = [_count_errors(reference, hypothesis) for reference, hypothesis in pairs]
    table = np.array(counts, dtype=np.int64).reshape(-1, 4)  # (N, 4)
    insertions, deletions, substitutions, length = (int(n) for n in table.sum(axis=0))
    errors = table[:, :3].sum(axis=1)
    low, high = _central(_draw_rates(errors, table[:, 3], seed))
    rate = float(_divide(np.array(insertions + deletions + substitutions), np.array(length)))
    return ErrorRate(rate, insertions, deletions, substitutions, length, low, high)


def _count_errors(reference: list[str], hypothesis: list[str]) -> tuple[int, int, int, int]:
    """Return insertions, deletions, substitutions and the reference's length."""
    if reference == hypothesis:
        return 0, 0, 0, len(reference)
    pairs = align(reference, hypothesis)
    insertions = sum(r is None for r, _ in pairs)
    deletions = sum(h is None for _, h in pairs)
    substitutions = sum(r is not None and h is not None and r != h for r, h in pairs)
    return insertions, deletions, substitutions, len(reference)


def _align_ids(reference: list[int], hypothesis: list[int]) -> list[tuple[int, int]]:
    pairs = kaldialign.align(reference, hypothesis, _GAP, sclite_mode=True)
    fewest = kaldialign.edit_distance(reference, hypothesis)["total"]
    if sum(r != h for r, h in pairs) == fewest:
        return pairs
    return _align_fewest_errors(np.array(reference), np.array(hypothesis))


def _align_fewest_errors(reference: np.ndarray, hypothesis: np.ndarray) -> list[tuple[int, int]]:
    """Align with the fewest errors and, among those, the fewest substitutions.

    Row i of the table of costs is the previous one plus a deletion or a substitution, then the
    running minimum over insertions: min over k <= j of cost[k] + (j - k) * error.
    """
    num_rows, num_columns = len(reference), len(hypothesis)
    error = num_rows + num_columns + 1  # more than all the substitutions that can break a tie
    insertions = error * np.arange(num_columns + 1)
    costs = np.empty((num_rows + 1, num_columns + 1), dtype=np.int64)
    costs[0] = insertions
    for i in range(num_rows):
        row = costs[i] + error
        different = (hypothesis != reference[i]) * (error + 1)
        row[1:] = np.minimum(row[1:], costs[i, :-1] + different)
        costs[i + 1] = np.minimum.accumulate(row - insertions) + insertions
    pairs: list[tuple[int, int]] = []
    i, j = num_rows, num_columns
    while i or j:
        r, h = int(reference[i - 1]) if i else _GAP, int(hypothesis[j - 1]) if j else _GAP
        if i and j and costs[i, j] == costs[i - 1, j - 1] + (r != h) * (error + 1):
            i, j = i - 1, j - 1
        elif i and costs[i, j] == costs[i - 1, j] + error:
            i, h = i - 1, _GAP
        else:
            j, r = j - 1, _GAP
        pairs.append((r, h))
    return pairs[::-1]


def _draw_rates(errors: np.ndarray, lengths: np.ndarray, seed: int) -> np.ndarray:
    """Return the rates of corpora drawn with replacement, (K,); that of no utterance is 0."""
    if len(errors) == 0:
        return np.zeros(1)
    rng = np.random.default_rng(seed)
    sums = np.empty((2, _REPLICATES), dtype=np.int64)
    for k in range(_REPLICATES):
        drawn = rng.integers(len(errors), size=len(errors))
        sums[:, k] = errors[drawn].sum(), lengths[drawn].sum()
    return _divide(sums[0], sums[1])


def _central(rates: np.ndarray) -> tuple[float, float]:
    """Return the 2.5 % and 97.5 % quantiles."""
    # Quantiles that are members of the sample: interpolation has no answer beside an infinite rate.
    return (
        float(np.quantile(rates, 0.025, method="lower")),
        float(np.quantile(rates, 0.975, method="higher")),
    )


def _divide(errors: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return errors / lengths with 0 / 0 = 0 and n / 0 = inf, or -inf where n < 0."""
    empty = np.select([errors > 0, errors < 0], [np.inf, -np.inf], 0.0)
    return np.where(lengths > 0, errors / np.maximum(lengths, 1), empty)
