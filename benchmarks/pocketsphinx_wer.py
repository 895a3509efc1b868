"""Word error rate of PocketSphinx's bundled US English model on our test sets, as a yardstick.

    pip install pocketsphinx
    python benchmarks/pocketsphinx_wer.py --manifest data/fsdd/test.jsonl --fsdd-root data/fsdd
    python benchmarks/pocketsphinx_wer.py --manifest data/speech_commands/test.jsonl

`--manifest` takes any number of manifests; `--fsdd-root` adds the connected digits of the test
split of conf/data/fsdd_connected.yaml. PocketSphinx is told the vocabulary: a JSGF grammar of the
words that the set's texts hold, one of them where every text is one word, else one or more. Nothing
is trained, adapted or tuned: its settings are the defaults, and utterances go in as they are.
"""

import argparse
import logging
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from asr.audio import audio_info, read_audio
from asr.cli.environment import environment
from asr.cli.hydra_config import build, compose_config
from asr.corpora.connected_digits import ComposedUtterance
from asr.data.manifest import Utterance, read_manifest
from asr.evaluation.metrics import ErrorRate, word_error_rate

try:
    from pocketsphinx import Decoder
except ImportError:
    sys.exit("PocketSphinx is missing and no dependency of asr: pip install pocketsphinx")

SAMPLE_RATE = 16000  # Hz, what the bundled model was trained on
GRAMMAR = "words"
COLUMNS = f"{'set':<26}{'utts':>6}{'words':>7}{'vocab':>7}{'WER %':>8}{'95 %':>15}"
COLUMNS += f"{'I/D/S':>13}{'empty':>7}{'RTF wall':>10}{'RTF CPU':>9}{'seconds':>9}"


class TestSet(NamedTuple):
    """What is recognised, under the name that the table shows."""

    name: str
    utterances: Sequence[Utterance | ComposedUtterance]


@dataclass
class Result:
    """Texts of a set, and the time that recognition took without reading and resampling."""

    references: list[str]
    hypotheses: list[str]
    audio_s: float = 0.0
    wall_s: float = 0.0
    cpu_s: float = 0.0


def load_sets(manifests: list[Path], fsdd_root: Path | None) -> list[TestSet]:
    sets = [TestSet(f"{p.parent.name} {p.stem}", read_manifest(p)) for p in manifests]
    if fsdd_root is not None:
        words = ["data=fsdd_connected", f"data.root={fsdd_root.resolve()}"]
        digits = build(compose_config("train", words)["data"], "test")
        sets.append(TestSet("fsdd_connected test", digits.utterances(0)))
    return sets


def describe_source(utterances: Sequence[Utterance | ComposedUtterance]) -> str:
    """Say what rates the recordings have; upsampled ones lack the upper half of the spectrum."""
    files = {f.audio_filepath for u in utterances for f in getattr(u, "clips", (u,))}
    rates = sorted({audio_info(file).sample_rate for file in files})
    text = ", ".join(f"{rate} Hz" for rate in rates)
    if rates[0] < SAMPLE_RATE:
        text += f", UPSAMPLED to {SAMPLE_RATE} Hz: nothing above {rates[0] // 2} Hz in those"
    return text


def make_grammar(words: Sequence[str], *, repeats: bool) -> str:
    """JSGF for one of the words, or for one or more of them."""
    choice = f"( {' | '.join(words)} )"
    return f"#JSGF V1.0;\ngrammar {GRAMMAR};\npublic <text> = {choice}{'+' if repeats else ''};\n"


def make_decoder(words: Sequence[str], *, repeats: bool) -> Decoder:
    decoder = Decoder(lm=None, loglevel="FATAL")
    decoder.add_jsgf_string(GRAMMAR, make_grammar(words, repeats=repeats))
    decoder.activate_search(GRAMMAR)
    return decoder


def read_samples(utterance: Utterance | ComposedUtterance) -> bytes:
    """16-bit samples at the model's rate."""
    if isinstance(utterance, ComposedUtterance):
        waveform = utterance.waveform(SAMPLE_RATE)
    else:
        waveform = read_audio(utterance.audio_filepath, SAMPLE_RATE).waveform
    return np.clip(np.rint(waveform * 32768.0), -32768, 32767).astype(np.int16).tobytes()


def recognize(decoder: Decoder, samples: bytes) -> str:
    """The best text; empty where no path reaches the grammar's end."""
    decoder.start_utt()
    # The whole utterance at once: its own mean is subtracted, not that of the utterances before it.
    decoder.process_raw(samples, full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return hypothesis.hypstr if hypothesis else ""


def run(test_set: TestSet, decoder: Decoder) -> Result:
    result = Result([], [])
    for utterance in tqdm(test_set.utterances, desc=test_set.name, unit="utt", leave=False):
        samples = read_samples(utterance)
        wall, cpu = time.perf_counter(), time.process_time()
        result.hypotheses.append(recognize(decoder, samples))
        result.wall_s += time.perf_counter() - wall
        result.cpu_s += time.process_time() - cpu
        result.references.append(utterance.text)
        result.audio_s += utterance.duration
    return result


def measure(test_set: TestSet) -> tuple[str, list[str]]:
    """A line of the table, and the notes on it."""
    started = time.perf_counter()
    texts = [utterance.text.split() for utterance in test_set.utterances]
    vocabulary = sorted({word for text in texts for word in text})
    dictionary = Decoder(lm=None, loglevel="FATAL")
    unknown = {word for word in vocabulary if dictionary.lookup_word(word) is None}
    known = [word for word in vocabulary if word not in unknown]
    if not known:
        sys.exit(f"{test_set.name}: none of its words is in PocketSphinx's dictionary")
    repeats = any(len(text) != 1 for text in texts)
    result = run(test_set, make_decoder(known, repeats=repeats))
    num_lost = sum(word in unknown for text in texts for word in text)
    listed = f": {', '.join(sorted(unknown))}" if unknown else ""
    notes = [
        f"recordings: {describe_source(test_set.utterances)}",
        f"grammar: {'one or more' if repeats else 'one'} of {len(known)} words",
        f"not in its dictionary: {len(unknown)} words, {num_lost} occurrences, all errors{listed}",
    ]
    score = word_error_rate(result.references, result.hypotheses)
    line = format_line(test_set.name, len(vocabulary), score, result)
    return f"{line}{time.perf_counter() - started:>9.1f}", notes


def format_line(name: str, num_words: int, score: ErrorRate, result: Result) -> str:
    interval = f"{100 * score.low:.2f} - {100 * score.high:.2f}"
    errors = f"{score.insertions}/{score.deletions}/{score.substitutions}"
    line = f"{name:<26}{len(result.references):>6}{score.reference_length:>7}{num_words:>7}"
    line += f"{100 * score.rate:>8.2f}{interval:>15}{errors:>13}{result.hypotheses.count(''):>7}"
    return f"{line}{result.wall_s / result.audio_s:>10.3f}{result.cpu_s / result.audio_s:>9.3f}"


def print_machine() -> None:
    facts = environment()
    print(f"{facts['processor']}, one thread, {platform.system()}")
    print(f"pocketsphinx {version('pocketsphinx')} with its en-us model, python {facts['python']}")
    print(f"numpy {version('numpy')}, torchaudio {version('torchaudio')}, commit {facts['commit']}")
    print(
        f"audio at {SAMPLE_RATE} Hz; RTF: recognition alone; seconds: with reading and resampling"
    )


def main() -> None:
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", type=Path, nargs="+", default=[], help="what to recognise")
    parser.add_argument("--fsdd-root", type=Path, help="folder of the prepared single digits")
    args = parser.parse_args()
    sets = load_sets(args.manifest, args.fsdd_root)
    if not sets or not all(s.utterances for s in sets):
        parser.error("name at least one --manifest or --fsdd-root; none may be empty")
    print_machine()
    print(COLUMNS, flush=True)
    notes = []
    for test_set in sets:
        line, remarks = measure(test_set)
        print(line, flush=True)
        notes += [f"{test_set.name}: {remark}" for remark in remarks]
    print("\n".join(notes))


if __name__ == "__main__":
    main()
