"""From a model to a file of another runtime, which is written only if it passes the gate."""

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from asr.acoustic.model import AcousticModel
from asr.export.description import KINDS, describe
from asr.export.graph import GraphModel
from asr.export.onnx_file import add_metadata, quantize, write_graph
from asr.export.parity import (
    EXAMPLE_S,
    Deviation,
    Run,
    check_frames,
    check_parity,
    make_waveforms,
    measure,
    pad,
)
from asr.export.sherpa import metadata_of, refusal
from asr.files import replacing
from asr.runtime.facts import FILE, KEY, Facts, read_facts
from asr.runtime.model import OnnxModel
from asr.runtime.statics import make_statics

# A file of ONNX is one message of protobuf, which holds less than 2 GiB.
MAX_BYTES = 2**31 - 2**20


class Exported(NamedTuple):
    """What was written.

    Attributes:
        deviation: of the graph from the model; of the quantised one with int8.
        num_bytes: of the file.
        float_bytes: of the file before int8; equal without.
        not_quantized: with int8, kinds of layers whose weights stay float32, and how many.
        sherpa: why the file does not run in sherpa-onnx; "" where it does.
    """

    deviation: Deviation
    num_bytes: int
    float_bytes: int
    not_quantized: dict[str, int]
    sherpa: str


def export_onnx(
    model: AcousticModel,
    path: Path,
    *,
    takes_samples: bool = False,
    int8: bool = False,
    float_path: Path | None = None,
) -> Exported:
    """Write a model as ONNX.

    Args:
        model: on the CPU.
        path: the file; its folder must exist.
        takes_samples: whether the graph takes samples, as it always does where a model has no
            features of single frames; else what Kaldi or `asr.runtime` compute of audio.
        int8: whether matrix products and LSTMs have weights of 8 bits, with scales that are
            computed at run time.
        float_path: where the file before int8 goes too, for comparisons.

    Raises:
        ParityError: the graph computes something else than the model; nothing is written.
        ValueError: the model is too large for a file of ONNX.
    """
    takes_samples = takes_samples or type(model.features) not in KINDS
    facts = _describe(model, takes_samples=takes_samples)
    _check_size(model)
    reason = refusal(model, takes_samples=takes_samples)
    metadata = {KEY: facts.to_json()} | ({} if reason else metadata_of(model))
    left: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="asr-export-") as folder, replacing(path) as final:
        graph = Path(folder) / "graph.onnx"
        write_graph(_trace_graph(model, facts), graph, len(facts.tokens))
        add_metadata(graph, graph, metadata)
        exported = OnnxModel(graph)
        deviation = measure(model, exported.run, exported.graph_input)
        check_parity(deviation)
        float_bytes = graph.stat().st_size
        if float_path is not None:
            float_path.write_bytes(graph.read_bytes())
        if int8:
            smaller = Path(folder) / "int8.onnx"
            left = quantize(graph, smaller)
            add_metadata(smaller, smaller, metadata)
            exported, graph = OnnxModel(smaller), smaller
            deviation = measure(model, exported.run, exported.graph_input)
        final.write_bytes(graph.read_bytes())
    return Exported(deviation, path.stat().st_size, float_bytes, left, reason)


def export_torchscript(
    model: AcousticModel, path: Path, *, takes_samples: bool = False
) -> Exported:
    """Write a model as TorchScript; arguments and errors as `export_onnx`."""
    takes_samples = takes_samples or type(model.features) not in KINDS
    facts = _describe(model, takes_samples=takes_samples)
    graph, example = _trace_graph(model, facts)
    with warnings.catch_warnings(), replacing(path) as temporary:
        # Of constants in the trace, which the gate checks, and that torch.jit will end some day.
        warnings.simplefilter("ignore")
        with torch.no_grad():
            traced = torch.jit.trace(graph, example, check_trace=False)
        torch.jit.save(traced, str(temporary), _extra_files={FILE: facts.to_json()})
        deviation = measure(model, _runner(str(temporary)), input_maker(facts))
        check_parity(deviation)
    size = path.stat().st_size
    return Exported(deviation, size, size, {}, "it reads ONNX")


def open_torchscript(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Let a file of TorchScript make log-probabilities (T, C) of a waveform (L,).

    Raises:
        ModelFileError: it is not of `export_torchscript`.
    """
    extra = {FILE: ""}
    run = _runner(str(path), extra)
    make = input_maker(read_facts(extra[FILE], path))

    def compute(waveform: np.ndarray) -> np.ndarray:
        log_probs, lengths = run(*pad([make(waveform)]))
        return log_probs[0, : int(lengths[0])]

    return compute


def _runner(path: str, extra: dict[str, str] | None = None) -> Run:
    loaded = torch.jit.load(path, map_location="cpu", _extra_files=extra)

    def run(x: np.ndarray, x_lens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.no_grad():
            log_probs, lengths = loaded(torch.from_numpy(x), torch.from_numpy(x_lens))
        return log_probs.numpy(), lengths.numpy()

    return run


def input_maker(facts: Facts) -> Callable[[np.ndarray], np.ndarray]:
    """Say what a graph takes of a waveform (L,)."""
    if facts.graph_input == "samples":
        return lambda waveform: waveform
    return make_statics(facts.statics)


def _describe(model: AcousticModel, *, takes_samples: bool) -> Facts:
    facts = describe(model, takes_samples=takes_samples)
    check_frames(model, facts)
    return facts


def _trace_graph(model: AcousticModel, facts: Facts) -> tuple[GraphModel, tuple[Tensor, Tensor]]:
    """Make the graph and the example that it is traced with."""
    make = input_maker(facts)
    x, x_lens = pad([make(w) for w in make_waveforms(EXAMPLE_S, model.sample_rate)])
    graph = GraphModel(model, takes_samples=facts.graph_input == "samples")
    return graph, (torch.from_numpy(x), torch.from_numpy(x_lens))


def _check_size(model: AcousticModel) -> None:
    size = sum(p.numel() * 4 for p in model.network.parameters())
    if size > MAX_BYTES:
        raise ValueError(
            f"the weights are {size / 2**30:.1f} GiB, and a file of ONNX holds 2: export it with "
            "format=torchscript"
        )
