"""Time the decoders beside those that can be imported, at the word error rate each reaches.

    python benchmarks/decoding.py                               # a generated language, characters
    python benchmarks/decoding.py --alphabet pieces             # 1024 SentencePieces
    python benchmarks/decoding.py --emissions test.safetensors --arpa lm.arpa --lm-weights 0.5 1.0
    python benchmarks/decoding.py --emissions phones.safetensors --arpa lm.arpa --dictionary x.dict

--emissions is a real model's output, as benchmarks/emissions.py saves it. Otherwise text comes
from --text, or from a generated language, and log-probabilities are drawn so that greedy decoding
errs in a quarter of the words. Peers: flashlight-text (torchaudio's decoder), fast-ctc-decode,
pyctcdecode (an environment with numpy below 2). Options run over each decoder's own beam and
pruning; the first table is of processor time on one thread. Before anything is timed, ours is held
to the peers' texts.
"""

import argparse
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import NamedTuple

import jiwer
import numpy as np
from decoding_curves import Point, draw, frontier
from decoding_peers import FAST_CTC_CUTS, Contestant, Weights, peers
from decoding_test_sets import TestSet, generate_test_set, read_test_set
from peak_memory import peak_memory
from turns import time_in_turns

from asr.decoding import BeamSearchDecoder, GreedyDecoder, NGramLM

EVERYTHING = slice(None)
GROUPS = ("greedy", "no LM", "LM")


class Row(NamedTuple):
    """What one contestant reached: a duration for each round."""

    contestant: Contestant
    seconds: list[float]
    wer: float

    def is_ours(self) -> bool:
        """Whether the decoder is not a peer's."""
        return self.contestant.name.startswith("asr")


def ours(group: str, test: TestSet, **options: object) -> Contestant:
    """Our beam search."""
    shown = ("beam_width", "token_min_logp", "beam_prune_logp", "token_top_n")
    label = " ".join(f"{options[name]:g}" for name in shown if name in options)
    label += " skip" if "blank_skip_threshold" in options else ""
    name = "asr, lexicon" if options.get("lexicon") else "asr"
    one, two = (BeamSearchDecoder(test.tokens, num_threads=n, **options) for n in (1, 2))
    return Contestant(group, name, label, texts_of(one, test), texts_of(two, test))


def texts_of(
    decoder: BeamSearchDecoder | GreedyDecoder, test: TestSet
) -> Callable[[slice], list[str]]:
    """One call for all that is chosen."""

    def decode(chosen: slice) -> list[str]:
        return [h[0].text for h in decoder(test.log_probs[chosen], test.lengths[chosen])]

    return decode


def our_contestants(test: TestSet, lm: NGramLM, weights: Weights) -> list[Contestant]:
    """Our decoders over beam and pruning."""
    contestants = []
    if test.pronunciations is None:
        greedy = texts_of(GreedyDecoder(test.tokens), test)
        contestants = [Contestant("greedy", "asr", "", greedy)]
    known = test.pronunciations or [word for word in lm.words() if not word.startswith("<")]
    model = {"lm": lm, "lm_alpha": weights.alpha, "lm_beta": weights.beta}
    for limits in our_limits(len(test.tokens)):
        if test.pronunciations is not None:
            contestants.append(ours("LM", test, lexicon=known, **model, **limits))
            continue
        contestants.append(ours("no LM", test, **limits))
        contestants.append(ours("LM", test, unk_score=-10.0, **model, **limits))
        contestants.append(ours("LM", test, lexicon=known, **model, **limits))
    return contestants


def our_limits(num_classes: int) -> Iterator[dict[str, float]]:
    """Beams and prunings: some of each, what fast-ctc-decode's cut-offs mean, the top of many."""
    for width in (5, 10, 20, 100):
        for token, beam in ((-5.0, -8.0), (-6.9, -12.0), (-9.0, -14.0)):
            yield {"beam_width": width, "token_min_logp": token, "beam_prune_logp": beam}
        for cut in FAST_CTC_CUTS:
            yield twin_options(width, cut)
            yield {**twin_options(width, cut), "beam_prune_logp": -8.0}
        if num_classes > 100:
            for token, beam, top_n in ((-6, -8, 8), (-7, -8, 8), (-7, -8, 12), (-7, -8, 24)):
                limits = {"token_min_logp": token, "beam_prune_logp": beam, "token_top_n": top_n}
                yield {"beam_width": width, **limits}


def twin_options(width: int, cut: float) -> dict[str, float]:
    """What fast-ctc-decode does: below its cut-off a token neither begins nor goes on.

    And what it cannot: prefixes far behind the best are dropped.
    """
    return {
        "beam_width": width,
        "token_min_logp": round(math.log(cut), 1),
        "beam_prune_logp": -5.0,
        "blank_skip_threshold": 1 - cut,
    }


def assert_agreement(contestants: list[Contestant], references: list[str]) -> None:
    """Hold our widest searches to those peers that sum the same alignments.

    Texts may differ where a model is unsure: flashlight-text adds up what it merges, spells a word
    in one way, and loses more to its beam.
    """
    by_key = {(c.group, c.name, c.options): c for c in contestants}
    mine = {"fast-ctc-decode": ("no LM", "asr"), "flashlight-text": ("LM", "asr, lexicon")}
    for peer, (group, name) in mine.items():
        members = [c for c in contestants if c.name == peer and c.group == group]
        widest = [c for c in members if c.options.startswith("100 ")]
        if not widest:
            continue
        theirs = widest[0].decode(EVERYTHING)
        texts = by_key[group, name, "100 -9 -14"].decode(EVERYTHING)
        same = np.mean([a == b for a, b in zip(texts, theirs, strict=True)])
        rates = [jiwer.wer(references, found) for found in (texts, theirs)]
        print(f"beam 100: WER {rates[0]:.2%}, {rates[1]:.2%} of {peer}; {same:.1%} of texts equal")
        assert rates[0] < rates[1] + 0.01, f"we disagree with {peer}"


def measure(contestants: list[Contestant], test: TestSet, repeats: int) -> list[Row]:
    """Time interleaved rounds."""
    rows = [Row(c, [], jiwer.wer(test.references, c.decode(EVERYTHING))) for c in contestants]
    for _ in range(repeats):
        for row in rows:
            start = time.process_time()
            row.contestant.decode(EVERYTHING)
            row.seconds.append(time.process_time() - start)
    return rows


def best_settings(rows: list[Row]) -> list[Row]:
    """Of each decoder in each group, the settings that no other of its own beats in both ways."""
    curves: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        curves.setdefault((row.contestant.group, row.contestant.name), []).append(row)
    return [row for members in curves.values() for row in frontier(members, speed, wer)]


def speed(row: Row) -> float:
    """Passes over the test set a second, in the fastest round."""
    return 1 / min(row.seconds)


def wer(row: Row) -> float:
    """Return the word error rate."""
    return row.wer


def report_speed(rows: list[Row], num_utterances: int) -> None:
    """Print a peer's every setting beside our fastest of no higher error rate."""
    best = best_settings(rows)
    print("\n* no other setting of the decoder is both faster and more accurate")
    print("ratio: without LM to our same search, else to our fastest of no higher WER")
    header = f"{'decoder':18}{'beam, pruning':16}{'utt/s':>9}{'WER %':>8}"
    print(f"{'':8}{header}   ratio of ours: min, median")
    for row in sorted(rows, key=lambda r: GROUPS.index(r.contestant.group)):
        group, name, options, *_ = row.contestant
        mark = "*" if row in best else " "
        figures = f"{num_utterances * speed(row):9.0f}{100 * row.wer:8.2f}"
        print(f"{group:7}{mark}{name:18}{options:16}{figures}{compare(row, rows)}")


def compare(row: Row, rows: list[Row]) -> str:
    """Say how much faster ours is: the same search, or our fastest of no higher error rate."""
    if row.is_ours():
        return ""
    mine = [r for r in rows if r.is_ours() and r.contestant.group == row.contestant.group]
    if row.contestant.twin:
        matched = [r for r in mine if r.contestant.options == row.contestant.twin]
    else:
        matched = [r for r in mine if r.wer <= row.wer + 1e-9]
    if not matched:
        return "   none"
    fastest = max(matched, key=speed)
    least = min(row.seconds) / min(fastest.seconds)
    middle = median(row.seconds) / median(fastest.seconds)
    setting = f"{fastest.contestant.name} {fastest.contestant.options}"
    return f"{least:8.1f} x{middle:8.1f} x   {setting} ({100 * fastest.wer:.2f})"


def report_threads(rows: list[Row], repeats: int) -> None:
    """Print what a second thread gives each decoder's most accurate setting, and its memory.

    Ours has threads of its own. Peers get two of Python's, which take parts of the set in turns:
    they help a decoder that leaves the interpreter's lock. A measurement is of half a second.
    """
    print(f"\n{'':8}{'decoder':18}{'beam, pruning':18}{'2 threads: min, median':>24}{'MiB':>8}")
    searches = [row for row in best_settings(rows) if row.contestant.group != "greedy"]
    chosen = {(row.contestant.group, row.contestant.name): row for row in searches}
    with ThreadPoolExecutor(2) as pool:
        for row in chosen.values():
            group, name, options, decode, *_ = row.contestant
            passes = math.ceil(0.5 / min(row.seconds))
            runs = [
                lambda decode=decode, passes=passes: [decode(EVERYTHING) for _ in range(passes)],
                lambda row=row, passes=passes: run_on_two(row.contestant, passes, pool),
            ]
            one, two = time_in_turns(runs, repeats, [time.perf_counter] * 2)
            ratios = f"{min(one) / min(two):14.2f} x{median(one) / median(two):8.2f} x"
            needed = peak_memory(lambda decode=decode: decode(EVERYTHING))
            print(f"{group:8}{name:18}{options:18}{ratios}{needed:8.1f}")


def run_on_two(contestant: Contestant, passes: int, pool: ThreadPoolExecutor) -> None:
    """Decode everything `passes` times with two threads."""
    if contestant.on_two is not None:
        for _ in range(passes):
            contestant.on_two(EVERYTHING)
        return
    parts = [slice(i, None, 16) for i in range(16)]
    for _ in pool.map(contestant.decode, parts * passes):
        pass


def report_models(test: TestSet) -> None:
    """Time the loading of the model from both of its forms, and KenLM's."""
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / "lm.bin"
        start = time.perf_counter()
        lm = NGramLM(test.arpa)
        seconds = time.perf_counter() - start
        lm.save(compiled)
        start = time.perf_counter()
        NGramLM(compiled)
        mapped = time.perf_counter() - start
    print(f"model of {len(lm)} words: {seconds:.3f} s from ARPA, {mapped * 1e3:.2f} ms compiled")
    try:
        import kenlm
    except ImportError:
        return
    start = time.perf_counter()
    kenlm.Model(str(test.arpa))
    print(f"KenLM: {time.perf_counter() - start:.3f} s from ARPA")


def draw_curves(rows: list[Row], num_utterances: int, title: str, out: Path) -> None:
    """Draw speed over error rate."""
    points = [
        Point(r.contestant.group, r.contestant.name, num_utterances * speed(r), r.wer) for r in rows
    ]
    draw(points, title, out)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--alphabet", choices=["characters", "pieces"], default="characters")
    parser.add_argument("--text", type=Path, help="sentences, one a line; may be gzipped")
    parser.add_argument("--emissions", type=Path, help="a real model's output")
    parser.add_argument("--arpa", type=Path, help="word model for --emissions")
    parser.add_argument("--dictionary", type=Path, help="how words are said, where they are phones")
    parser.add_argument("--lm-weights", type=float, nargs=2, default=(0.6, 1.5))
    parser.add_argument("--utterances", type=int, help="at most; 100 of a generated language")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--figure", type=Path, help="draw the curves here")
    arguments = parser.parse_args()
    if bool(arguments.emissions) != bool(arguments.arpa):
        parser.error("--emissions and --arpa go together")
    return arguments


def main() -> None:
    """Run."""
    arguments = parse()
    weights = Weights(*arguments.lm_weights)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.emissions:
            name = arguments.emissions.stem
            chosen = arguments.arpa, arguments.utterances, arguments.dictionary
            test = read_test_set(arguments.emissions, *chosen)
        else:
            name = f"generated {arguments.alphabet}"
            count = arguments.utterances or 100
            test = generate_test_set(arguments.alphabet, arguments.text, count, Path(folder))
        count = len(test.references)
        print(f"{platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}")
        shape = f"{count} utterances, {test.lengths.mean():.0f} frames, {len(test.tokens)} classes"
        print(f"{name}: {shape}; alpha {weights.alpha:g}, beta {weights.beta:g}")
        report_models(test)
        lm = NGramLM(test.arpa)
        contestants = our_contestants(test, lm, weights) + peers(test, weights)
        assert_agreement(contestants, test.references)
        rows = measure(contestants, test, arguments.repeats)
        report_speed(rows, count)
        report_threads(rows, arguments.repeats)
        if arguments.figure:
            draw_curves(rows, count, f"{name}, {shape}", arguments.figure)


if __name__ == "__main__":
    main()
