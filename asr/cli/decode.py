"""`asr decode`: from a checkpoint and a test set to hypotheses and a word error rate."""

import argparse
import logging
import os
import sys
from functools import partial
from pathlib import Path
from typing import cast

from asr.acoustic.checkpoint import LoadedModel, load_checkpoint
from asr.cli.hydra_config import add_override_arguments, build, run_with_config
from asr.cli.train import choose_device, make_loader
from asr.data.loading import BatchLoader
from asr.data.manifest import Utterance
from asr.decoding import NGramLM
from asr.evaluation.scoring import Score, decode_batches, format_table, write_results
from asr.recognition.recognizer import Decoder

EXAMPLE = """examples:
  asr decode checkpoint=runs/synth/ckpt/best.ckpt data=synth
  asr decode checkpoint=runs/synth/ckpt/best.ckpt data=synth decoder=beam \\
      decoder.beam_width=128 decoder.lm=lm.arpa
  asr decode checkpoint=best.ckpt data=manifest data.test_manifest=my.jsonl
  asr decode -m checkpoint=best.ckpt data=synth decoder=greedy,prefix_search,beam

`asr decode --cfg ...` prints every key with its value."""

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    add_override_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    return run_with_config("decode", args, decode)


def decode(config: dict) -> int:
    """Decode as a resolved configuration says; exit code 2 when utterances failed."""
    loaded = load_checkpoint(config["checkpoint"]).to(choose_device(config["device"]))
    decoder = make_decoder(config, loaded.tokenizer.tokens)
    loader = make_loader(config, config["split"], loaded, aligned=False)
    folder = Path(config["output_dir"] or _default_folder(config))
    scores = decode_set(loaded, loader, {config["decoder"]["name"]: decoder}, folder)
    print(format_table(scores), end="")
    logger.info("results: %s", folder)
    return _report_failures(loader, folder)


def decode_set(
    loaded: LoadedModel, loader: BatchLoader, decoders: dict[str, Decoder], folder: Path
) -> dict[str, Score]:
    """Decode a loader's utterances with every decoder and write what came out."""
    utterances = loader.corpus.utterances(0)
    results = decode_batches(
        loaded,
        loader.batches(0),
        decoders,
        progress=sys.stderr.isatty(),
        total=len(utterances),
    )
    audio = {u.id: u.audio_filepath for u in utterances if isinstance(u, Utterance)}
    return write_results(folder, results, loader.bad.skipped, audio)


def make_decoder(config: dict, tokens: list[str]) -> Decoder:
    """Build the decoder of a configuration for a model's tokens."""
    options = {key: value for key, value in config["decoder"].items() if key != "name"}
    make = cast(partial, build({"decoder": options}, "decoder"))
    return make(tokens, **open_files(options))


def open_files(options: dict) -> dict[str, object]:
    """Load the language model that decoder options name, and tell paths from texts."""
    files: dict[str, object] = {}
    if options.get("lm") is not None:
        files["lm"] = NGramLM(options["lm"])
    if options.get("lexicon") is not None:
        files["lexicon"] = Path(options["lexicon"])
    # Path.is_file would refuse a rule that is longer than a file's name may be.
    if options.get("grammar") is not None and os.path.isfile(options["grammar"]):
        files["grammar"] = Path(options["grammar"])
    return files


def _default_folder(config: dict) -> Path:
    """Results go beside the checkpoints of a run, otherwise beside the checkpoint."""
    folder = Path(config["checkpoint"]).parent
    run = folder.parent if folder.name == "ckpt" else folder
    return (
        run / "decode" / f"{config['data']['name']}_{config['split']}_{config['decoder']['name']}"
    )


def _report_failures(loader: BatchLoader, folder: Path) -> int:
    for unusable in loader.bad.skipped:
        logger.warning("not decoded: %s: %s", unusable.id, unusable.reason)
    if loader.bad.skipped:
        logger.warning(
            "%d utterances were not decoded, see %s",
            len(loader.bad.skipped),
            folder / "failures.jsonl",
        )
        return 2
    return 0
