"""`asr train`: from a configuration to a trained model."""

import argparse
import logging
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import cast

import torch
from torch import nn
from torch.optim import Optimizer

from asr.acoustic.model import AcousticModel, build_model
from asr.augment import SpecAugment, WaveformAugment
from asr.cli import PrintableFormatter
from asr.cli.assembly import build_tokenizer, choose_device, make_loader
from asr.cli.heads import build_tasks, log_coverage
from asr.cli.hydra_config import (
    ConfigError,
    add_override_arguments,
    build,
    check_types,
    run_with_config,
)
from asr.cli.run_folder import RunFolderError, claim, holder
from asr.cli.starting_point import start_from
from asr.cli.sweep_table import show_trained
from asr.cli.texts import settle_texts
from asr.data.loading import BatchLoader, durations_of
from asr.evaluation.advice import MOST, advise_training, read_setting
from asr.evaluation.run_record import read_run
from asr.features import Samples
from asr.training import distributed
from asr.training.crew import joined
from asr.training.heads import Heads
from asr.training.initialisation import freeze, parameter_groups
from asr.training.loop import Trainer
from asr.training.loss import OfTexts, TrainingLoss
from asr.training.regularization import Regularization
from asr.training.run_folder import OWNED, RunFolder
from asr.training.schedule import Schedule
from asr.training.step import Stepper
from asr.training.tasks import Task
from asr.training.validation import Validation

EXAMPLE = """examples:
  asr train data=fsdd model=ds2_gru model.hidden_size=256 trainer.max_epochs=20
  asr train experiment=speech_commands seed=2 run_dir=runs/try
  asr train data=manifest data.train_manifest=train.jsonl data.dev_manifest=dev.jsonl
  asr train data=fsdd features=raw model=sincnet   learn filters on samples
  asr train resume=auto                    go on after a kill
  asr train data=manifest init_from=runs/quickstart/ckpt/best.ckpt model.frames_out=2   adapt one
  asr train data=manifest init_from=box optimizer.lr=1e-3   from the model in the box
  asr train data=manifest model=wav2vec2 init_from=FOLDER optimizer.lr=1e-4   from Hugging Face
  asr train data=prepared data.root=data/mine preset=auto   sizes, epochs and augmentation that fit
  asr train -m model.hidden_size=128,256   try both, and a table
  asr train data=synth trainer.validate_every=500
  torchrun --nproc-per-node 2 -m asr train data=synth

`asr train --cfg` prints every key with its value."""

# A resumed run may differ in these: they steer the loop and not what a step computes, or training
# does not read them. What a corpus holds counts, not where it lies: the state has fingerprints, as
# it has of the files of a loss, whose keys that says itself.
FREE_KEYS = ("run_dir", "resume", "overwrite", "device", "trainer.")
FREE_KEYS += (
    "loading.num_threads",
    "loading.num_processes",
    "data.",
    "quickstart.",
    "augment.waveform.noise.folder",
    "augment.waveform.room.folder",
)

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    add_override_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print scores as JSON")


def run(args: argparse.Namespace) -> int:
    """Run the command."""

    def task(config: dict) -> int:
        train(config)
        if args.json and not args.multirun:
            show_trained([(Path(config["run_dir"]).name, Path(config["run_dir"]))], as_json=True)
        return 0

    show = partial(show_trained, as_json=args.json)
    return run_with_config("train", args, task, show_sweep=show)


def train(config: dict) -> Validation:
    """Train as a resolved configuration says; return the dev scores of the best model."""
    with joined() as (rank, world_size):
        return _train(config, rank, world_size)


def _train(config: dict, rank: int, world_size: int) -> Validation:
    # Everything is built, and so checked, before the folder is touched.
    torch.manual_seed(config["seed"])
    trainer = cast(Trainer, build(config, "trainer"))
    for key in ("features", "model"):
        check_types(config[key], key)
    config, normalizer = settle_texts(config)
    model = build_model(config, build_tokenizer(config), normalizer)
    model.to(choose_device(config["device"]))
    _start_from(model, config)
    waveform_augment = build(config["augment"], "waveform")
    train_loader = make_loader(
        config, "train", model, cast(WaveformAugment | None, waveform_augment), rank, world_size
    )
    dev_loader = make_loader(config, "dev", model, None, rank, world_size)
    schedule = cast(Schedule, build(config, "scheduler"))
    sets = [loader.corpus.utterances(0) for loader in (train_loader, dev_loader)]
    tasks = build_tasks(config, sets[0])
    stepper = make_stepper(config, model, tasks)
    train_loader.num_frames = stepper.loss.num_frames
    with closing(train_loader), _open_run(config, stepper.loss) as run:
        for line in config["preset"] or ():
            logger.info("%s", line)
        _describe(model, train_loader, dev_loader, run)
        if distributed.is_first():
            log_coverage(tasks, *sets)
        resume = config["resume"] is not None
        validation = trainer.fit(stepper, schedule, train_loader, dev_loader, run, resume=resume)
        if distributed.is_first():
            _advise(run)
        return validation


def _advise(run: RunFolder) -> None:
    """Say what the losses and error rates ask for next, in the log."""
    for advice in islice(advise_training(read_run(run.path).history, read_setting(run.path)), MOST):
        logger.info("next: %s", advice)


def _start_from(model: AcousticModel, config: dict) -> None:
    """Give a new run the weights of `init_from`; one that goes on has its own."""
    resume, source = config["resume"], config["init_from"]
    if resume not in (None, "auto"):
        raise RunFolderError(
            f"resume must be auto (go on in run_dir) or null, got {resume!r}; to start a new run "
            f"from the weights of a model: init_from={resume}"
        )
    if source is not None and not (resume and RunFolder(Path(config["run_dir"])).last.is_file()):
        start_from(model, source)


def make_stepper(
    config: dict, model: AcousticModel, tasks: Mapping[str, Task] = MappingProxyType({})
) -> Stepper:
    """Build what takes the training steps, in float32 until a precision is chosen.

    Args:
        config: the resolved configuration.
        model: what learns.
        tasks: of auxiliary heads, by name.
    """
    network = cast(nn.Module, model.network)
    frozen = freeze(network, config["freeze"])
    groups = parameter_groups(network, config["rate_factors"] or {})
    heads = Heads(model, tasks)
    if tasks:
        groups.append({"params": list(heads.parameters()), "factor": 1.0})
    return Stepper(
        model,
        _make_optimizer(config, groups),
        augment=_make_augment(config, model),
        loss=cast(TrainingLoss | OfTexts, build(config, "loss")),
        precision="float32",
        grad_clip=config["trainer"]["grad_clip"],
        grad_clip_value=config["trainer"]["grad_clip_value"],
        frozen=frozen,
        intermediate_weight=config["intermediate_weight"],
        heads=heads,
        regularization=cast(Regularization, build(config, "regularization")),
    )


def _make_optimizer(config: dict, groups: list[dict]) -> Optimizer:
    make = cast(partial, build(config, "optimizer"))
    try:
        return make(groups)
    except ValueError as error:  # PyTorch's, which names the value alone
        raise ConfigError(f"optimizer: {error}") from error


def _make_augment(config: dict, model: AcousticModel) -> SpecAugment | None:
    """Build what masks features, and say what of it these features cannot have."""
    augment = cast(SpecAugment | None, build(config["augment"], "features"))
    if augment is not None and isinstance(model.features, Samples):
        logger.warning(
            "augment: single samples are no frames, so that augment.features masks nothing; the "
            "network hides frames of its own (model.mask_time)"
        )
        return None
    if augment is not None and augment.needs_bands and not model.features.num_bands:
        kind = type(model.features).__name__
        logger.warning(
            "augment: %s features are no bands of frequency: only time is masked (augment=time "
            "says so)",
            kind,
        )
    return augment


@contextmanager
def _open_run(config: dict, loss: TrainingLoss) -> Iterator[RunFolder]:
    """Claim the run's folder on the first rank, which alone writes into it and speaks."""
    run = RunFolder(Path(config["run_dir"]))
    if not distributed.is_first():
        _compare_folders(run, config["resume"] is not None)
        yield run
        return
    with claim(
        run.path,
        config,
        resume=config["resume"],
        overwrite=config["overwrite"],
        free_keys=(*FREE_KEYS, *loss.fingerprints()),
        owned=OWNED,
        state="ckpt/last.ckpt",
    ):
        run.checkpoints.mkdir(exist_ok=True)
        _compare_folders(run, config["resume"] is not None)
        with _log_file(run.path / "log.txt"):
            yield run


def _compare_folders(run: RunFolder, resume: bool) -> None:
    """Notice nodes that do not share the run's folder: each may hold a checkpoint of its own.

    Raises:
        RunFolderError: rank 0, asked to resume, has no checkpoint, and another node has one.
    """
    views = distributed.gather((socket.gethostname(), holder(run.path), run.last.is_file()))
    first, *others = views
    apart = sorted({host for host, held_by, _ in others if held_by != first[1]})
    if not apart:
        return
    if resume and not first[2] and any(found for _, _, found in others):
        raise RunFolderError(
            f"run_dir {run.path} is not shared by {first[0]} and {', '.join(apart)}, and the "
            f"checkpoint is not on {first[0]}, where rank 0 is: start rank 0 where it is"
        )
    if distributed.is_first():
        logger.warning(
            "run_dir %s is not shared by %s and %s: only %s can resume it, as rank 0",
            run.path,
            first[0],
            ", ".join(apart),
            first[0],
        )


@contextmanager
def _log_file(path: Path) -> Iterator[None]:
    """Copy what is logged to a file."""
    handler = logging.FileHandler(path)
    handler.setFormatter(PrintableFormatter("%(asctime)s %(message)s"))
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
        hours = durations_of(utterances).sum() / 3600
        too_long = getattr(loader.corpus, "num_too_long", 0)
        left_out = f", {too_long} longer than max_duration left out" if too_long else ""
        logger.info("%s: %d utterances, %.2f h%s", name, len(utterances), hours, left_out)
    every = "clip" if model.max_samples is not None else f"{1000 * model.seconds_per_frame:.0f} ms"
    logger.info(
        "model: %.2f million weights, %d classes, one frame every %s, on %s, %d threads",
        weights / 1e6,
        len(model.tokenizer.tokens),
        every,
        model.device,
        torch.get_num_threads(),
    )
    logger.info("run: %s (%s)", run.path, " ".join(sys.argv[1:]))
