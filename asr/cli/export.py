"""`asr export`: a checkpoint to a file of another runtime."""

import argparse
import logging
import tempfile
from pathlib import Path
from typing import Literal, NamedTuple

from asr.acoustic.checkpoint import load_checkpoint
from asr.acoustic.model import AcousticModel
from asr.cli.argument_types import wrong_type
from asr.cli.assembly import check_file, check_split, make_decoder, open_test_set, run_of
from asr.cli.hydra_config import add_override_arguments, run_with_config
from asr.data.loading import BatchLoader
from asr.decoding import Decoder
from asr.evaluation.metrics import Metric

EXAMPLE = """examples:
  asr export checkpoint=runs/digits/ckpt/best.ckpt
  asr export checkpoint=best.ckpt int8=true out=model.onnx
  asr export checkpoint=best.ckpt input=samples out=page/model.onnx
  asr export checkpoint=best.ckpt format=torchscript
  asr export checkpoint=best.ckpt int8=true data=fsdd          and its error rate before and after

The file is written only if it computes what the checkpoint computes, on lengths and batches of its
own. Guide: docs/export.md.
`asr export --cfg ...` prints every key with its value."""

logger = logging.getLogger(__name__)


class Test(NamedTuple):
    """What error rates are taken of."""

    loader: BatchLoader
    decoder: Decoder
    metric: Metric


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    add_override_arguments(parser, sweep=False)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    return run_with_config("export", args, export)


def export(config: dict) -> int:
    """Export as a resolved configuration says; exit code 2 when test utterances were unusable."""
    options = {key: config[key] for key in ("format", "input", "int8", "out")}
    if wrong := wrong_type(_choose_path, options):
        raise ValueError(wrong)
    if config["int8"] and config["format"] != "onnx":
        raise ValueError("int8=true needs format=onnx")
    checkpoint = check_file(config, "checkpoint")
    path = _choose_path(checkpoint=checkpoint, **options)
    if config["format"] == "onnx":
        _check_packages()
    model = load_checkpoint(checkpoint)
    test = _open_test(config, model) if config.get("data") else None
    path.parent.mkdir(parents=True, exist_ok=True)
    if test is None:
        _write(config, model, path)
        return 0
    with tempfile.TemporaryDirectory(prefix="asr-export-") as folder:
        files = {config["format"]: path}
        if config["int8"]:
            files = {"onnx": Path(folder) / "float.onnx", "onnx, int8": path}
        _write(config, model, path, files["onnx"] if config["int8"] else None)
        return _measure(config, model, files, test)


def _write(config: dict, model: AcousticModel, path: Path, float_path: Path | None = None) -> None:
    """Write the file, and say what it is."""
    from asr.export.exporter import export_onnx, export_torchscript

    takes_samples = config["input"] == "samples"
    if config["format"] == "torchscript":
        exported = export_torchscript(model, path, takes_samples=takes_samples)
    else:
        exported = export_onnx(
            model, path, takes_samples=takes_samples, int8=config["int8"], float_path=float_path
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


def _open_test(config: dict, model: AcousticModel) -> Test:
    """Open the utterances of the comparison, before anything is written."""
    split = check_split(config, config["split"])
    loader, metric = open_test_set(config, split, model)
    decoder = make_decoder(config, model.tokenizer, model.normalizer)
    return Test(loader, decoder, metric)


def _measure(config: dict, model: AcousticModel, files: dict[str, Path], test: Test) -> int:
    """Print error rates of the checkpoint and of files that were made of it, by name."""
    from asr.export.error_rates import format_measured, measure_errors, rows_of
    from asr.export.exporter import open_torchscript
    from asr.runtime.model import OnnxModel

    is_onnx = config["format"] == "onnx"
    systems = {"checkpoint": rows_of(model)}
    for name, path in files.items():
        systems[name] = OnnxModel(path, 1).log_probs if is_onnx else open_torchscript(path)
    measured = measure_errors(systems, test.loader, test.decoder, test.metric)
    sizes = {name: path.stat().st_size for name, path in files.items()}
    print(format_measured(measured, sizes, test.metric), end="")
    unusable = test.loader.bad.skipped
    for utterance in unusable:
        logger.warning("not measured: %s: %s", utterance.id, utterance.reason)
    return 2 if unusable else 0


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
