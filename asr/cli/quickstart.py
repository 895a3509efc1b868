"""`asr quickstart`: corpus, language model, training, four decoders, a table and a report."""

import argparse
import logging
import time
from contextlib import closing
from pathlib import Path
from typing import cast

import yaml

from asr.acoustic.checkpoint import load_checkpoint
from asr.acoustic.model import AcousticModel, build_model
from asr.augment import WaveformAugment
from asr.cli.assembly import build_tokenizer, choose_device, make_loader, open_test_set
from asr.cli.hydra_config import add_override_arguments, build, run_with_config
from asr.cli.run_folder import check_same_config
from asr.cli.texts import settle_texts
from asr.cli.train import FREE_KEYS, make_stepper, train
from asr.data.loading import BatchLoader
from asr.data.manifest import read_manifest
from asr.decoding import BeamSearchDecoder, Decoder, GreedyDecoder, NGramLM, PrefixSearchDecoder
from asr.evaluation.report import write_report
from asr.evaluation.results import decode_share, format_scores, write_shares
from asr.evaluation.scoring import Padding
from asr.files import write_atomically
from asr.ngram.estimation import build_ngram
from asr.recognition.recognizer import Recognizer
from asr.synth.corpus import SynthRequest, generate
from asr.text import SentencePieceTokenizer
from asr.training.pace import choose_epochs, measure_epoch
from asr.training.precision import choose_precision
from asr.training.run_folder import RunFolder
from asr.training.step import Stepper

EXAMPLE = """examples:
  asr quickstart
  asr quickstart quickstart.size=tiny      all of it, small, in about a minute
  asr quickstart model=ds2_gru run_dir=runs/gru

A second call skips what is done."""

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    add_override_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    return run_with_config("quickstart", args, quickstart)


def quickstart(config: dict) -> int:
    """Do everything that is not done yet."""
    started = time.monotonic()
    options = config["quickstart"]
    corpus, run_folder = Path(config["data"]["root"]), RunFolder(Path(config["run_dir"]))
    _make_corpus(corpus, options, config["seed"])
    _make_words(corpus, Path(config["tokenizer"]["path"]))
    lm_path = corpus / f"lm_{options['lm_order']}.arpa"
    _build_lm(corpus / "lm_text.txt", lm_path, options["lm_order"])
    _train(run_folder, config)
    model = load_checkpoint(run_folder.best).to(choose_device(config["device"]))
    _decode(model, run_folder, config, lm_path)
    report = run_folder.path / "report.html"
    write_report([run_folder.path], report)
    _transcribe_one(model, corpus)
    logger.info("report: %s", report)
    logger.info("all done in %.0f s", time.monotonic() - started)
    return 0


def _make_corpus(corpus: Path, options: dict, seed: int) -> None:
    logger.info("1/5 corpus: %s", corpus)
    request = SynthRequest(
        train_hours=options["hours"],
        num_dev=options["num_test"],
        num_test=options["num_test"],
        num_lm_sentences=options["lm_sentences"],
        seed=seed,
    )
    for name, split in generate(corpus, request).items():
        logger.info("    %-5s %5d utterances, %.2f h", name, split.num_utterances, split.hours)


def _make_words(corpus: Path, path: Path) -> None:
    """Make every word of the corpus a token: a grammar has few, and nothing is left to spell."""
    source = corpus / "lm_text.txt"
    if _is_made(path, source):
        return
    texts = source.read_text().splitlines()
    texts += [utterance.text for utterance in read_manifest(corpus / "train.jsonl")]
    words = {word for text in texts for word in text.split()}
    tokenizer = SentencePieceTokenizer.train(texts, len(words) + 1, "word")  # one is "<unk>"
    write_atomically(path, tokenizer.model)
    logger.info("    tokens: the %d words of its texts", len(words))


def _build_lm(text: Path, path: Path, order: int) -> None:
    logger.info("2/5 language model: %s", path)
    if _is_made(path, text):
        return
    for line in str(build_ngram([text], order, path)).splitlines():
        logger.info("    %s", line)


def _is_made(path: Path, source: Path) -> bool:
    """Whether an earlier call made a file, and of the text that is there now."""
    return path.exists() and path.stat().st_mtime >= source.stat().st_mtime


def _train(run_folder: RunFolder, config: dict) -> None:
    logger.info("3/5 training: %s", run_folder.path)
    if run_folder.averaged.exists() and not config["overwrite"]:
        done, _ = settle_texts(fit_to_machine(config, run_folder))
        check_same_config(run_folder.path / "config.yaml", done, FREE_KEYS)
        logger.info("    is done; overwrite=true trains again")
        return
    train(fit_to_machine(config, run_folder))


def fit_to_machine(config: dict, run_folder: RunFolder) -> dict:
    """Replace max_epochs=auto by what this machine trains in the time that the quickstart has.

    A run that was begun keeps the choice of its beginning.
    """
    options, trainer = dict(config["quickstart"]), dict(config["trainer"])
    if trainer["max_epochs"] != "auto":
        return config
    begun = run_folder.path / "config.yaml"
    if begun.exists() and not config["overwrite"]:
        chosen = yaml.safe_load(begun.read_text())
        options["epoch_s"] = chosen["quickstart"]["epoch_s"]
        trainer |= {key: chosen["trainer"][key] for key in ("max_epochs", "patience")}
        return config | {"quickstart": options, "trainer": trainer}
    stepper, loader = _trial(config)
    with closing(loader):
        epoch_s = measure_epoch(stepper, loader, options["measure_s"])
    budget_s = 60 * options["train_minutes"]
    epochs = choose_epochs(epoch_s, budget_s, options["epoch_choices"])
    hours = sum(u.duration for u in loader.corpus.utterances(1)) / 3600
    logger.info(
        "    this machine trains %.0f h of speech an hour, an epoch in %.0f s: %d epochs of %s "
        "fit into %.1f minutes",
        *(hours * 3600 / epoch_s, epoch_s, epochs, options["epoch_choices"], budget_s / 60),
    )
    trainer |= {"max_epochs": epochs, "patience": epochs}
    options["epoch_s"] = round(epoch_s, 1)
    return config | {"quickstart": options, "trainer": trainer}


def _trial(config: dict) -> tuple[Stepper, BatchLoader]:
    """What training will work with, and the precision that it will choose."""
    config, normalizer = settle_texts(config)
    model = build_model(config, build_tokenizer(config), normalizer)
    model.to(choose_device(config["device"]))
    augment = cast(WaveformAugment | None, build(config["augment"], "waveform"))
    loader = make_loader(config, "train", model, augment)
    stepper = make_stepper(config, model)
    stepper.precision = choose_precision(config["trainer"]["precision"], model).name
    return stepper, loader


def _decode(model: AcousticModel, run_folder: RunFolder, config: dict, lm_path: Path) -> None:
    folder = run_folder.path / "decode" / f"{config['data']['name']}_test"
    logger.info("4/5 decoding: %s", folder)
    loader, metric = open_test_set(config, "test", model)
    decoders = _decoders(model, config["quickstart"], lm_path)
    # Whoever records themselves leaves silence around what they say.
    padding = Padding(before_s=0.0, after_s=1.0, noise=0.0)
    share = decode_share(model, loader, decoders, padding, ["greedy"])
    scores = write_shares(folder, [share], loader.corpus.utterances(0), metric)
    print(format_scores(scores, metric=metric), end="")


def _decoders(model: AcousticModel, options: dict, lm_path: Path) -> dict[str, Decoder]:
    tokens, width = model.tokenizer.tokens, options["beam_width"]
    weights = {"lm_alpha": options["lm_alpha"], "lm_beta": options["lm_beta"]}
    return {
        "greedy": GreedyDecoder(tokens),
        "prefix search": PrefixSearchDecoder(
            tokens, section_threshold=options["section_threshold"]
        ),
        "beam": BeamSearchDecoder(tokens, beam_width=width),
        "beam + language model": BeamSearchDecoder(
            tokens, beam_width=width, lm=NGramLM(lm_path), **weights
        ),
    }


def _transcribe_one(model: AcousticModel, corpus: Path) -> None:
    utterance = read_manifest(corpus / "test.jsonl")[0]
    logger.info("5/5 one recording: asr transcribe %s", utterance.audio_filepath)
    print(f"said:  {utterance.text}")
    print(f"heard: {Recognizer(model).transcribe(utterance.audio_filepath).text}")
