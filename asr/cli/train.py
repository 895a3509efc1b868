"""`asr train`: from a configuration to a trained model."""

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import cast

import torch

from asr.acoustic.model import AcousticModel, build_model
from asr.augment.augment import SpecAugment, WaveformAugment
from asr.cli.assembly import choose_device, make_loader
from asr.cli.hydra_config import add_override_arguments, build, run_with_config
from asr.data.loading import BatchLoader
from asr.text import Tokenizer
from asr.training import distributed
from asr.training.loop import Interrupted, Schedule, Trainer
from asr.training.run_folder import RunFolder, open_run_folder
from asr.training.step import Loss, Stepper
from asr.training.validation import Validation

EXAMPLE = """examples:
  asr train data=fsdd model=ds2_gru model.hidden_size=256 trainer.max_epochs=20
  asr train experiment=speech_commands seed=2 run_dir=runs/try
  asr train data=manifest data.train_manifest=train.jsonl data.dev_manifest=dev.jsonl
  asr train resume=auto                    go on after a kill
  asr train -m model.hidden_size=128,256   try both
  torchrun --nproc-per-node 2 -m asr train data=synth

`asr train --cfg` prints every key with its value."""

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    add_override_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    try:
        return run_with_config("train", args, lambda config: train(config) and 0)
    except Interrupted as stop:
        logger.warning("%s", stop)
        return stop.exit_code


def train(config: dict) -> Validation:
    """Train as a resolved configuration says; return the dev scores of the best model."""
    rank, world_size = distributed.start()
    try:
        return _train(config, rank, world_size)
    finally:
        distributed.stop()


def _train(config: dict, rank: int, world_size: int) -> Validation:
    # Everything is built, and so checked, before the folder is touched.
    torch.manual_seed(config["seed"])
    trainer = cast(Trainer, build(config, "trainer"))
    model = build_model(config, cast(Tokenizer, build(config, "tokenizer")))
    model.to(choose_device(config["device"]))
    waveform_augment = build(config["augment"], "waveform")
    train_loader = make_loader(
        config, "train", model, cast(WaveformAugment | None, waveform_augment), rank, world_size
    )
    dev_loader = make_loader(config, "dev", model)
    schedule = cast(Schedule, build(config, "scheduler"))
    stepper = make_stepper(config, model)
    run = _open_run(config)
    with _log_file(run.path / "log.txt") if distributed.is_first() else nullcontext():
        if model.features.needs_fit:
            batches = train_loader.batches(0)
            model.features.fit((b.waveforms, b.waveform_lengths) for b in batches)
        _describe(model, train_loader, dev_loader, run)
        resume = config["resume"] is not None
        return trainer.fit(stepper, schedule, train_loader, dev_loader, run, resume=resume)


def make_stepper(config: dict, model: AcousticModel) -> Stepper:
    """Build what takes the training steps, in float32 until a precision is chosen."""
    make_optimizer = cast(partial, build(config, "optimizer"))
    return Stepper(
        model,
        make_optimizer(model.network.parameters()),
        augment=cast(SpecAugment | None, build(config["augment"], "features")),
        loss=cast(Loss, build(config, "loss")),
        precision="float32",
        grad_clip=config["trainer"]["grad_clip"],
    )


def _open_run(config: dict) -> RunFolder:
    """Open the run's folder on the first rank; the others use what it made."""
    path = Path(config["run_dir"])
    if not distributed.is_first():
        logging.getLogger().setLevel(logging.WARNING)
        distributed.wait()
        return RunFolder(path)
    run = open_run_folder(path, config, resume=config["resume"], overwrite=config["overwrite"])
    distributed.wait()
    return run


@contextmanager
def _log_file(path: Path) -> Iterator[None]:
    """Copy what is logged to a file."""
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def _describe(
    model: AcousticModel, train_loader: BatchLoader, dev_loader: BatchLoader, run: RunFolder
) -> None:
    weights = sum(p.numel() for p in model.network.parameters())
    for name, loader in (("train", train_loader), ("dev", dev_loader)):
        utterances = loader.corpus.utterances(0)
        hours = sum(u.duration for u in utterances) / 3600
        logger.info("%s: %d utterances, %.2f h", name, len(utterances), hours)
    logger.info(
        "model: %.2f million weights, %d classes, one frame every %.0f ms, on %s, %d threads",
        weights / 1e6,
        len(model.tokenizer.tokens),
        1000 * model.seconds_per_frame,
        model.device,
        torch.get_num_threads(),
    )
    logger.info("run: %s (%s)", run.path, " ".join(sys.argv[1:]))
