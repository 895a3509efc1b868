"""sherpa-onnx: which files run in it unchanged, and what it needs beside them.

It computes Kaldi's log-mel energies and takes any graph from them to log-probabilities as a
"zipformer2_ctc", whatever the network is.

Source: sherpa-onnx, csrc/features.h and csrc/offline-zipformer-ctc-model.cc.
"""

from pathlib import Path

from asr.acoustic.model import AcousticModel
from asr.features import LogMel
from asr.files import write_atomically
from asr.text import WORD_START

WINDOW_S, HOP_S = 0.025, 0.010
LOW_HZ, HIGH_BELOW_NYQUIST_HZ = 20.0, 400.0
# By which it knows the blank.
BLANK = "<blk>"
# Frames of features for one of the output, by which it tells times.
SUBSAMPLING = 4


def refusal(model: AcousticModel, *, takes_samples: bool) -> str:
    """Say why a file does not run in sherpa-onnx; "" where it does."""
    if takes_samples:
        return "the graph takes samples, and it gives features"
    if type(model.features) is not LogMel:
        return f"the features are {type(model.features).__name__}, and it computes LogMel"
    options = model.config["features"]
    rate = model.sample_rate
    wanted = {
        "win_length": round(WINDOW_S * rate),
        "hop_length": round(HOP_S * rate),
        "n_fft": 2 ** (round(WINDOW_S * rate) - 1).bit_length(),
        "f_min": LOW_HZ,
        "f_max": rate / 2 - HIGH_BELOW_NYQUIST_HZ,
    }
    for key, value in wanted.items():
        if options[key] != value:
            return f"its features have {key}={value:g}, the model {options[key]:g}"
    if any(character in token for token in model.tokenizer.tokens for character in "\t\n"):
        return "a token holds a tab or a line end, and its list has a token a line"
    return ""


def metadata_of(model: AcousticModel) -> dict[str, str]:
    """What it reads in a file."""
    return {
        "model_type": "zipformer2_ctc",
        "version": "1",
        "model_author": "ctc-asr",
        "comment": "log-mel features as Kaldi's fbank; tokens in a file beside",
        "subsampling_factor": str(model.network.subsampling_factor),
    }


def write_tokens(path: Path, tokens: list[str]) -> None:
    """Write its list of tokens, `token class` a line; a space is written as U+2581."""
    names = [BLANK, *(token.replace(" ", WORD_START) for token in tokens[1:])]
    write_atomically(path, "".join(f"{name} {index}\n" for index, name in enumerate(names)))
