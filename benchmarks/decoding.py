"""Time the decoders beside those that can be imported, at the word error rate each reaches.

    python benchmarks/decoding.py                               # generated characters
    python benchmarks/decoding.py --alphabet pieces
    python benchmarks/decoding.py --log-probs dev.npz --arpa lm.arpa

A file of --log-probs holds log_probs (N, T, C), lengths (N,), references (N,) and tokens (C,), with
the blank first. Otherwise text comes from --text, or from a generated language, and emissions are
drawn so that greedy decoding errs in a quarter of the words. Peers: flashlight-text (which is
torchaudio's decoder), fast-ctc-decode, pyctcdecode (an environment with numpy below 2). Options
run over each decoder's own pruning; times are of CPU, one thread, the best of --repeats
interleaved rounds. Before anything is timed, ours is held to fast-ctc-decode's texts.
"""

import argparse
import gzip
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jiwer
import numpy as np
from decoding_peers import LM_WEIGHTS, Contestant, TestSet, peers

from asr.decoding import BeamSearchDecoder, GreedyDecoder, NGramLM
from asr.decoding.ngram_estimation import estimate_ngram


class Row(NamedTuple):
    """What one contestant reached."""

    contestant: Contestant
    per_second: float
    wer: float


def read_text(path: Path | None, num_sentences: int) -> list[str]:
    """Lines of a file, or of a generated language: Zipf words, each with favourite followers."""
    if path is not None:
        text = path.read_bytes()
        text = gzip.decompress(text) if path.suffix == ".gz" else text
        return [line for line in text.decode().splitlines() if line.strip()]
    rng = random.Random(1)
    syllables = [c + v + e for c in "bdfgklmnprstvw" for v in "aeiou" for e in ("", "n", "s", "t")]
    words = ["".join(rng.choices(syllables, k=rng.choice([1, 2, 2, 3]))) for _ in range(20_000)]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    followers = {w: rng.choices(words, weights, k=8) for w in words}
    sentences = []
    for _ in range(num_sentences):
        sentence = rng.choices(words, weights)
        for _ in range(rng.randint(7, 18)):
            likely = followers[sentence[-1]] if rng.random() < 0.7 else None
            sentence += [rng.choice(likely)] if likely else rng.choices(words, weights)
        sentences.append(" ".join(sentence))
    return sentences


def emit(ids: list[int], num_classes: int, noise: float, rng: np.random.Generator) -> np.ndarray:
    """(T, C) ln probabilities: spikes between blanks, each with a rival."""
    rows = []
    for previous, c in zip([0, *ids], ids, strict=False):
        for _ in range(rng.integers(0, 4) + (previous == c)):
            rows.append(rng.normal(size=num_classes))
            rows[-1][0] += rng.normal(9.0, 1.5)
        row = rng.normal(size=num_classes)
        row[c] += rng.normal(7.5, 2.0)
        row[(c * 7 + rng.integers(1, 5)) % (num_classes - 1) + 1] += rng.normal(noise, 2.0)
        rows += [row] * (1 + (rng.random() < 0.3))
    logits = np.array(rows)
    return (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)


def generate(arguments: argparse.Namespace, folder: Path) -> TestSet:
    """Split the text, estimate a 3-gram on one part and speak sentences of the other."""
    lines = read_text(arguments.text, 30_000)
    random.Random(0).shuffle(lines)
    spoken = [line for line in lines if 8 <= len(line.split()) <= 20][: arguments.utterances]
    held_out = set(spoken)
    arpa = folder / "lm.arpa"
    estimate_ngram([line for line in lines if line not in held_out], 3, arpa)
    tokens, encode = character_tokens(lines)
    noise = 0.6
    if arguments.alphabet == "pieces":
        tokens, encode = piece_tokens(lines, folder)
        noise = 1.5
    rng = np.random.default_rng(0)
    emissions = [emit(encode(text), len(tokens), noise, rng) for text in spoken]
    lengths = np.array([len(x) for x in emissions])
    log_probs = np.zeros((len(spoken), lengths.max(), len(tokens)), np.float32)
    for row, emission in zip(log_probs, emissions, strict=True):
        row[: len(emission)] = emission
    return TestSet(log_probs, lengths, spoken, tokens, arpa)


def character_tokens(lines: list[str]) -> tuple[list[str], Callable[[str], list[int]]]:
    """Blank, space and letters, with the function that spells a text."""
    tokens = ["<blank>", *sorted(set("".join(lines)))]
    ids = {token: index for index, token in enumerate(tokens)}
    return tokens, lambda text: [ids[letter] for letter in text]


def piece_tokens(lines: list[str], folder: Path) -> tuple[list[str], Callable[[str], list[int]]]:
    """1024 classes of SentencePiece."""
    import sentencepiece

    prefix = str(folder / "pieces")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=prefix, vocab_size=1023, minloglevel=2,
        bos_id=-1, eos_id=-1,
    )  # fmt: skip
    processor = sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")
    pieces = [processor.id_to_piece(i) for i in range(1023)]
    return ["<blank>", *pieces], lambda text: [i + 1 for i in processor.encode(text)]


def load(arguments: argparse.Namespace) -> TestSet:
    """Saved log-probabilities of a real model."""
    saved = np.load(arguments.log_probs)
    count = slice(arguments.utterances)
    return TestSet(
        saved["log_probs"][count],
        saved["lengths"][count],
        [str(reference) for reference in saved["references"][count]],
        [str(token) for token in saved["tokens"]],
        arguments.arpa,
    )


def ours(group: str, test: TestSet, **options: object) -> Contestant:
    """Our beam search on one thread."""
    decoder = BeamSearchDecoder(test.tokens, num_threads=1, **options)
    shown = ("beam_width", "token_min_logp", "beam_prune_logp")
    label = " ".join(str(options[name]) for name in shown if name in options)
    name = "asr, lexicon" if options.get("lexicon") else "asr"

    def decode(data: TestSet) -> list[str]:
        return [h[0].text for h in decoder(data.log_probs, data.lengths)]

    return Contestant(group, name, label, decode)


def our_contestants(test: TestSet, lm: NGramLM | None) -> list[Contestant]:
    """Our decoders over beam and pruning."""
    greedy = GreedyDecoder(test.tokens)
    contestants = [
        Contestant("greedy", "asr", "", lambda data: [
            h[0].text for h in greedy(data.log_probs, data.lengths)
        ])
    ]  # fmt: skip
    prunings = [(-5.0, -8.0), (-7.0, -12.0), (-9.0, -14.0)]
    for width in (10, 20, 100):
        for token, beam in prunings:
            limits = {"beam_width": width, "token_min_logp": token, "beam_prune_logp": beam}
            contestants.append(ours("no LM", test, **limits))
            if lm is None:
                continue
            known = [word for word in lm.words() if not word.startswith("<")]
            options = {"lm": lm, **LM_WEIGHTS, **limits}
            contestants.append(ours("LM", test, unk_score=-10.0, **options))
            contestants.append(ours("LM", test, lexicon=known, **options))
    return contestants


def assert_agreement(contestants: list[Contestant], test: TestSet) -> None:
    """Hold our search without a model to fast-ctc-decode's, where the same mass is summed."""
    texts = {(c.name, c.options): c for c in contestants if c.group == "no LM"}
    theirs = texts.get(("fast-ctc-decode", "100 0.001"))
    if theirs is not None:
        mine = texts["asr", "100 -7.0 -12.0"].decode(test)
        same = np.mean([a == b for a, b in zip(mine, theirs.decode(test), strict=True)])
        print(f"texts equal to fast-ctc-decode's, beam 100: {same:.1%}")
        assert same > 0.9, "the decoders disagree"


def measure(contestants: list[Contestant], test: TestSet, repeats: int) -> list[Row]:
    """Best of interleaved rounds."""
    seconds = [float("inf")] * len(contestants)
    rates = [0.0] * len(contestants)
    for _ in range(repeats):
        for index, contestant in enumerate(contestants):
            start = time.process_time()
            texts = contestant.decode(test)
            seconds[index] = min(seconds[index], time.process_time() - start)
            rates[index] = jiwer.wer(test.references, texts)
    count = len(test.references)
    return [Row(c, count / s, r) for c, s, r in zip(contestants, seconds, rates, strict=True)]


def report(rows: list[Row]) -> None:
    """Print the table, and for each peer's row our fastest of no higher error rate."""
    print(f"{'':8}{'decoder':18}{'options':22}{'utt/s':>9}{'WER %':>8}   ours at no higher WER")
    for group in ("greedy", "no LM", "LM"):
        members = [row for row in rows if row.contestant.group == group]
        mine = [row for row in members if row.contestant.name.startswith("asr")]
        for row in members:
            matched = [m.per_second for m in mine if m.wer <= row.wer + 1e-9]
            is_peer = not row.contestant.name.startswith("asr")
            ratio = f"{max(matched) / row.per_second:8.1f} x" if matched and is_peer else ""
            note = "" if matched or not is_peer else "    none"
            name = f"{row.contestant.name:18}{row.contestant.options:22}"
            print(f"{group:8}{name}{row.per_second:9.0f}{100 * row.wer:8.2f}{ratio}{note}")


def report_models(test: TestSet) -> None:
    """Time the loading of the model from both of its forms."""
    start = time.perf_counter()
    lm = NGramLM(test.arpa)
    from_arpa = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / "lm.bin"
        lm.save(compiled)
        start = time.perf_counter()
        NGramLM(compiled)
        from_binary = time.perf_counter() - start
    print(f"{len(lm)} words: {from_arpa:.2f} s from ARPA, {from_binary * 1e3:.2f} ms compiled")


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--alphabet", choices=["characters", "pieces"], default="characters")
    parser.add_argument("--text", type=Path, help="sentences, one a line; may be gzipped")
    parser.add_argument("--log-probs", type=Path, help="npz of a real model's output")
    parser.add_argument("--arpa", type=Path, help="word model for --log-probs")
    parser.add_argument("--utterances", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    if bool(arguments.log_probs) != bool(arguments.arpa):
        parser.error("--log-probs and --arpa go together")
    with tempfile.TemporaryDirectory() as folder:
        test = load(arguments) if arguments.log_probs else generate(arguments, Path(folder))
        shape = " x ".join(str(n) for n in test.log_probs.shape)
        print(f"{platform.machine()}, Python {sys.version.split()[0]}; {shape}")
        report_models(test)
        contestants = our_contestants(test, NGramLM(test.arpa)) + peers(test)
        assert_agreement(contestants, test)
        report(measure(contestants, test, arguments.repeats))


if __name__ == "__main__":
    main()
