"""ONNX files: a traced graph, its metadata, 8 bits."""

import io
import logging
import warnings
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path

import torch
from torch import Tensor, nn

from asr.runtime.model import INPUTS, OUTPUTS

# Of the operators: what browsers, phones and older runtimes know, and recent enough for all here.
OPSET = 17
# What onnxruntime quantises dynamically, and what has weights and stays as it is.
QUANTIZED = ("MatMul", "LSTM")
WITH_WEIGHTS = ("Conv", "GRU", "RNN", "Loop", *QUANTIZED)
# Nodes of the part that stands in for a front end; its tables must keep their digits.
FRONT_END = "/front_end/"


def write_graph(
    traced: tuple[nn.Module, tuple[Tensor, Tensor]], path: Path, num_classes: int
) -> None:
    """Trace a module with its example, and write it with any batch size and length.

    Why not the newer exporter: torch 2.11's fails on recurrent layers whose length is free.

    Raises:
        ValueError: an operator of the module has no counterpart.
    """
    graph, example = traced
    axes = {name: {0: "N", 1: "T"} for name in (INPUTS[0], OUTPUTS[0])}
    axes |= {name: {0: "N"} for name in (INPUTS[1], OUTPUTS[1])}
    axes[OUTPUTS[0]] = {0: "N", 1: "T_out"}
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
        # Of constants in the trace, which the gate checks, and that this exporter is the old one.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                graph,
                example,
                str(path),
                input_names=INPUTS,
                output_names=OUTPUTS,
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"the network cannot be written as ONNX: {reason}") from error
    import onnx

    model = onnx.load(str(path))
    # Which the exporter does not always find out.
    model.graph.output[0].type.tensor_type.shape.dim[2].dim_value = num_classes
    path.write_bytes(model.SerializeToString())


def add_metadata(source: Path, path: Path, metadata: dict[str, str]) -> None:
    """Write a file with metadata in the place of what it had."""
    import onnx

    model = onnx.load(str(source))
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, metadata)
    model.producer_name = "ctc-asr"
    path.write_bytes(model.SerializeToString())


def quantize(source: Path, path: Path) -> dict[str, int]:
    """Give matrix products and LSTMs weights of 8 bits; activations follow at run time.

    Returns:
        Kinds of nodes that have weights and stay float32, and how many.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    kept = [node.name for node in onnx.load(str(source)).graph.node if FRONT_END in node.name]
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # it advises a preparation that changes nothing here
    try:
        quantize_dynamic(
            str(source),
            str(path),
            weight_type=QuantType.QInt8,
            op_types_to_quantize=list(QUANTIZED),
            nodes_to_exclude=kept,
        )
    finally:
        logger.setLevel(level)
    return _count_float_layers(path)


def _count_float_layers(path: Path) -> dict[str, int]:
    """Count nodes whose weights are float32."""
    import onnx

    graph = onnx.load(str(path)).graph
    tables = {item.name for item in graph.initializer if item.data_type == onnx.TensorProto.FLOAT}
    counts = Counter(
        node.op_type
        for node in graph.node
        if node.op_type in WITH_WEIGHTS
        and FRONT_END not in node.name
        and (node.op_type == "Loop" or tables & set(node.input))
    )
    return dict(sorted(counts.items()))
