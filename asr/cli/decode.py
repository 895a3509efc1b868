"""`asr decode`: from a checkpoint and a test set to hypotheses and a word error rate."""

import argparse
import logging
from pathlib import Path

from asr.acoustic.checkpoint import load_checkpoint
from asr.cli.assembly import choose_device, make_decoder, make_loader, run_of
from asr.cli.hydra_config import add_override_arguments, run_with_config
from asr.data.loading import BatchLoader
from asr.evaluation.scoring import decode_set, format_table

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
    model = load_checkpoint(config["checkpoint"]).to(choose_device(config["device"]))
    decoder = make_decoder(config, model.tokenizer.tokens)
    loader = make_loader(config, config["split"], model, aligned=False)
    folder = Path(config["output_dir"] or _default_folder(config))
    scores = decode_set(model, loader, {config["decoder"]["name"]: decoder}, folder)
    print(format_table(scores), end="")
    logger.info("results: %s", folder)
    return _report_failures(loader, folder)


def _default_folder(config: dict) -> Path:
    """Results go beside the checkpoints of a run, otherwise beside the checkpoint."""
    name = f"{config['data']['name']}_{config['split']}_{config['decoder']['name']}"
    return run_of(config["checkpoint"]) / "decode" / name


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
