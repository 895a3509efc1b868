"""Whether words of confidence 0.8 are right eight times in ten: reliability on test sets.

    python benchmarks/confidence.py --log-probs commands.safetensors digits.safetensors \
        -o docs/images/confidence.png

Takes what `benchmarks/emissions.py` or `asr tune` saved. A word is right when the alignment with
the reference (kaldialign) pairs it with an equal one. Prints, for greedy and beam search: words,
share right, mean confidence, expected calibration error over ten bins of equal width (Naeini et
al. 2015), Brier score, and how well confidence ranks right above wrong words (area under the ROC
curve); draws the share right over the confidence, with 95 % intervals (Wilson), where a bin has ten
words or more.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import kaldialign
import matplotlib.pyplot as plt
import numpy as np

from asr.decoding import BeamSearchDecoder, GreedyDecoder, Hypothesis, NGramLM
from asr.tuning.emissions import Emissions, read_emissions

NUM_BINS = 10
LEAST_DRAWN = 10  # words of a bin


class Judged(NamedTuple):
    """Every word that a decoder found in a set."""

    name: str
    confidence: np.ndarray  # (words,)
    right: np.ndarray  # (words,) bool


def judge(name: str, emissions: Emissions, hypotheses: list[Hypothesis]) -> Judged:
    confidence, right = [], []
    for hypothesis, reference in zip(hypotheses, emissions.references, strict=True):
        words = iter(hypothesis.words)
        said = [word.word for word in hypothesis.words]
        for truth, found in kaldialign.align(reference.split(), said, "<gap>"):
            if found != "<gap>":
                confidence.append(next(words).confidence)
                right.append(truth == found)
    return Judged(name, np.array(confidence), np.array(right, bool))


def decode(emissions: Emissions, decoder: GreedyDecoder | BeamSearchDecoder) -> list[Hypothesis]:
    best: dict[int, Hypothesis] = {}
    for batch in emissions.batches():
        n_best = decoder(batch.log_probs, batch.lengths)
        best |= {i: found[0] for i, found in zip(batch.indices, n_best, strict=True)}
    return [best[i] for i in range(len(best))]


def bins_of(judged: Judged) -> np.ndarray:
    return np.minimum((judged.confidence * NUM_BINS).astype(int), NUM_BINS - 1)


def calibration_error(judged: Judged) -> float:
    """Mean gap between confidence and share right, weighted by the words of a bin."""
    gaps = np.bincount(bins_of(judged), judged.confidence - judged.right, NUM_BINS)
    return float(np.abs(gaps).sum() / len(judged.right))


def ranking(judged: Judged) -> float:
    """Probability that a right word has more confidence than a wrong one; ties count half."""
    right, wrong = judged.confidence[judged.right], np.sort(judged.confidence[~judged.right])
    if not len(right) or not len(wrong):
        return float("nan")
    below = np.searchsorted(wrong, right, "left") + np.searchsorted(wrong, right, "right")
    return float(below.mean() / 2 / len(wrong))


def wilson(right: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share."""
    z = 1.96
    middle = (right + z * z / 2) / (total + z * z)
    half = z / (total + z * z) * np.sqrt(right * (total - right) / total + z * z / 4)
    return middle - half, middle + half


def draw(sets: list[Judged], out: Path) -> None:
    figure, axis = plt.subplots(figsize=(6.4, 5.2), layout="constrained")
    axis.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="perfect")
    for place, judged in enumerate(sets):
        owner = bins_of(judged)
        filled = [b for b in range(NUM_BINS) if (owner == b).sum() >= LEAST_DRAWN]
        x = [judged.confidence[owner == b].mean() for b in filled]
        y = np.array([judged.right[owner == b].mean() for b in filled])
        limits = np.array(
            [wilson(int(judged.right[owner == b].sum()), int((owner == b).sum())) for b in filled]
        )
        error = np.clip([y - limits[:, 0], limits[:, 1] - y], 0, None)
        shift = 0.004 * (place - len(sets) / 2)
        axis.errorbar(np.array(x) + shift, y, error, marker="o", markersize=4, label=judged.name)
    axis.set(xlabel="confidence of a word", ylabel="share of such words that are right")
    axis.legend()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--log-probs", type=Path, nargs="+", required=True)
    parser.add_argument("--lm", type=Path, help="a language model for the beam")
    parser.add_argument("-o", "--out", type=Path, help="the picture")
    options = parser.parse_args()
    lm = NGramLM(options.lm) if options.lm else None
    sets = []
    print("| set, decoder | words | right % | mean confidence % | ECE % | Brier | AUC |")
    print("|---|" + "---:|" * 6)
    for path in options.log_probs:
        emissions = read_emissions(path)
        for name, decoder in (
            ("greedy", GreedyDecoder(emissions.tokens, emissions.blank)),
            ("beam", BeamSearchDecoder(emissions.tokens, emissions.blank, lm=lm)),
        ):
            judged = judge(f"{path.stem}, {name}", emissions, decode(emissions, decoder))
            sets.append(judged)
            brier = np.square(judged.confidence - judged.right).mean()
            print(
                f"| {judged.name} | {len(judged.right)} | {100 * judged.right.mean():.1f} "
                f"| {100 * judged.confidence.mean():.1f} | {100 * calibration_error(judged):.1f} "
                f"| {brier:.3f} | {ranking(judged):.3f} |"
            )
    if options.out:
        draw(sets, options.out)


if __name__ == "__main__":
    main()
