"""`asr export`: a checkpoint to a file of another runtime."""

import argparse
import logging
from pathlib import Path
from typing import Literal

from asr.acoustic.checkpoint import load_checkpoint
from asr.cli.argument_types import wrong_type
from asr.cli.assembly import check_file, run_of
from asr.cli.hydra_config import add_override_arguments, run_with_config

EXAMPLE = """examples:
  asr export checkpoint=runs/digits/ckpt/best.ckpt
  asr export checkpoint=best.ckpt int8=true out=model.onnx
  asr export checkpoint=best.ckpt input=samples out=page/model.onnx
  asr export checkpoint=best.ckpt format=torchscript

The file is written only if it computes what the checkpoint computes, on lengths and batches of its
own. Guide: docs/export.md.
`asr export --cfg ...` prints every key with its value."""

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    add_override_arguments(parser, sweep=False)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    return run_with_config("export", args, export)


def export(config: dict) -> int:
    """Export as a resolved configuration says."""
    options = {key: config[key] for key in ("format", "input", "int8", "out")}
    if wrong := wrong_type(_choose_path, options):
        raise ValueError(wrong)
    if config["int8"] and config["format"] != "onnx":
        raise ValueError("int8=true needs format=onnx")
    checkpoint = check_file(config, "checkpoint")
    path = _choose_path(checkpoint=checkpoint, **options)
    if config["format"] == "onnx":
        _check_packages()
    from asr.export.exporter import export_onnx, export_torchscript

    model = load_checkpoint(checkpoint)
    path.parent.mkdir(parents=True, exist_ok=True)
    if config["format"] == "torchscript":
        exported = export_torchscript(model, path, takes_samples=config["input"] == "samples")
    else:
        exported = export_onnx(
            model, path, takes_samples=config["input"] == "samples", int8=config["int8"]
        )
    deviation = exported.deviation
    logger.info(
        "log-probabilities differ from the checkpoint's by at most %.2g nats; the best class is "
        "the same in %.2f %% of frames", deviation.largest, 100 * deviation.same_best,
    )  # fmt: skip
    if config["int8"]:
        left = ", ".join(f"{count} {kind}" for kind, count in exported.not_quantized.items())
        logger.info(
            "int8: %.2f MB, %.2f MB before; weights that stay float32: %s",
            exported.num_bytes / 1e6, exported.float_bytes / 1e6, left or "none",
        )  # fmt: skip
    if config["format"] == "onnx":
        _report_sherpa(path, exported.sherpa, model.tokenizer.tokens)
    logger.info("exported: %s (%.2f MB)", path, exported.num_bytes / 1e6)
    return 0


def _choose_path(
    format: Literal["onnx", "torchscript"],
    input: Literal["features", "samples"],
    int8: bool,
    out: str | None,
    checkpoint: Path,
) -> Path:
    """Say where the file goes."""
    if out is not None:
        return Path(out)
    parts = ["model"] + ["samples"] * (input == "samples") + ["int8"] * int8
    ending = {"onnx": ".onnx", "torchscript": ".pt"}[format]
    return run_of(checkpoint) / "export" / ("_".join(parts) + ending)


def _check_packages() -> None:
    """Name the extra that brings what is missing, before the work."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ModuleNotFoundError as error:
        raise ValueError(
            f"format=onnx needs {error.name}: pip install 'ctc-asr[export]'"
        ) from error


def _report_sherpa(path: Path, refusal: str, tokens: list[str]) -> None:
    """Write what sherpa-onnx needs beside the file, or say why it cannot run it."""
    from asr.export.sherpa import write_tokens

    if refusal:
        logger.info("not for sherpa-onnx: %s", refusal)
        return
    beside = path.with_name(f"{path.stem}.tokens.txt")
    write_tokens(beside, tokens)
    logger.info("for sherpa-onnx, as its zipformer CTC, with tokens: %s", beside)
